"""The teacher of places: a SqueezeNet taught on Places365, rebuilt from its weights. It never ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy import float32
from numpy.typing import NDArray
from torch.nn.functional import conv2d, leaky_relu, max_pool2d
from tqdm import tqdm

from edge_avsc.training.device import DEVICE
from edge_avsc.training.picture_data import Pictures

# It learnt from sharp pictures of 224 px, MiniPlaces has 128: they are shown as they are, and sharpened and smaller.
# Of its validation pictures whose category Places365 has, it names 21 % by the first look, 25 % by the mean of both.
LOOKS = ((224, 0.0), (192, 1.0))
BLUR = 1.2  # of the unsharp mask, in MiniPlaces' pixels
FIRES = 8
AT_ONCE = 32


class PlacesTeacher:
    """SqueezeNet 1.1 with batch norms, of ``squeezenet_places365_fp32.npz`` (urbste/squeezenet_places365).

    Its pictures are BGR less a mean, its kernels those of a true convolution, its units leaky by 0.55.
    """

    def __init__(self, weights: Path) -> None:
        stored = np.load(weights)
        arrays = [torch.from_numpy(stored[f"p{index:03d}"]).to(DEVICE) for index in range(len(stored.files))]
        self._units = [arrays[first : first + 6] for first in range(0, len(arrays), 6)]

    def __call__(self, pictures: NDArray[Any]) -> NDArray[float32]:
        """Return the 365 logits of uint8 RGB pictures ``[n, s, s, 3]``, the mean of both looks: ``[n, 365]``."""
        return np.asarray(np.mean([self._look(pictures, *look) for look in LOOKS], axis=0), float32)

    def _look(self, pictures: NDArray[Any], size: int, sharpness: float) -> NDArray[float32]:
        views = np.stack([cv2.resize(_sharpened(one, sharpness), (size, size)) for one in pictures])
        blue_first = torch.from_numpy(np.ascontiguousarray(views[..., ::-1])).to(DEVICE).float()
        inputs = (blue_first - torch.tensor([104.9, 112.2, 116.8], device=DEVICE)) / 255
        with torch.inference_mode():
            logits: NDArray[float32] = self._logits(inputs.permute(0, 3, 1, 2)).cpu().numpy()
        return logits

    def _logits(self, x: Any) -> Any:
        units = iter(self._units)
        x = max_pool2d(_unit(x, next(units), stride=2), 3, 2)
        for fire in range(FIRES):
            squeezed = _unit(x, next(units))
            x = torch.cat([_unit(squeezed, next(units)), _unit(squeezed, next(units))], 1)
            if fire in (1, 3):
                x = max_pool2d(x, 3, 2)
        return _unit(x, next(units)).mean((2, 3))


def _sharpened(picture: NDArray[Any], amount: float) -> Any:
    return cv2.addWeighted(picture, 1 + amount, cv2.GaussianBlur(picture, (0, 0), BLUR), -amount, 0)


def _unit(x: Any, arrays: list[Any], stride: int = 1) -> Any:
    weight, bias, *norm = arrays
    x = conv2d(x, weight.flip(2, 3), bias, stride=stride, padding=weight.shape[2] // 2)
    if norm:
        shift, factor, mean, inverse_deviation = (one[:, None, None] for one in norm)
        x = (x - mean) * (factor * inverse_deviation) + shift
    return leaky_relu(x, 0.55)


def taught_places(weights: Path, pictures: Pictures, cache: Path) -> NDArray[float32]:
    """Return the teacher's 365 logits of each of the *pictures*, ``[n, 365]``; *cache* (.npy) keeps them."""
    if not cache.is_file():
        teacher = PlacesTeacher(weights)
        starts = tqdm(range(0, len(pictures.images), AT_ONCE), desc=cache.stem, mininterval=5.0)
        np.save(cache, np.concatenate([teacher(pictures.images[i : i + AT_ONCE]) for i in starts]))
    said: NDArray[float32] = np.load(cache)
    return said
