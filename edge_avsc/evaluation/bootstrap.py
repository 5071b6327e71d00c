"""95 % intervals by drawing whole units, such as locations: what was recorded at one place is not independent."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.metrics import Interval

DRAWS = 1000
_BATCH, _COLUMNS = 50, 64
"""How many draws, and how many columns, are computed at a time: memory must not grow with either."""


def macro_interval(
    units: Any, values: NDArray[float64], label_index: NDArray[int64], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval (Efron 1979) of the macro mean of *values* ``[n]``.

    units: which unit each row belongs to, numbers or names; fewer than two have no interval, which is NaN. Of losses
    it is the interval of the macro log-loss, of hits (0 or 1) that of the macro accuracy, of the difference of two
    systems' losses or hits the paired interval of that difference. A class that a draw has no rows of has no part in
    its mean.
    """
    return macro_intervals(units, [values], label_index, draws=draws, seed=seed)[0]


def macro_intervals(
    units: Any,
    columns: Iterable[NDArray[float64]],
    label_index: NDArray[int64],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Interval]:
    """Return :func:`macro_interval` of each of *columns*, ``[n]`` each, with the same draws for all."""
    place, n_units = _places(units)
    left = iter(columns)
    found: list[Interval] = []
    while some := list(itertools.islice(left, _COLUMNS)):
        if n_units < 2:
            found += [Interval(float("nan"), float("nan"))] * len(some)
            continue
        sums = list(_sums_by_class(place, np.stack([np.ones(len(place)), *some]), label_index))
        found += map(_percentiles, _drawn_means(sums, _draws(n_units, draws, seed), n_units).T)
    return found


def _drawn_means(
    sums: list[tuple[NDArray[int64], NDArray[float64]]], draws: Iterator[NDArray[int64]], n_units: int
) -> NDArray[float64]:
    """Return the macro mean of each column in each draw, ``[draws, columns]``."""
    means = []
    # A few draws at a time: as one product of matrices they cost a tenth.
    while batch := list(itertools.islice(draws, _BATCH)):
        times = np.stack([np.bincount(draw, minlength=n_units) for draw in batch]).astype(float64)
        totals = np.stack([times[:, here] @ summed for here, summed in sums])
        count = totals[..., :1]
        by_class = np.divide(totals[..., 1:], count, out=np.zeros_like(totals[..., 1:]), where=count > 0)
        means.append(by_class.sum(axis=0) / (count > 0).sum(axis=0))
    return np.concatenate(means)


def _sums_by_class(
    place: NDArray[int64], columns: NDArray[float64], label_index: NDArray[int64]
) -> Iterator[tuple[NDArray[int64], NDArray[float64]]]:
    """Yield, for each class, the units that have it, ``[m]``, and each column's sums over their rows, ``[m, k]``."""
    for label in np.unique(label_index):
        mine = label_index == label
        here, row = np.unique(place[mine], return_inverse=True)
        yield here, np.stack([np.bincount(row, column[mine], len(here)) for column in columns], axis=1)


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
