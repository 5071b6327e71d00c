"""Generated inputs that every bundle is checked with: no recording, no picture of anybody."""

from __future__ import annotations

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.features import LogMel, normalised_picture
from edge_avsc.training.spec import AUDIO, IMAGE

PRESENT = np.array([[1, 1], [1, 0], [0, 1]], float32)


def golden_inputs(seed: int = 1, count: int = 8) -> dict[str, NDArray[float32]]:
    """Return ``log_mel`` ``[count, 36, 256]``, ``picture`` ``[count, 3, size_px, size_px]``, ``present`` ``[3, 2]``."""
    random = np.random.default_rng(seed)
    log_mel = np.stack([LogMel(AUDIO).columns(_noise(random, i / count)) for i in range(count)])
    picture = np.stack([normalised_picture(_scene(random), IMAGE) for _ in range(count)])
    return {"log_mel": log_mel[:, : AUDIO.columns], "picture": picture, "present": PRESENT}


def _noise(random: np.random.Generator, share: float) -> NDArray[float32]:
    """Coloured noise of one second, with a slow beat and a hum."""
    rate = AUDIO.sample_rate_hz
    spectrum = np.fft.rfft(random.standard_normal(rate))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20.0) ** -(0.2 + 1.2 * share)
    noise = np.fft.irfft(spectrum, rate)
    time = np.arange(rate) / rate
    noise *= 1 + 0.5 * np.sin(2 * np.pi * random.uniform(1, 8) * time)
    noise = noise / np.abs(noise).max() * 10 ** random.uniform(-1.5, -0.3)
    return np.asarray(noise + 0.01 * np.sin(2 * np.pi * random.uniform(60, 400) * time), float32)


def _scene(random: np.random.Generator) -> NDArray[uint8]:
    """A sky, a ground and boxes: edges and colours enough to stir every layer."""
    size = IMAGE.size_px
    picture = np.empty((size, size, 3))
    horizon = int(random.uniform(0.3, 0.7) * size)
    picture[:horizon] = random.uniform(100, 250, 3)
    picture[horizon:] = random.uniform(20, 160, 3)
    for _ in range(12):
        top, left = random.integers(0, size - 16, 2)
        height, width = random.integers(8, 64, 2)
        picture[top : top + height, left : left + width] = random.uniform(0, 255, 3)
    picture += random.normal(0, 6, picture.shape) + np.linspace(-20, 20, size)[:, None]
    return np.clip(picture, 0, 255).astype(uint8)
