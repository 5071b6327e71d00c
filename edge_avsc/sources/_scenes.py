"""Four drawn places with a sound each, simple and plausible: a street, a park, a metro carriage and a hall."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy import float32, uint8
from numpy.typing import ArrayLike, NDArray

WIDTH_PX, HEIGHT_PX = 320, 180
SCENE_S = 6.0

Rng = np.random.Generator
Image = NDArray[uint8]
Sound = NDArray[float32]

_GRAINS = 4
_LOOP_S = 2.0


class Scene(Protocol):
    """One place."""

    sound: Sound
    """Its sound, float32 ``[6 s, 2]``."""

    def image(self, frame: int, time_s: float) -> Image:
        """Return RGB ``[180, 320, 3]`` for a frame, *time_s* after the place came into view."""


class Street:
    """A road between houses; cars pass and are heard passing."""

    PASSES = ((1.0, 1), (2.6, -1), (3.9, 1), (5.2, -1))
    """When a car is in the middle of the picture, and in which direction it goes."""

    def __init__(self, rng: Rng, rate_hz: int) -> None:
        picture = _plain((96, 104, 116))
        for left in range(0, WIDTH_PX, 40):
            top = int(rng.integers(8, 40))
            picture[top:112, left : left + 38] = rng.integers(60, 120, 3)
            picture[top + 8 : 104 : 16, left + 6 : left + 34 : 7] = (150, 150, 120)
        picture[112:124] = 118
        picture[124:] = 64
        picture[150:153, ::] = 64
        picture[150:153, (np.arange(WIDTH_PX) // 16) % 2 == 0] = 170
        self._grains = _grains(picture, rng)
        self._colours = rng.integers(20, 170, (len(self.PASSES), 3))
        time_s = _times(rate_hz)
        rumble = _noise(rng, rate_hz, 25, 180, tilt=-1.0) * 0.05
        tyres = _noise(rng, rate_hz, 300, 2500, tilt=-0.5)
        self.sound = rumble
        for at_s, direction in self.PASSES:
            loudness = 0.05 / (1 + ((time_s - at_s) / 0.25) ** 2)
            side = 0.5 + 0.4 * np.tanh((time_s - at_s) * direction * 3)
            self.sound = self.sound + tyres * np.stack((loudness * (1 - side), loudness * side), axis=1).astype(float32)

    def image(self, frame: int, time_s: float) -> Image:
        """Return the picture."""
        image: Image = self._grains[frame % _GRAINS].copy()
        for (at_s, direction), colour in zip(self.PASSES, self._colours, strict=True):
            middle = WIDTH_PX / 2 + direction * (time_s - at_s) * 260
            top = 128 if direction > 0 else 146
            _box(image, middle - 14, top - 8, 30, 9, colour // 2 + 40)
            _box(image, middle - 28, top, 56, 14, colour)
            for wheel in (-18, 12):
                _box(image, middle + wheel, top + 12, 8, 6, 25)
        return image


class Park:
    """Grass, trees and a pond; wind and birds."""

    def __init__(self, rng: Rng, rate_hz: int) -> None:
        picture = _plain((104, 128, 150))
        picture[88:] = (58, 98, 44)
        picture[120:138, 60:200] = (70, 92, 110)
        for middle in rng.integers(10, WIDTH_PX - 10, 9).tolist():
            _box(picture, middle - 3, 70, 6, 36, (70, 50, 34))
            _disc(picture, middle, 58, int(rng.integers(16, 30)), (38, 84, 36))
        self._grains = _grains(picture, rng)
        time_s = _times(rate_hz)
        gusts = (0.6 + 0.4 * np.sin(2 * np.pi * time_s / 3.0))[:, None].astype(float32)
        self.sound = _noise(rng, rate_hz, 80, 900, tilt=-1.0) * gusts * float32(0.012)
        for begin_s in rng.uniform(0.1, SCENE_S - 0.4, 14).tolist():
            _chirp(self.sound, rate_hz, begin_s, rng)

    def image(self, frame: int, time_s: float) -> Image:
        """Return the picture."""
        image: Image = self._grains[frame % _GRAINS].copy()
        for bird in range(3):
            left = (40 + 90 * bird + 35 * time_s) % WIDTH_PX
            top = 20 + 9 * bird + 4 * np.sin(7 * time_s + bird)
            _box(image, left, top, 7, 2, 40)
        _box(image, 120 + 30 * np.sin(time_s / 2), 126, 10, 5, (150, 140, 120))
        return image


class Metro:
    """The inside of a carriage in a tunnel; hum, rolling noise and rail joints."""

    def __init__(self, rng: Rng, rate_hz: int) -> None:
        picture = _plain((92, 92, 98))
        picture[:22] = 128
        picture[150:] = (52, 50, 54)
        for left in (20, 120, 220):
            picture[40:96, left : left + 80] = 14
            picture[108:150, left : left + 80] = (34, 56, 110)
        picture[22:150, 108:112] = picture[22:150, 208:212] = (150, 130, 40)
        self._grains = _grains(picture, rng)
        time_s = _times(rate_hz)
        self.sound = _noise(rng, rate_hz, 60, 1600, tilt=-1.0) * float32(0.045)
        waves = [np.sin(2 * np.pi * hz * time_s) / order for order, hz in enumerate((50, 100, 150, 300), 1)]
        hum = np.sum(waves, axis=0)
        joints = np.exp(-(time_s % 0.75) * 40) + np.exp(-((time_s - 0.12) % 0.75) * 40)
        clack = _noise(rng, rate_hz, 150, 3000, tilt=-0.5) * (0.05 * joints)[:, None].astype(float32)
        self.sound = self.sound + clack + (0.015 * hum)[:, None].astype(float32)

    def image(self, frame: int, time_s: float) -> Image:
        """Return the picture."""
        image: Image = self._grains[frame % _GRAINS].copy()
        for left in (20, 120, 220):
            lamp = int((time_s * 400 + left) % 160)
            if lamp < 76:
                image[52:60, left + lamp : left + lamp + 4] = (200, 190, 140)
        return image


class Hall:
    """A large hall; people walk about and many voices blur."""

    def __init__(self, rng: Rng, rate_hz: int) -> None:
        picture = _plain((120, 112, 102))
        picture[:40] = (134, 130, 124)
        picture[110:] = (96, 90, 84)
        picture[12:18, 20:300:40] = picture[12:18, 21:300:40] = 220
        for left in range(10, WIDTH_PX, 62):
            picture[40:110, left : left + 8] = (84, 80, 76)
            picture[66:100, left + 14 : left + 52] = rng.integers(50, 150, 3)
        self._grains = _grains(picture, rng)
        self._people = rng.uniform((0, -30), (WIDTH_PX, 30), (9, 2))
        self._coats = rng.integers(20, 120, (9, 3))
        time_s = _times(rate_hz)
        self.sound = _noise(rng, rate_hz, 60, 400, tilt=-1.0) * float32(0.008)
        for low_hz, high_hz in ((150, 700), (250, 1100), (300, 1800), (200, 2600), (400, 3400)):
            beat = np.sin(2 * np.pi * (rng.uniform(2.5, 5.5) * time_s + rng.uniform()))
            phrase = np.sin(2 * np.pi * (rng.uniform(0.2, 0.6) * time_s + rng.uniform()))
            loudness = 0.02 * np.maximum(0.1, beat) * (0.6 + 0.4 * phrase)
            voice = _noise(rng, rate_hz, low_hz, high_hz, tilt=-1.0) * loudness[:, None].astype(float32)
            self.sound = self.sound + voice

    def image(self, frame: int, time_s: float) -> Image:
        """Return the picture."""
        image: Image = self._grains[frame % _GRAINS].copy()
        for (left, speed), coat in zip(self._people.tolist(), self._coats, strict=True):
            at = (left + speed * time_s) % WIDTH_PX
            top = 88 + abs(speed)
            _box(image, at, top, 10, 30, coat)
            _box(image, at + 2, top - 8, 6, 8, (150, 120, 100))
        return image


SCENES: tuple[type[Street] | type[Park] | type[Metro] | type[Hall], ...] = (Street, Park, Metro, Hall)


def _plain(colour: tuple[int, int, int]) -> Image:
    return np.full((HEIGHT_PX, WIDTH_PX, 3), colour, uint8)


def _grains(picture: Image, rng: Rng) -> list[Image]:
    """Return the picture with the noise of a small sensor, several times over."""
    noise = rng.integers(-6, 7, (HEIGHT_PX, WIDTH_PX + _GRAINS * 17), dtype=np.int16)
    shifted = [noise[:, k * 17 : k * 17 + WIDTH_PX, None] for k in range(_GRAINS)]
    return [np.clip(picture + one, 0, 255).astype(uint8) for one in shifted]


def _box(image: Image, left: float, top: float, width: int, height: int, colour: ArrayLike) -> None:
    x, y = int(left), int(top)
    image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = colour


def _disc(image: Image, middle: int, height: int, radius: int, colour: tuple[int, int, int]) -> None:
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    image[(rows - height) ** 2 + (columns - middle) ** 2 < radius**2] = colour


def _times(rate_hz: int) -> NDArray[np.float64]:
    return np.arange(int(SCENE_S * rate_hz)) / rate_hz


def _noise(rng: Rng, rate_hz: int, low_hz: float, high_hz: float, tilt: float) -> Sound:
    """Return stereo noise ``[6 s, 2]`` of power 1 between two frequencies; its amplitude goes with f ** *tilt*."""
    count = int(_LOOP_S * rate_hz)
    low, high = int(low_hz * _LOOP_S), int(high_hz * _LOOP_S)
    spectrum = np.zeros((2, count // 2 + 1), np.complex128)
    bins = np.arange(low, high)
    shape = (bins / low) ** tilt
    phases = rng.uniform(0, 2 * np.pi, (2, len(bins)))
    spectrum[:, low:high] = shape * np.exp(1j * phases)
    loop = np.fft.irfft(spectrum, count).T  # periodic by nature: it repeats without a seam
    loop = (loop / np.sqrt((loop**2).mean())).astype(float32)
    return np.tile(loop, (int(SCENE_S / _LOOP_S), 1))


def _chirp(sound: Sound, rate_hz: int, begin_s: float, rng: Rng) -> None:
    """Add a bird's call of a few short notes."""
    pitch_hz, side = rng.uniform(2800, 4600), rng.uniform(0.1, 0.9)
    time_s = np.arange(int(0.06 * rate_hz)) / rate_hz
    note = np.sin(np.pi * time_s / 0.06) ** 2 * np.sin(2 * np.pi * (pitch_hz + 8000 * time_s) * time_s)
    both = (0.05 * note[:, None] * np.array((1 - side, side))).astype(float32)
    for repeat in range(int(rng.integers(1, 4))):
        start = int((begin_s + 0.09 * repeat) * rate_hz)
        sound[start : start + len(both)] += both
