"""Streaming resampling by soxr: any blocks in, the same samples out."""

from __future__ import annotations

import numpy as np
import soxr
from numpy import float32
from numpy.typing import NDArray


class StreamResampler:
    """One channel from *from_hz* to *to_hz*; a whole signal in any blocks gives the same samples, bit for bit."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._soxr = None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def push(self, samples: NDArray[float32]) -> NDArray[float32]:
        """Return the samples that are ready after *samples* ``[n]``; sample 0 out is at the time of sample 0 in."""
        if self._soxr is None:
            return samples
        ready: NDArray[float32] = self._soxr.resample_chunk(np.ascontiguousarray(samples))
        return ready

    def flush(self) -> NDArray[float32]:
        """Return what was still held back; the resampler ends with it."""
        if self._soxr is None:
            return np.zeros(0, float32)
        rest: NDArray[float32] = self._soxr.resample_chunk(np.zeros(0, float32), last=True)
        self._soxr = None
        return rest
