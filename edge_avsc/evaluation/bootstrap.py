"""95 % intervals by drawing whole units, such as locations: what was recorded at one place is not independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.metrics import Interval

DRAWS = 1000


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
    of two systems' losses or hits the paired interval of that difference: with one seed all draw the same units.
    A class that a draw has no rows of has no part in its mean.
    """
    place, n_units = _places(units)
    if n_units < 2:
        return Interval(float("nan"), float("nan"))
    n_classes = int(label_index.max()) + 1
    cell = place * n_classes + label_index
    sums = np.bincount(cell, values, n_units * n_classes).reshape(n_units, n_classes)
    counts = np.bincount(cell, minlength=n_units * n_classes).reshape(n_units, n_classes).astype(float64)
    drawn = np.empty(draws)
    for i, draw in enumerate(_draws(n_units, draws, seed)):
        times = np.bincount(draw, minlength=n_units).astype(float64)
        count = times @ counts
        there = count > 0
        drawn[i] = ((times @ sums)[there] / count[there]).mean()
    return _percentiles(drawn)


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
