"""What training does to a batch before it learns from it; all chance is PyTorch's, which the trainer seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from edge_avsc.bundle import AudioFrontEnd
from edge_avsc.training.recipes.settings import Augmentation
from edge_avsc.training.recipes.system import Batch


def augmented(batch: Batch, how: Augmentation, front: AudioFrontEnd | None, targets: Any) -> tuple[Batch, Any]:
    """Return the changed batch and its targets ``[n, labels]``. Embeddings know only mixup."""
    columns, pictures = batch.columns, batch.pictures
    if front is not None and columns.dim() == 3 and columns.shape[2] == front.column_size:
        columns = sound_changed(columns, how, front)
    if pictures.dim() == 5 and pictures.shape[1] > 0:
        pictures = pictures_changed(pictures, how)
    return mixed(replace(batch, columns=columns, pictures=pictures), how, targets)


def sound_changed(columns: Any, how: Augmentation, front: AudioFrontEnd) -> Any:
    """Exchange channels, shift bands, mask times and bands of columns ``[n, columns, column_size]``."""
    n, steps, _ = columns.shape
    planes = columns.reshape(n, steps, front.channels, len(front.banks), front.n_mels)
    if how.channel_confusion and front.channels > 1 and front.mix != "average_difference":
        # The power of a difference does not know which side was which.
        exchanged = torch.cat([planes[:, :, [1, 0]], planes[:, :, 2:]], 2)
        some = _share(n, how.channel_confusion).to(planes.device)
        planes = torch.where(some[:, None, None, None, None], exchanged, planes)
    if how.pitch_shift:
        by = torch.randint(-how.pitch_shift, how.pitch_shift + 1, (n, 1))
        bands = (torch.arange(front.n_mels)[None] + by).clamp(0, front.n_mels - 1)
        planes = planes.gather(4, bands[:, None, None, None].expand_as(planes).to(planes.device))
    if how.spec_augment:
        quiet = planes.mean((1, 4), keepdim=True)
        times = _mask(n, steps, 0.2)[:, :, None, None, None]
        bands = _mask(n, front.n_mels, 0.2)[:, None, None, None]
        planes = torch.where((times | bands).to(planes.device), quiet, planes)
    return planes.reshape(columns.shape)


def pictures_changed(pictures: Any, how: Augmentation) -> Any:
    """Crop, flip and recolour pictures ``[n, k, 3, size, size]``, all of one window alike."""
    n, k = pictures.shape[:2]
    if how.random_resized_crop or how.flip:
        least = how.random_resized_crop or 1.0
        size = least + (1 - least) * torch.rand(n, 2)
        middle = (1 - size) * (2 * torch.rand(n, 2) - 1)
        sign = torch.where(_share(n, 0.5 if how.flip else 0.0), -1.0, 1.0)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = sign * size[:, 0], size[:, 1], middle
        theta = theta.repeat_interleave(k, 0).to(pictures.device)
        flat = pictures.flatten(0, 1)
        grid = torch.nn.functional.affine_grid(theta, list(flat.shape), align_corners=False)
        moved = torch.nn.functional.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
        pictures = moved.reshape(pictures.shape)
    if how.colour_jitter:
        # Values are in deviations: a gain about their mean is contrast, an offset brightness, by channel a tint.
        gain = 1 + how.colour_jitter * (2 * torch.rand(n, 1, 1, 1, 1) - 1)
        offset = how.colour_jitter * (torch.randn(n, 1, 1, 1, 1) + 0.3 * torch.randn(n, 1, 3, 1, 1))
        pictures = pictures * gain.to(pictures.device) + offset.to(pictures.device)
    return pictures


def mixed(batch: Batch, how: Augmentation, targets: Any) -> tuple[Batch, Any]:
    """Mix pairs of windows and their targets (Zhang et al. 2018); both modalities alike, or each with its own pairs."""
    if not how.mixup:
        return batch, targets
    n = len(targets)
    beta = torch.distributions.Beta(how.mixup, how.mixup)
    draws = [(torch.randperm(n), beta.sample((n,)))]
    draws.append(draws[0] if how.joint else (torch.randperm(n), beta.sample((n,))))
    (columns, heard, of_sound), (pictures, seen, of_pictures) = (
        (
            _pairs(values, order, share),
            _pairs_there(there, order),
            _pairs(targets, order, share),
        )
        for values, there, (order, share) in zip(
            (batch.columns, batch.pictures), (batch.heard, batch.seen), draws, strict=True
        )
    )
    changed = replace(batch, columns=columns, pictures=pictures, heard=heard, seen=seen)
    return changed, (of_sound + of_pictures) / 2


def _pairs(values: Any, order: Any, share: Any) -> Any:
    if values.numel() == 0:
        return values
    weights = share.to(values.device).reshape(-1, *[1] * (values.dim() - 1))
    return weights * values + (1 - weights) * values[order.to(values.device)]


def _pairs_there(there: Any, order: Any) -> Any:
    other = there[order.to(there.device)]
    return there & other if there.dtype == torch.bool else there * other


def _share(n: int, share: float) -> Any:
    return torch.rand(n) < share


def _mask(n: int, length: int, share: float) -> Any:
    """Return one run of up to *share* of the length for each, True where masked, ``[n, length]``."""
    long = torch.randint(0, max(1, round(share * length)) + 1, (n, 1))
    start = (torch.rand(n, 1) * (length - long + 1)).long()
    at = torch.arange(length)[None]
    return (at >= start) & (at < start + long)
