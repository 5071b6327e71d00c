"""Teach the image encoder: EfficientNet-Lite0, first weights from ImageNet, on the categories of MiniPlaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy import float32, float64, int64, uint8
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from edge_avsc.training.classes import GROUPS, NONE, group_of
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.schedule import Run
from edge_avsc.training.spec import IMAGE

BATCH = 48


# How large the views are, from which share of the run on: small ones teach more of them in the same time (progressive
# resizing, Tan & Le 2021), and crops show things larger than whole pictures do, so the last size is the product's
# (Touvron et al. 2019).
VIEW_PX = {0.0: 96, 0.2: 112, 0.7: IMAGE.size_px}


def view_px(done: float, anew: bool = True) -> int:
    """Return the views' size after the share *done* of a run; one that goes on from an earlier skips the smallest."""
    sizes = [size for start, size in VIEW_PX.items() if done >= start]
    return sizes[-1] if anew else max(sizes[-1], list(VIEW_PX.values())[1])


def augmented(image: NDArray[uint8], random: np.random.Generator, size: int) -> NDArray[float32]:
    """Return a random view of *image* as a poor camera might see it: float32 RGB in 0..255 ``[size, size, 3]``."""
    matrix = _random_crop(image.shape[0], random) * float32(size / image.shape[0])
    view = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if random.random() < 0.2:
        view = cv2.GaussianBlur(view, (0, 0), random.uniform(0.4, 1.5))
    if random.random() < 0.25:
        quality = int(random.integers(20, 80))
        packed = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        view = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return _relit(view.astype(float32), random)


def _random_crop(size: int, random: np.random.Generator) -> NDArray[float32]:
    area, aspect = random.uniform(0.4, 1.0), np.exp(random.uniform(np.log(0.75), np.log(1.6)))
    width, height = min(1.0, np.sqrt(area * aspect)), min(1.0, np.sqrt(area / aspect))
    left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
    angle = np.deg2rad(random.uniform(-12, 12)) if random.random() < 0.5 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.diag([1 / width, 1 / height])
    if random.random() < 0.5:
        scale[0, 0] = -scale[0, 0]
    middle = np.array([left + width / 2, top + height / 2]) * size
    matrix = scale @ turn
    shift = np.array([size / 2, size / 2]) - matrix @ middle
    return np.concatenate([matrix, shift[:, None]], axis=1).astype(float32)


def _relit(view: NDArray[float32], random: np.random.Generator) -> NDArray[float32]:
    grey = view.mean(axis=2, keepdims=True)
    view = grey + (view - grey) * float32(random.uniform(0.4, 1.5))
    view = (view - view.mean()) * float32(random.uniform(0.6, 1.4)) + view.mean()
    view = view * random.uniform(0.85, 1.15, 3).astype(float32)
    exposure = random.uniform(0.25, 0.7) if random.random() < 0.2 else random.uniform(0.7, 1.35)
    view = view * float32(exposure)
    if random.random() < 0.3:
        noise = random.standard_normal(view.shape, float32)
        view = view + noise * float32(random.uniform(2, 14))
    return np.clip(view, 0, 255).astype(float32)


def to_input(views: NDArray[float32]) -> NDArray[float32]:
    """Turn RGB ``[n, s, s, 3]`` in 0..255 into the encoder's input ``[n, 3, s, s]``, as ``normalised_picture`` does."""
    mean = np.asarray(IMAGE.normalisation.mean, float32) * float32(255)
    scale = float32(1) / (np.asarray(IMAGE.normalisation.std, float32) * float32(255))
    return np.ascontiguousarray(((views - mean) * scale).transpose(0, 3, 1, 2))


def group_shares(groups: NDArray[int64]) -> NDArray[float64]:
    """Return how often each group is shown: "none of ours" as it is, the rest drawn half way to equal (square root)."""
    counts = np.bincount(groups, minlength=len(GROUPS)).astype(float64)
    shares = counts / counts.sum()
    roots = np.sqrt(counts[:NONE])
    shares[:NONE] = (1 - shares[NONE]) * roots / roots.sum()
    return np.asarray(shares, float64)


def batch(
    data: Pictures, random: np.random.Generator, chances: NDArray[float64], size: int
) -> tuple[NDArray[float32], NDArray[int64]]:
    """Return BATCH augmented views of *size* pixels and their categories; *chances* ``[n]`` of each picture."""
    chosen = random.choice(len(data.images), BATCH, p=chances)
    views = np.stack([augmented(data.images[i], random, size) for i in chosen])
    return to_input(views), data.categories[chosen]


def train(model: Any, data: Pictures, path: Path, *, epochs: float, minutes: float, seed: int, anew: bool) -> None:
    """Fine-tune *model* (an ImageClassifier) in place; the run is saved in *path* and resumed from there.

    anew: whether this is the first run, from ImageNet's weights; a later one learns at half the rate.
    """
    rate = 1.0 if anew else 0.5
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    groups = torch.tensor([group_of(name) for name in data.names])
    model.to(memory_format=torch.channels_last)  # a quarter faster on a CPU, and so is the fused optimiser
    optimiser = torch.optim.AdamW(
        [
            {"params": model.trunk_parameters(), "lr": 3e-4 * rate},
            {"params": model.head_parameters(), "lr": 1.5e-3 * rate},
        ],
        weight_decay=0.05,
        fused=True,
    )
    chances = (group_shares(data.groups) / np.bincount(data.groups, minlength=len(GROUPS)))[data.groups]
    run = Run(model, optimiser, path, steps=round(epochs * len(data.images) / BATCH), minutes=minutes)
    model.train()
    while run.done() < 1:
        inputs, categories = batch(data, random, chances, view_px(run.done(), anew))
        run.learn(_mixed_loss(model, torch.from_numpy(inputs), torch.from_numpy(categories), groups, random))
    run.finish()


def _mixed_loss(model: Any, inputs: Any, categories: Any, groups: Any, random: np.random.Generator) -> Any:
    if random.random() >= 0.3:
        return _loss(model(inputs), categories, groups)
    share, other = float(random.beta(0.4, 0.4)), torch.from_numpy(random.permutation(len(inputs)))
    logits = model(share * inputs + (1 - share) * inputs[other])
    return share * _loss(logits, categories, groups) + (1 - share) * _loss(logits, categories[other], groups)


def _loss(logits: Any, categories: Any, groups: Any) -> Any:
    fine = cross_entropy(logits, categories, label_smoothing=0.1)
    coarse = cross_entropy(grouped(logits, groups), groups[categories], label_smoothing=0.05)
    return 0.5 * fine + coarse


def grouped(logits: Any, groups: Any) -> Any:
    """Return the log-sum-exp of the category logits ``[n, c]`` in each group: ``[n, len(GROUPS)]``."""
    return torch.stack([torch.logsumexp(logits[:, groups == g], dim=1) for g in range(len(GROUPS))], dim=1)
