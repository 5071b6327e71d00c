"""Sound to columns of filter banks, pictures to image input. Training uses these very functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import float32, float64, uint8
from numpy.typing import NDArray

from edge_avsc.bundle import AudioFrontEnd, Bank, ImageFrontEnd


def mel_filter_bank(front_end: AudioFrontEnd) -> NDArray[float32]:
    """Return triangular filters, equally spaced on the HTK mel scale, peak 1: ``[n_fft // 2 + 1, n_mels]``."""
    return triangles(front_end, _mel)


def filter_bank(front_end: AudioFrontEnd, bank: Bank) -> NDArray[float32]:
    """Return what weighs the power spectrum, ``[n_fft // 2 + 1, n_mels]``, peak 1.

    log_mel, log_bark: triangles, equally spaced on the HTK mel scale and on Traunmueller's (1990) of critical bands.
    log_gammatone: squared magnitude responses of fourth-order gammatone filters, equally spaced in Glasberg and Moore's
    (1990) ERB rate. log_wavelet: squared responses of Morlet wavelets with 6 cycles, equally spaced in octaves; by
    Parseval's theorem such a band is the wavelet's power, averaged over the column: a scalogram, pooled.
    """
    if bank == "log_mel":
        return mel_filter_bank(front_end)
    if bank == "log_bark":
        return triangles(front_end, _bark)
    hz = np.arange(front_end.n_fft // 2 + 1) * front_end.sample_rate_hz / front_end.n_fft
    if bank == "log_gammatone":
        ends = _erb_rate(np.array([front_end.fmin_hz, front_end.fmax_hz]))
        centres = (np.exp(np.linspace(ends[0], ends[1], front_end.n_mels) / 9.265) - 1) * 228.833
        widths = 1.019 * (24.7 + centres / 9.265)
        response = (1 + ((hz[:, None] - centres) / widths) ** 2) ** -4.0
    else:
        lowest = max(front_end.fmin_hz, front_end.sample_rate_hz / front_end.n_fft)
        centres = np.geomspace(lowest, front_end.fmax_hz, front_end.n_mels)
        # The wavelet's own width, and that of the column's Hann window, under which no band can be narrower.
        widths = np.hypot(centres / 6.0, front_end.sample_rate_hz / front_end.n_fft)
        response = np.exp(-(((hz[:, None] - centres) / widths) ** 2))
    return np.asarray(response, float32)


def triangles(front_end: AudioFrontEnd, scale: Callable[[NDArray[float64]], NDArray[float64]]) -> NDArray[float32]:
    """Return triangular filters, equally spaced on *scale* (of hertz), peak 1: ``[n_fft // 2 + 1, n_mels]``."""
    bins = scale(np.arange(front_end.n_fft // 2 + 1) * front_end.sample_rate_hz / front_end.n_fft)
    limits = scale(np.array([front_end.fmin_hz, front_end.fmax_hz]))
    corners = np.linspace(limits[0], limits[1], front_end.n_mels + 2)
    step = corners[1] - corners[0]
    rising = (bins[:, None] - corners[None, :-2]) / step
    falling = (corners[None, 2:] - bins[:, None]) / step
    filters: NDArray[float32] = np.maximum(0.0, np.minimum(rising, falling)).astype(float32)
    return filters


def _mel(hz: NDArray[float64]) -> NDArray[float64]:
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def _bark(hz: NDArray[float64]) -> NDArray[float64]:
    return 26.81 * hz / (1960.0 + hz) - 0.53


def _erb_rate(hz: NDArray[float64]) -> NDArray[float64]:
    return 9.265 * np.log(1.0 + hz / 228.833)


class LogMel:
    """Normalised log-mel columns (or of other banks); one column is always computed alone, so that blocks never change
    a bit of it.
    """

    def __init__(self, front_end: AudioFrontEnd) -> None:
        self.front_end = front_end
        filters = [filter_bank(front_end, bank).T for bank in front_end.banks]
        self._filters = np.ascontiguousarray(np.concatenate(filters))
        phase = 2.0 * np.pi * np.arange(front_end.n_fft) / front_end.n_fft
        self._window = (0.5 - 0.5 * np.cos(phase)).astype(float32)

    def column(self, samples: NDArray[float32], side: NDArray[float32] | None = None) -> NDArray[float32]:
        """Return the column ``[column_size]`` of *samples* ``[n_fft]`` at the front end's rate, full scale 1.0.

        side: where the mix is not mono, half the difference of left and right ``[n_fft]``; *samples* is half their sum.
        """
        if side is None:
            return self._bands(samples)
        return np.concatenate([self._bands(signal) for signal in self._signals(samples, side)])

    def _bands(self, samples: NDArray[float32]) -> NDArray[float32]:
        spectrum = np.fft.rfft(samples * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(float32)
        norm = self.front_end.normalisation
        value: NDArray[float32] = (np.log(self._filters @ power + float32(norm.floor)) - float32(norm.mean)) / float32(
            norm.scale
        )
        return value

    def _signals(self, middle: NDArray[float32], side: NDArray[float32]) -> tuple[NDArray[float32], ...]:
        if self.front_end.mix == "average_difference":
            return middle, side + side
        left, right = middle + side, middle - side
        return (left, right) if self.front_end.mix == "left_right" else (left, right, side + side)

    def columns(self, samples: NDArray[float32]) -> NDArray[float32]:
        """Return all whole columns ``[n, column_size]`` of mono *samples* ``[t]``: no padding, no centring."""
        front_end = self.front_end
        count = max(0, (len(samples) - front_end.n_fft) // front_end.hop_samples + 1)
        result = np.empty((count, front_end.column_size), float32)
        side = np.zeros(front_end.n_fft, float32) if front_end.channels > 1 else None
        for c in range(count):
            start = c * front_end.hop_samples
            result[c] = self.column(samples[start : start + front_end.n_fft], side)
        return result


def mono(samples: NDArray[float32]) -> NDArray[float32]:
    """Return the mean ``[n]`` of all channels of *samples* ``[n, channels]``."""
    total = samples[:, 0]
    # Damaged samples stay damaged: that is for the track to judge, and nothing to warn of.
    with np.errstate(over="ignore", invalid="ignore"):
        for channel in range(1, samples.shape[1]):
            total = total + samples[:, channel]
    return total / float32(samples.shape[1]) if samples.shape[1] > 1 else total


def side(samples: NDArray[float32]) -> NDArray[float32]:
    """Return half the difference ``[n]`` of the first two channels of *samples* ``[n, channels]``; of one: zeros."""
    if samples.shape[1] == 1:
        return np.zeros_like(samples[:, 0])
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((samples[:, 0] - samples[:, 1]) / float32(2))


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
    planes = np.empty((3, *picture.shape[:2]), float32)
    # Colour by colour, so that no picture is turned round in memory.
    for colour, plane in enumerate(planes):
        np.subtract(picture[..., colour], mean[colour], out=plane)
        plane *= scale[colour]
    return planes
