"""Sound to log-mel columns, pictures to image input. Training uses these very functions."""

from __future__ import annotations

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.bundle import AudioFrontEnd, ImageFrontEnd


def mel_filter_bank(front_end: AudioFrontEnd) -> NDArray[float32]:
    """Return triangular filters, equally spaced on the HTK mel scale, peak 1: ``[n_fft // 2 + 1, n_mels]``."""

    def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    bins = mel(np.arange(front_end.n_fft // 2 + 1) * front_end.sample_rate_hz / front_end.n_fft)
    limits = mel(np.array([front_end.fmin_hz, front_end.fmax_hz]))
    corners = np.linspace(limits[0], limits[1], front_end.n_mels + 2)
    step = corners[1] - corners[0]
    rising = (bins[:, None] - corners[None, :-2]) / step
    falling = (corners[None, 2:] - bins[:, None]) / step
    filters: NDArray[float32] = np.maximum(0.0, np.minimum(rising, falling)).astype(float32)
    return filters


class LogMel:
    """Normalised log-mel columns; one column is always computed alone, so that blocks never change a bit of it."""

    def __init__(self, front_end: AudioFrontEnd) -> None:
        self.front_end = front_end
        self._filters = np.ascontiguousarray(mel_filter_bank(front_end).T)
        phase = 2.0 * np.pi * np.arange(front_end.n_fft) / front_end.n_fft
        self._window = (0.5 - 0.5 * np.cos(phase)).astype(float32)

    def column(self, samples: NDArray[float32]) -> NDArray[float32]:
        """Return the column ``[n_mels]`` of *samples* ``[n_fft]`` at the front end's rate, full scale 1.0."""
        spectrum = np.fft.rfft(samples * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(float32)
        norm = self.front_end.normalisation
        value: NDArray[float32] = (np.log(self._filters @ power + float32(norm.floor)) - float32(norm.mean)) / float32(
            norm.scale
        )
        return value

    def columns(self, samples: NDArray[float32]) -> NDArray[float32]:
        """Return all whole columns ``[n, n_mels]`` of *samples* ``[t]``: no padding, no centring."""
        front_end = self.front_end
        count = max(0, (len(samples) - front_end.n_fft) // front_end.hop_samples + 1)
        result = np.empty((count, front_end.n_mels), float32)
        for c in range(count):
            start = c * front_end.hop_samples
            result[c] = self.column(samples[start : start + front_end.n_fft])
        return result


def mono(samples: NDArray[float32]) -> NDArray[float32]:
    """Return the mean ``[n]`` of all channels of *samples* ``[n, channels]``."""
    total = samples[:, 0]
    # Damaged samples stay damaged: that is for the track to judge, and nothing to warn of.
    with np.errstate(over="ignore", invalid="ignore"):
        for channel in range(1, samples.shape[1]):
            total = total + samples[:, channel]
    return total / float32(samples.shape[1]) if samples.shape[1] > 1 else total


def square_picture(image: NDArray[uint8], front_end: ImageFrontEnd) -> NDArray[uint8]:
    """Squash RGB ``[height, width, 3]`` to ``[size_px, size_px, 3]``: by area to shrink, linearly to grow."""
    import cv2

    size = front_end.size_px
    if image.shape[:2] == (size, size):
        return image
    shrinks = image.shape[0] >= size and image.shape[1] >= size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: NDArray[uint8] = cv2.resize(image, (size, size), interpolation=how)
    return resized


def normalised_picture(picture: NDArray[uint8], front_end: ImageFrontEnd) -> NDArray[float32]:
    """Turn a square uint8 RGB picture ``[s, s, 3]`` into the image encoder's input, float32 ``[3, s, s]``."""
    mean = np.asarray(front_end.normalisation.mean, float32) * float32(255)
    scale = float32(1) / (np.asarray(front_end.normalisation.std, float32) * float32(255))
    return np.ascontiguousarray(((picture - mean) * scale).transpose(2, 0, 1))
