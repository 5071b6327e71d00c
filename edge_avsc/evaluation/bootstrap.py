"""95 % intervals by drawing whole units, such as locations: what was recorded at one place is not independent."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.metrics import Interval

DRAWS = 1000
_BATCH = 50


def bootstrap_interval(
    units: Any, statistic: Callable[[NDArray[int64]], float], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval (Efron 1979) of *statistic*, which gets the rows drawn.

    units: which unit each of the n rows belongs to, numbers or names. Draws in which the statistic is NaN are left
    out; fewer than two units have no interval, which is NaN.
    """
    place, n_units = _places(units)
    rows = [np.flatnonzero(place == unit) for unit in range(n_units)]
    if n_units < 2:
        return Interval(float("nan"), float("nan"))
    drawn = [statistic(np.concatenate([rows[unit] for unit in draw])) for draw in _draws(n_units, draws, seed)]
    return _percentiles(np.array(drawn))


def macro_interval(
    units: Any, values: NDArray[float64], label_index: NDArray[int64], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return what :func:`bootstrap_interval` does of the macro mean of *values* ``[n]``, in much less time.

    Of losses it is the interval of the macro log-loss, of hits (0 or 1) that of the macro accuracy, of the difference
    of two systems' losses or hits the paired interval of that difference.
    A class that a draw has no rows of has no part in its mean.
    """
    return macro_intervals(units, [values], label_index, draws=draws, seed=seed)[0]


def macro_intervals(
    units: Any,
    columns: Sequence[NDArray[float64]],
    label_index: NDArray[int64],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Interval]:
    """Return :func:`macro_interval` of each of *columns*, ``[n]`` each, with the same draws for all."""
    place, n_units = _places(units)
    if n_units < 2:
        return [Interval(float("nan"), float("nan"))] * len(columns)
    sums = list(_sums_by_class(place, np.stack([np.ones(len(place)), *columns]), label_index))
    means = []
    for batch in _batches(_draws(n_units, draws, seed)):
        times = np.stack([np.bincount(draw, minlength=n_units) for draw in batch]).astype(float64)
        totals = np.stack([times[:, here] @ summed for here, summed in sums])
        count = totals[..., :1]
        by_class = np.divide(totals[..., 1:], count, out=np.zeros_like(totals[..., 1:]), where=count > 0)
        means.append(by_class.sum(axis=0) / (count > 0).sum(axis=0))
    return [_percentiles(column) for column in np.concatenate(means).T]


def _sums_by_class(
    place: NDArray[int64], columns: NDArray[float64], label_index: NDArray[int64]
) -> Iterator[tuple[NDArray[int64], NDArray[float64]]]:
    """Yield, for each class, the units that have it, ``[m]``, and each column's sums over their rows, ``[m, k]``."""
    for label in np.unique(label_index):
        mine = label_index == label
        here, row = np.unique(place[mine], return_inverse=True)
        yield here, np.stack([np.bincount(row, column[mine], len(here)) for column in columns], axis=1)


def _batches(draws: Iterator[NDArray[int64]]) -> Iterator[list[NDArray[int64]]]:
    """Yield draws a few at a time: as one product of matrices they cost a tenth."""
    while batch := list(itertools.islice(draws, _BATCH)):
        yield batch


def _places(units: Any) -> tuple[NDArray[int64], int]:
    known, place = np.unique(np.asarray(units), return_inverse=True)
    return place.astype(int64), len(known)


def _draws(n_units: int, draws: int, seed: int) -> Iterator[NDArray[int64]]:
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield random.integers(0, n_units, n_units)


def _percentiles(drawn: NDArray[float64]) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))
