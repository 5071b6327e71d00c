"""Decoded sound as float32, in the blocks that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.sources._timeline import Notes

# PyAV finds the end of the planes by a null pointer, which from this many on is not there: it would read wild memory.
_PLANES_READ_WRONG = 8

# Element type and full scale of FFmpeg's sample types (24 bits arrive as the upper bits of 32).
_TYPES: dict[str, tuple[type[np.generic], float]] = {
    "u8": (np.uint8, 2.0**7),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "s64": (np.int64, 2.0**63),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}


def as_float(frame: Any) -> NDArray[float32]:
    """Return a decoded audio frame as float32 ``[n, channels]``, full scale 1.0."""
    name: str = frame.format.name
    dtype, full_scale = _TYPES[name.removesuffix("p")]
    count, planes = frame.samples, frame.planes
    if frame.format.is_planar:
        columns = [np.frombuffer(plane, dtype, count) for plane in planes]
    else:
        channels = len(frame.layout.channels)
        columns = list(np.frombuffer(planes[0], dtype, count * channels).reshape(count, channels).T)
    samples = np.empty((count, len(columns)), float32)
    # A double may exceed float32; that is for the core to judge, like any other value that is no number.
    with np.errstate(over="ignore", invalid="ignore") if dtype is np.float64 else nullcontext():
        for channel, column in enumerate(columns):
            samples[:, channel] = column
    if dtype is np.uint8:
        samples -= float32(full_scale)
    if full_scale != 1.0:
        samples *= float32(1.0 / full_scale)
    return samples


class OneFormat:
    """Decoded sound in the rate and layout of its first frame, whatever comes later.

    resampler: PyAV's AudioResampler, or what is called like it.
    """

    def __init__(self, first: Any, resampler: Callable[[str, Any, int], Any], notes: Notes) -> None:
        self.rate_hz: int = first.sample_rate
        self._layout = first.layout
        self._channels = len(first.layout.channels)
        self.nothing: NDArray[float32] = np.empty((0, self._channels), float32)
        self._wanted = (self.rate_hz, first.layout.name)
        self._found = self._wanted
        self._new_resampler = resampler
        self._resampler: Any = None
        self._notes = notes

    def samples(self, frame: Any, time_ns: int) -> NDArray[float32]:
        """Return float32 ``[n, channels]`` of a frame; *time_ns* says when, should the format change there."""
        found = (frame.sample_rate, frame.layout.name)
        if found == self._wanted and not (frame.format.is_planar and self._channels >= _PLANES_READ_WRONG):
            self._resampler = None
            return as_float(frame)
        if self._resampler is None or found != self._found:
            self._resampler, self._found = self._new_resampler("flt", self._layout, self.rate_hz), found
            if found != self._wanted:
                what = f"the format changes to {found[0]} Hz, {found[1]}; it is converted to that of the beginning"
                self._notes.add("format", what, time_ns)
        parts = [as_float(part) for part in self._resampler.resample(frame)]
        return np.concatenate([self.nothing, *parts])


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
