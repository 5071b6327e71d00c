"""Decoded sound as float32, in the blocks that were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

# Full scale of each integer sample type that FFmpeg decodes to (24 bits arrive as the upper bits of 32).
_SCALE = {"i2": 2.0**-15, "i4": 2.0**-31, "i8": 2.0**-63}


def as_float(frame: Any) -> NDArray[float32]:
    """Return a decoded audio frame as float32 ``[n, channels]``, full scale 1.0."""
    raw: NDArray[Any] = frame.to_ndarray()
    planar = frame.format.is_planar
    count = frame.samples
    rows = raw.T if planar else raw.reshape(count, -1)
    kind = rows.dtype.str[1:]
    if kind == "u1":
        rows, kind = (rows.astype(np.int16) - 128) * 256, "i2"
    result: NDArray[float32] = np.empty(rows.shape, float32)
    if kind in _SCALE:
        np.multiply(rows, float32(_SCALE[kind]), out=result, casting="unsafe")
    else:
        # A double may exceed float32; that is for the core to judge, like any other value that is no number.
        with np.errstate(over="ignore", invalid="ignore"):
            result[:] = rows
    return result


def joined(parts: list[NDArray[float32]], channels: int) -> NDArray[float32]:
    """Return the parts ``[n, channels]`` one after the other; there may be none."""
    return np.concatenate([np.empty((0, channels), float32), *parts])


class Blocks:
    """Cuts runs of samples into blocks of equal size; only a gap or the end leaves a shorter one."""

    def __init__(self, block_samples: int | None) -> None:
        self._size = block_samples
        self._parts: list[NDArray[float32]] = []
        self._held = 0
        self._index = 0

    def put(self, samples: NDArray[float32], index: int) -> Iterator[tuple[int, NDArray[float32]]]:
        """Yield ``(index, samples)`` of each block that *samples*, which begin at *index*, complete."""
        if self._size is None:
            if len(samples):
                yield index, samples
            return
        if self._held and index != self._index + self._held:
            yield from self.rest()
        if not self._held:
            self._index = index
        self._parts.append(samples)
        self._held += len(samples)
        if self._held < self._size:
            return
        joined = np.concatenate(self._parts)
        whole = len(joined) - len(joined) % self._size
        for start in range(0, whole, self._size):
            yield self._index + start, joined[start : start + self._size]
        self._index += whole
        self._parts, self._held = [joined[whole:]], len(joined) - whole

    def rest(self) -> Iterator[tuple[int, NDArray[float32]]]:
        """Yield what is held, if anything."""
        if self._held:
            yield self._index, np.concatenate(self._parts)
        self._index += self._held
        self._parts, self._held = [], 0
