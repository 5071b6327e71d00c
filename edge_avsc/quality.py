"""How good a sound and pictures are: level, pace, size, and how well their times hold."""

from __future__ import annotations

import math

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.audio_track import SILENT_PEAK
from edge_avsc.clock import SampleClock
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, VideoFrame
from edge_avsc.video_track import is_black

FULL_SCALE = 0.999
SETTLING_S = 1.0
"""Times of the first second say little: a sound server is still finding its latency, the sample clock its place."""


class SoundQuality:
    """The level of a sound, and how well its times fit its samples."""

    def __init__(self) -> None:
        self.rate_hz = self.channels = self.samples = self.gap_samples = self.clipped = 0
        self.peak = 0.0
        self._squares = 0.0
        self._clock: SampleClock | None = None
        self._first = self._next_index = 0
        self._stamps: list[tuple[int, int]] = []
        self._residuals_ms: list[float] = []

    def add(self, chunk: AudioChunk) -> None:
        """Take in the next chunk."""
        if len(chunk.samples) == 0:
            return
        self._follow(chunk)
        heard = np.nan_to_num(np.abs(chunk.samples), nan=0.0, posinf=0.0)
        self.samples += len(heard)
        self.channels = chunk.samples.shape[1]
        self.peak = max(self.peak, float(heard.max()))
        self.clipped += int(np.count_nonzero(heard.max(axis=1) >= FULL_SCALE))
        self._squares += float(np.mean(heard.astype(np.float64) ** 2, axis=1).sum())

    @property
    def rms_dbfs(self) -> float:
        """The mean level, in decibels against a full scale of 1.0."""
        return _decibels(math.sqrt(self._squares / max(1, self.samples)))

    @property
    def peak_dbfs(self) -> float:
        """The highest level, likewise."""
        return _decibels(self.peak)

    @property
    def silent(self) -> bool:
        """Whether it was digital silence: a muted or unplugged input."""
        return self.peak < SILENT_PEAK

    @property
    def residual_ms(self) -> float | None:
        """How far the device's times are from the samples' own clock: the 95th percentile; None before it settled."""
        return float(np.percentile(np.abs(self._residuals_ms), 95)) if self._residuals_ms else None

    @property
    def drift_ppm(self) -> tuple[float, float] | None:
        """How much faster than nominal the device samples, and the standard error of that; None for too few times."""
        if len(self._stamps) < 10:
            return None
        index, time_ns = np.array(self._stamps, np.float64).T
        nominal_ns = NS_PER_S / self.rate_hz
        x, y = index - index.mean(), (time_ns - time_ns[0]) - (index - index[0]) * nominal_ns
        slope = float(x @ y / (x @ x))
        rest = y - y.mean() - slope * x
        error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x)) * _stretch(rest)
        return -slope / nominal_ns * 1e6, error / nominal_ns * 1e6

    def _follow(self, chunk: AudioChunk) -> None:
        if self._clock is None or chunk.rate_hz != self.rate_hz or chunk.index < self._next_index:
            # A first chunk, or a source that counts anew.
            self.rate_hz, self._first, self._next_index = chunk.rate_hz, chunk.index, chunk.index
            self._clock = SampleClock(chunk.rate_hz, chunk.index, chunk.time_ns)
            self._stamps.clear()
        self.gap_samples += chunk.index - self._next_index
        self._next_index = chunk.index + len(chunk.samples)
        if chunk.index - self._first >= SETTLING_S * chunk.rate_hz:
            self._residuals_ms.append((chunk.time_ns - self._clock.time_of(chunk.index)) / NS_PER_MS)
            self._stamps.append((chunk.index, chunk.time_ns))
        self._clock.observe(chunk.index, chunk.time_ns)


class PictureQuality:
    """The pace, size and brightness of pictures."""

    def __init__(self) -> None:
        self.size_px: tuple[int, int] | None = None
        """Width and height; None while no picture was looked at."""
        self.black = self.still = True
        self._times_ns: list[int] = []
        self._lumas: list[float] = []
        self._last: NDArray[uint8] | None = None
        self._looked_at = 0

    def add(self, frame: VideoFrame) -> None:
        """Take in the next frame."""
        self._times_ns.append(frame.time_ns)
        if frame.luma is not None:
            self._lumas.append(frame.luma)
        if frame.image is None:
            return
        self._looked_at += 1
        self.size_px = (frame.image.shape[1], frame.image.shape[0])
        self.black = self.black and is_black(frame.image)
        if self._last is not None:
            self.still = self.still and np.array_equal(self._last, frame.image)
        self._last = frame.image

    @property
    def frames(self) -> int:
        """How many frames came."""
        return len(self._times_ns)

    @property
    def looked_at(self) -> int:
        """How many of them carried their picture."""
        return self._looked_at

    @property
    def per_s(self) -> float:
        """Frames a second; 0 for fewer than two."""
        span_ns = self._times_ns[-1] - self._times_ns[0] if self.frames > 1 else 0
        return (self.frames - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    @property
    def longest_ms(self) -> float:
        """The longest time from one frame to the next."""
        return float(np.diff(self._times_ns).max()) / NS_PER_MS if self.frames > 1 else 0.0

    @property
    def luma(self) -> tuple[float, float, float] | None:
        """The least, mean and greatest brightness, 0..255; None where the source does not measure it."""
        return (min(self._lumas), float(np.mean(self._lumas)), max(self._lumas)) if self._lumas else None


def _stretch(rest: NDArray[np.float64]) -> float:
    """Return how much larger an error is because neighbouring residuals resemble each other, as wander makes them."""
    power = float(rest @ rest)
    alike = min(max(float(rest[1:] @ rest[:-1]) / power, 0.0), 0.98) if power > 0.0 else 0.0
    return math.sqrt((1.0 + alike) / (1.0 - alike))


def _decibels(level: float) -> float:
    return 20.0 * math.log10(max(level, 1e-10))
