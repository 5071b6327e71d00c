"""Ten drawn places, one for each label: some are told by their sound, some by their picture, some only by both.

airport, bus and metro differ in sound and look alike; metro_station, park and public_square look different and sound
alike; the other four are each a sound of two with a picture of two. So sound alone, or pictures alone, can reach 60 %.
"""

from __future__ import annotations

import numpy as np
from numpy import float32, float64, uint8
from numpy.typing import NDArray

from edge_avsc.training.classes import LABELS

WIDTH_PX, HEIGHT_PX = 96, 64
SOUND_OF = dict(zip(LABELS, (0, 1, 2, 3, 3, 3, 4, 4, 5, 5), strict=True))
PICTURE_OF = dict(zip(LABELS, (0, 0, 0, 1, 2, 3, 4, 5, 4, 5), strict=True))


class Place:
    """One place of a label; *rng* draws what differs from place to place."""

    def __init__(self, label: str, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sound, self._look = SOUND_OF[label], PICTURE_OF[label]
        self._gain = rng.uniform(0.03, 0.1)
        self._pan = rng.uniform(0.3, 0.7)
        self._base = rng.uniform(60, 110, 3)
        self._other = self._base + rng.uniform(60, 110, 3)
        self._period = int(rng.integers(10, 14))

    def sound(self, seconds: float, rate_hz: int) -> NDArray[float32]:
        """Return stereo sound ``[n, 2]``: the label's kind of sound, over faint noise."""
        time = np.arange(round(seconds * rate_hz)) / rate_hz + self._rng.uniform()
        kinds = (self._hum, self._rush, self._clicks, self._rumble, self._pulses, self._siren)
        signal = kinds[self._sound](time, rate_hz)
        signal *= self._gain / signal.std()
        sides = signal[:, None] * np.sqrt(2 * np.array([self._pan, 1 - self._pan]))
        return np.asarray(sides + self._rng.normal(0, 0.001, (len(time), 2)), float32)

    def _noise(self, count: int, rate_hz: int, low_hz: float, high_hz: float) -> NDArray[float64]:
        hz = np.fft.rfftfreq(count, 1 / rate_hz)
        spectrum = np.fft.rfft(self._rng.standard_normal(count)) * ((hz > low_hz) & (hz < high_hz))
        return np.asarray(np.fft.irfft(spectrum, count))

    def _hum(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        base_hz = self._rng.uniform(380, 420)
        return np.asarray(np.sum([np.sin(2 * np.pi * base_hz * k * time) for k in range(1, 12)], axis=0))

    def _rush(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        return self._noise(len(time), rate_hz, 300, 9000)

    def _clicks(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        return self._noise(len(time), rate_hz, 300, 9000) * ((time * 8) % 1 < 0.12)

    def _rumble(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        return self._noise(len(time), rate_hz, 60, self._rng.uniform(200, 260))

    def _pulses(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        return self._noise(len(time), rate_hz, 2500, 3500) * ((time * 4) % 1 < 0.5)

    def _siren(self, time: NDArray[float64], rate_hz: int) -> NDArray[float64]:
        rising = 500 * 8 ** ((time * 2) % 1)
        return np.asarray(np.sin(2 * np.pi * np.cumsum(rising) / rate_hz))

    def image(self) -> NDArray[uint8]:
        """Return a picture ``[64, 96, 3]``: the label's pattern, moved by chance, in the place's colours."""
        y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX] + self._rng.integers(0, self._period, 2)[:, None, None]
        half = self._period // 2
        rows, columns = (y // half) % 2 == 0, (x // half) % 2 == 0
        middle = self._rng.uniform(0.35, 0.65, 2) * (HEIGHT_PX, WIDTH_PX)
        far = np.hypot(y - middle[0], x - middle[1])
        patterns = (y < -1, rows, columns, rows ^ columns, far < 22, (far > 22) & (far < 30))
        picture = np.where(patterns[self._look][..., None], self._other, self._base)
        return np.clip(picture + self._rng.normal(0, 8, picture.shape), 0, 255).astype(uint8)
