"""One stream's sound: chunks of any rate and layout become log-mel columns that a window can ask for by time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.bundle import AudioFrontEnd
from edge_avsc.clock import SampleClock
from edge_avsc.features import LogMel, mono, side
from edge_avsc.resampling import StreamResampler
from edge_avsc.ring import IndexRing
from edge_avsc.types import NS_PER_S, AudioChunk

SOUND_S, COLUMNS_S = 8, 60
"""How many seconds of samples, and of columns while their windows wait for pictures, a track remembers."""

SILENT_PEAK = 2.0**-16
"""Below half a step of 16 bits nothing was heard: a muted or unplugged input, not a quiet place."""

LOUDEST = 100.0
"""Samples beyond 40 dB over full scale are damage, like NaN."""

PRESENT, SILENT = 1, 2


@dataclass(frozen=True, slots=True)
class WindowSound:
    """The columns of one window, what share of them was heard, and when the last one was complete."""

    columns: NDArray[float32] | None
    coverage: float
    silent: bool
    closed_ns: int | None


class AudioTrack:
    """Resamples, computes columns as samples arrive, and knows at what time each of them was captured.

    *count* is called with the name of a counter and how many samples of the device were lost to it:
    ``audio_gap_samples`` (never delivered), ``audio_invalid_samples`` (no numbers, or beyond all bounds); and with
    ``audio_late_columns``, how many columns came after their window was scored.
    """

    def __init__(self, front_end: AudioFrontEnd, log_mel: LogMel, count: Callable[[str, int], None]) -> None:
        self.front_end = front_end
        self._count = count
        self._log_mel = log_mel
        rate = front_end.sample_rate_hz
        self.samples = IndexRing(SOUND_S * rate, float32)
        self._side = IndexRing(SOUND_S * rate, float32) if front_end.channels > 1 else None
        column = np.dtype([("mel", float32, (front_end.column_size,)), ("arrived_ns", np.int64), ("state", np.uint8)])
        self._columns = IndexRing(COLUMNS_S * rate // front_end.hop_samples, column)
        self._row = np.zeros(1, column)
        self._next_column = self._scored_column = 0
        self.damaged_ns: int | None = None
        """When the first sample was captured that is no number, or beyond all bounds."""
        self._clock: SampleClock | None = None
        self._resampler: StreamResampler | None = None
        self._side_resampler: StreamResampler | None = None
        self._expected_index = 0  # after the last chunk
        self._pushed_index = 0  # after the last sample that the resampler got
        self._next_out = 0
        self._base_in = 0
        self._base_out = 0

    def add(self, chunk: AudioChunk, arrived_ns: int) -> None:
        """Take in a chunk; a jump of its index is a gap, samples that are no numbers are gaps too."""
        if len(chunk.samples) == 0:
            return
        self._follow_clock(chunk, arrived_ns)
        self._count("audio_gap_samples", chunk.index - self._expected_index)
        self._expected_index = chunk.index + len(chunk.samples)
        two = self._side is not None
        sound = mono(chunk.samples[:, :2] if two else chunk.samples)
        apart = side(chunk.samples) if two else None
        loudness = np.abs(sound) if apart is None else np.maximum(np.abs(sound), np.abs(apart))
        valid = 0
        for start, stop in _finite_runs(loudness):
            valid += stop - start
            part = None if apart is None else apart[start:stop]
            self._push(chunk.index + start, sound[start:stop], part, arrived_ns)
        self._count("audio_invalid_samples", len(sound) - valid)
        if valid < len(sound) and self.damaged_ns is None and self._clock:
            self.damaged_ns = self._clock.time_of(chunk.index + int(np.argmin(loudness <= LOUDEST)))

    def end(self, arrived_ns: int) -> None:
        """Take in that nothing more comes: what the resampler held back becomes columns."""
        if self._resampler is not None:
            apart = self._side_resampler.flush() if self._side_resampler else None
            self._write(self._resampler.flush(), apart, arrived_ns)
            self._resampler = self._side_resampler = None

    def complete(self, start_ns: int) -> bool:
        """Tell whether the last column of the window that starts at *start_ns* exists (or was passed by a gap)."""
        return self._clock is not None and self._first_column(start_ns) + self.front_end.columns <= self._next_column

    def window(self, start_ns: int) -> WindowSound:
        """Return the sound of the window that starts at *start_ns*: always the same number of columns.

        A column is not heard when it touches a gap or is digital silence. Up to half of the columns may be missing:
        each then holds what the nearest heard one says, and ``coverage`` tells. With fewer, ``columns`` is None.
        """
        count = self.front_end.columns
        if self._clock is None:
            return WindowSound(None, 0.0, False, None)
        rows, present = self._columns.read(self._first_column(start_ns), count)
        heard = present & (rows["state"] == PRESENT)
        silent = bool(np.any(present & (rows["state"] == SILENT)))
        coverage = float(np.count_nonzero(heard)) / count
        if coverage < 0.5:
            return WindowSound(None, coverage, silent, None)
        closed_ns = int(rows["arrived_ns"][-1]) if present[-1] else None
        return WindowSound(rows["mel"][_nearest(heard)], coverage, silent, closed_ns)

    def scored(self, start_ns: int) -> None:
        """Take in that the window that starts at *start_ns* is scored: columns of it that come now are late."""
        if self._clock is not None:
            self._scored_column = self._first_column(start_ns) + self.front_end.columns

    def time_of(self, sample: float) -> int:
        """Return the capture time of a sample of the ring ``samples`` (at the front end's rate)."""
        if self._clock is None:
            raise ValueError("no sound has arrived yet")
        return self._clock.time_of(self._base_in + (sample - self._base_out) / self._ratio)

    def sample_at(self, time_ns: int) -> float:
        """Return the (fractional) index, in the ring ``samples``, of the sample captured at *time_ns*."""
        if self._clock is None:
            raise ValueError("no sound has arrived yet")
        return self._base_out + (self._clock.index_at(time_ns) - self._base_in) * self._ratio

    @property
    def drift_ppm(self) -> float:
        """How much faster than nominal the device samples, in parts per million."""
        return self._clock.drift_ppm if self._clock else 0.0

    @property
    def _rate_hz(self) -> int:
        return self._clock.rate_hz if self._clock else self.front_end.sample_rate_hz

    @property
    def _ratio(self) -> float:
        return self.front_end.sample_rate_hz / self._rate_hz

    def _first_column(self, start_ns: int) -> int:
        # The millionth of a column forgives rounding: a window must not lose a column that starts right with it.
        return math.ceil(self.sample_at(start_ns) / self.front_end.hop_samples - 1e-6)

    def _follow_clock(self, chunk: AudioChunk, arrived_ns: int) -> None:
        clock = self._clock
        if clock is not None and chunk.rate_hz == clock.rate_hz and chunk.index >= self._expected_index:
            jumps, expected_ns = clock.jumps, clock.time_of(chunk.index)
            clock.observe(chunk.index, chunk.time_ns)
            lost = (clock.time_of(chunk.index) - expected_ns) * chunk.rate_hz / NS_PER_S
            if clock.jumps > jumps and lost > 0:
                # The device stood still without saying so: what it delivered before stays where it was.
                self._count("audio_gap_samples", round(lost))
                out = self._base_out + (chunk.index + lost - self._base_in) * self._ratio
                self._begin(chunk.index, out, arrived_ns)
            return
        # A first chunk, another rate, or a source that counts anew: samples stay where their times put them.
        self._begin(chunk.index, 0.0 if clock is None else self.sample_at(chunk.time_ns), arrived_ns)
        self._clock = SampleClock(chunk.rate_hz, chunk.index, chunk.time_ns)
        self._expected_index = chunk.index

    def _begin(self, index: int, out: float, arrived_ns: int) -> None:
        """Take the device's sample *index* for the sample *out* of the ring, or the first free one after it."""
        self.end(arrived_ns)
        self._base_in, self._base_out = index, max(round(out), self.samples.end or 0)

    def _push(self, index: int, sound: NDArray[float32], apart: NDArray[float32] | None, arrived_ns: int) -> None:
        if index != self._pushed_index:
            self.end(arrived_ns)
        if self._resampler is None:
            self._resampler = StreamResampler(self._rate_hz, self.front_end.sample_rate_hz)
            if apart is not None:
                self._side_resampler = StreamResampler(self._rate_hz, self.front_end.sample_rate_hz)
            self._next_out = self._base_out + round((index - self._base_in) * self._ratio)
            if (self.samples.end or 0) >= self._next_out:
                # A gap may be shorter than a sample of ours, and is a gap all the same.
                self.samples.skip_to((self.samples.end or 0) + 1)
        self._pushed_index = index + len(sound)
        pushed = self._side_resampler.push(apart) if self._side_resampler and apart is not None else None
        self._write(self._resampler.push(sound), pushed, arrived_ns)

    def _write(self, samples: NDArray[float32], apart: NDArray[float32] | None, arrived_ns: int) -> None:
        for start in range(0, len(samples), self.front_end.sample_rate_hz):
            self.samples.write(self._next_out + start, samples[start : start + self.front_end.sample_rate_hz])
            if self._side is not None and apart is not None:
                self._side.write(self._next_out + start, apart[start : start + self.front_end.sample_rate_hz])
            self._compute_columns(arrived_ns)
        self._next_out += len(samples)

    def _compute_columns(self, arrived_ns: int) -> None:
        hop, n_fft = self.front_end.hop_samples, self.front_end.n_fft
        end = self.samples.end or 0
        # Columns in a gap longer than the memory need not be visited one by one.
        self._next_column = max(self._next_column, (end - self.samples.capacity) // hop)
        while self._next_column * hop + n_fft <= end:
            samples, present = self.samples.read(self._next_column * hop, n_fft)
            if present.all():
                apart = None if self._side is None else self._side.read(self._next_column * hop, n_fft)[0]
                self._row["mel"] = self._log_mel.column(samples, apart)
                self._row["arrived_ns"] = arrived_ns
                heard = max(np.abs(signal).max() for signal in (samples, apart) if signal is not None) >= SILENT_PEAK
                self._row["state"] = PRESENT if heard else SILENT
                self._columns.write(self._next_column, self._row)
                self._count("audio_late_columns", int(self._next_column < self._scored_column))
            self._next_column += 1


def _finite_runs(loudness: NDArray[float32]) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of the runs of samples that are numbers within bounds, given how far each is from 0."""
    if len(loudness) and loudness.max() <= LOUDEST:
        yield 0, len(loudness)
        return
    valid = np.concatenate(([False], loudness <= LOUDEST, [False]))
    edges = np.flatnonzero(valid[1:] != valid[:-1])
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _nearest(heard: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each column the index of the nearest heard one (itself where it was heard)."""
    where = np.flatnonzero(heard)
    everywhere = np.arange(len(heard))
    nearest: NDArray[np.intp] = where[np.abs(everywhere[:, None] - where[None, :]).argmin(axis=1)]
    return nearest
