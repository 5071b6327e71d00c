"""Bounded memories: one addressed by absolute index, one by capture time."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")


class IndexRing:
    """The newest *capacity* rows of an endless array, addressed by absolute index; unwritten rows are gaps."""

    def __init__(self, capacity: int, dtype: DTypeLike) -> None:
        self.capacity = capacity
        self._rows = np.zeros(capacity, dtype)
        self._present = np.zeros(capacity, np.bool_)
        self._end: int | None = None

    @property
    def end(self) -> int | None:
        """One past the newest row; None while nothing was written."""
        return self._end

    def write(self, index: int, rows: NDArray[Any]) -> int:
        """Write *rows* ``[n]`` from *index* on; return how many were refused.

        Rows before the present end are refused: what was read is never changed. Rows between the end and *index*
        become a gap. More rows than the capacity leave the newest.
        """
        refused = 0
        if self._end is not None and index < self._end:
            refused = min(self._end - index, len(rows))
            index, rows = index + refused, rows[refused:]
        if len(rows) == 0:
            return refused
        self.skip_to(index)
        end = index + len(rows)
        keep = rows[-self.capacity :]
        self._fill(end - len(keep), keep)
        self._end = end
        return refused

    def skip_to(self, index: int) -> None:
        """Make a gap of the rows between the present end and *index*; without rows, or with later ones, do nothing."""
        if self._end is not None and index > self._end:
            self._present[np.arange(max(self._end, index - self.capacity), index) % self.capacity] = False
            self._end = index

    def read(self, start: int, count: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return rows ``[count]`` from *start* on, and for each whether it is present; absent rows hold anything.

        Both may be views of the ring: they hold until the next write.
        """
        if self._end is None:
            return self._rows[:1].repeat(count), np.zeros(count, np.bool_)
        at = start % self.capacity
        if count <= self.capacity - at and start >= self._end - self.capacity and start + count <= self._end:
            return self._rows[at : at + count], self._present[at : at + count]
        where = np.arange(start, start + count)
        inside = (where >= self._end - self.capacity) & (where < self._end)
        where %= self.capacity
        return self._rows[where], self._present[where] & inside

    def _fill(self, index: int, rows: NDArray[Any]) -> None:
        at = index % self.capacity
        first = min(len(rows), self.capacity - at)
        self._rows[at : at + first] = rows[:first]
        self._present[at : at + first] = True
        if first < len(rows):
            self._rows[: len(rows) - first] = rows[first:]
            self._present[: len(rows) - first] = True


class TimeRing(Generic[T]):
    """The newest *capacity* values, in order of their times."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[tuple[int, T]] = deque()
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self._items)

    def put(self, time_ns: int, value: T) -> int:
        """Append *value*, whose time must be later than all before; return how many old ones had to go for it."""
        if self._items and time_ns <= self._items[-1][0]:
            raise ValueError(f"time {time_ns} is not after {self._items[-1][0]}")
        self._items.append((time_ns, value))
        if len(self._items) <= self._capacity:
            return 0
        self._items.popleft()
        return 1

    def between(self, start_ns: int, end_ns: int) -> list[T]:
        """Return the values with start_ns <= time < end_ns, oldest first."""
        return [value for time_ns, value in self._items if start_ns <= time_ns < end_ns]

    def forget_before(self, time_ns: int) -> None:
        """Let go of all values earlier than *time_ns*."""
        while self._items and self._items[0][0] < time_ns:
            self._items.popleft()
