"""How far sound and picture are apart, measured from a flash and a beep."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.audio_track import AudioTrack
from edge_avsc.types import NS_PER_MS, NS_PER_S

REACH_NS = 950 * NS_PER_MS
SURROUNDINGS_NS = REACH_NS + 150 * NS_PER_MS
"""A beep's length and the columns' last incomplete one are added to the reach."""
BEEP_HZ = 1000.0
TONE_S = 0.01
FLASH_LUMA, FLASH_RISE = 170.0, 50.0
LONGEST_FLASH_NS = 300 * NS_PER_MS
REMEMBERED = 8
AGREED = 3
TOLERANCE_NS = 20 * NS_PER_MS


class FlashBeepDetector:
    """Finds white flashes in the frames' brightness, beeps of 1 kHz around them, and the lag that they share.

    A lag counts when at least three of the last eight flashes, and more than half of them, have a beep at it. When
    several do (flashes and beeps that are evenly spaced), the smallest wins.
    """

    def __init__(self) -> None:
        self.skew_ms: float | None = None
        """Sound time minus picture time in milliseconds; None while nothing was measured."""
        self.agreed_ms: tuple[float, ...] = ()
        """The lags of single flashes, of which ``skew_ms`` is the median."""
        self.flashes = self.answered = 0
        """How many flashes were compared, and how many of them had a beep near them."""
        self._lumas: deque[float] = deque(maxlen=3)
        self._rise_ns: int | None = None
        self._waiting: deque[int] = deque(maxlen=REMEMBERED)
        self._lags: deque[list[int]] = deque(maxlen=REMEMBERED)

    def frame(self, time_ns: int, luma: float) -> None:
        """Take in the brightness (0..255) of the next frame."""
        if self._rise_ns is None:
            if self._lumas and luma >= FLASH_LUMA and luma - min(self._lumas) >= FLASH_RISE:
                self._rise_ns = time_ns
            else:
                self._lumas.append(luma)
        elif luma < FLASH_LUMA:
            if time_ns - self._rise_ns <= LONGEST_FLASH_NS:
                self._waiting.append(self._rise_ns)
            self._rise_ns = None
            self._lumas.append(luma)
        elif time_ns - self._rise_ns > LONGEST_FLASH_NS:
            # The scene itself became bright: the next flash must rise above that.
            self._rise_ns = None
            self._lumas.extend([luma] * 3)

    def listen(self, track: AudioTrack, until_ns: int) -> None:
        """Look for beeps around the flashes whose surroundings end by *until_ns*, up to which *track* has heard."""
        while self._waiting and self._waiting[0] + SURROUNDINGS_NS <= until_ns:
            flash_ns = self._waiting.popleft()
            lags = [beep_ns - flash_ns for beep_ns in beeps(track, flash_ns - REACH_NS, flash_ns + REACH_NS)]
            self.flashes += 1
            self.answered += bool(lags)
            self._lags.append(lags)
            self._agree()

    def _agree(self) -> None:
        votes = [self._votes_for(lag) for lags in self._lags for lag in lags]
        most = max((len(votes_for) for votes_for in votes), default=0)
        if most >= AGREED and 2 * most > len(self._lags):
            agreed = min((one for one in votes if len(one) == most), key=lambda one: abs(float(np.median(one))))
            self.agreed_ms = tuple(lag / NS_PER_MS for lag in agreed)
            self.skew_ms = float(np.median(agreed)) / NS_PER_MS

    def _votes_for(self, lag_ns: int) -> list[int]:
        """Return, of each flash that has one, the lag nearest to *lag_ns*."""
        nearest = [min(lags, key=lambda lag: abs(lag - lag_ns)) for lags in self._lags if lags]
        return [lag for lag in nearest if abs(lag - lag_ns) <= TOLERANCE_NS]


def beeps(track: AudioTrack, start_ns: int, stop_ns: int) -> list[int]:
    """Return the times from *start_ns* to *stop_ns* at which beeps begin in what *track* remembers."""
    rate = track.front_end.sample_rate_hz
    start = round(track.sample_at(start_ns - NS_PER_S // 20))
    count = (stop_ns - start_ns) * rate // NS_PER_S + rate // 10
    samples, present = track.samples.read(start, count)
    onsets = beep_onsets(np.where(present, samples, float32(0)), rate)
    times = [track.time_of(start + onset) for onset in onsets]
    return [time_ns for time_ns in times if start_ns <= time_ns <= stop_ns]


def beep_onsets(samples: NDArray[float32], rate_hz: int) -> list[float]:
    """Return where, in samples, tones of 1 kHz of at least 30 ms begin in *samples* ``[n]``.

    The 1 kHz component of a sliding 10 ms (a short-time Fourier coefficient) must hold most of the energy; a tone
    begins where its amplitude reaches half of its height, which is when half of the slice is filled.
    """
    length = int(TONE_S * rate_hz)
    if len(samples) < 2 * length:
        return []
    turn = np.exp(-2j * np.pi * BEEP_HZ / rate_hz * np.arange(len(samples)))
    tone = np.abs(_slide(samples * turn, length))
    energy = _slide(samples.astype(np.complex128) ** 2, length).real
    tonal = (2.0 * tone**2 > 0.5 * length * energy) & (tone > 0.005 * length)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], tonal, [False])).astype(np.int8)))
    onsets = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin >= 0.03 * rate_hz:
            half = 0.5 * float(np.median(tone[begin:end]))
            before = max(0, begin - length)
            onsets.append(before + float(np.argmax(tone[before:end] >= half)) + length / 2)
    return onsets


def _slide(values: NDArray[np.complex128], length: int) -> NDArray[np.complex128]:
    """Return the sums over *length* neighbours."""
    total = np.concatenate((np.zeros(1, np.complex128), np.cumsum(values)))
    sums: NDArray[np.complex128] = total[length:] - total[:-length]
    return sums
