"""Teach the image encoder: EfficientNet-Lite0, first weights from ImageNet, on the categories of MiniPlaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy import float32, float64, int64, uint8
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from edge_avsc.training import team
from edge_avsc.training.classes import GROUPS, NONE, group_of
from edge_avsc.training.device import BATCHES_AT_ONCE, DEVICE, half_precision, made_ahead
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.schedule import Run
from edge_avsc.training.spec import IMAGE

BATCH = 48 * BATCHES_AT_ONCE


# How large the views are, from which share of the run on: small ones teach more of them in the same time (progressive
# resizing, Tan & Le 2021). Crops show things larger than whole pictures do, so what is learnt on small views is right
# for larger pictures (Touvron et al. 2019); the last views are of the product's size, and cropped less.
VIEW_PX = {0.0: 96, 0.1: 128, 0.75: IMAGE.size_px}
LEAST_AREA = {96: 0.4, 128: 0.4, IMAGE.size_px: 0.6}


def view_px(done: float, anew: bool = True) -> int:
    """Return the views' size after the share *done* of a run; one that goes on from an earlier skips the smallest."""
    sizes = [size for start, size in VIEW_PX.items() if done >= start]
    return sizes[-1] if anew else max(sizes[-1], list(VIEW_PX.values())[1])


def augmented(image: NDArray[uint8], random: np.random.Generator, size: int) -> NDArray[uint8]:
    """Return a random view of *image* as a poor camera might see it: RGB ``[size, size, 3]``."""
    matrix = _random_crop(image.shape[0], LEAST_AREA[size], random) * float32(size / image.shape[0])
    view = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if random.random() < 0.2:
        view = cv2.GaussianBlur(view, (0, 0), random.uniform(0.4, 1.5))
    if random.random() < 0.25:
        quality = int(random.integers(20, 80))
        packed = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        view = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return _relit(view, random)


def _random_crop(size: int, least_area: float, random: np.random.Generator) -> NDArray[float32]:
    # Up to 1.8: a camera's picture of 16:9 is squeezed into the square, those to learn from are less.
    area, aspect = random.uniform(least_area, 1.0), np.exp(random.uniform(np.log(0.75), np.log(1.8)))
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


def _relit(view: NDArray[uint8], random: np.random.Generator) -> NDArray[uint8]:
    saturation, contrast = random.uniform(0.4, 1.5), random.uniform(0.6, 1.4)
    exposure = random.uniform(0.25, 0.7) if random.random() < 0.2 else random.uniform(0.7, 1.35)
    gains = exposure * random.uniform(0.85, 1.15, 3)
    colours = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    offset = np.full(3, (1 - contrast) * np.mean(cv2.mean(view)[:3]))
    view = cv2.transform(view, gains[:, None] * np.column_stack([colours, offset]))
    if random.random() < 0.3:
        noise = random.standard_normal(view.shape, float32) * float32(random.uniform(2, 14))
        view = np.clip(np.rint(view + noise), 0, 255).astype(uint8)
    return np.asarray(view, uint8)


def to_input(views: Any) -> Any:
    """Turn RGB tensors ``[n, s, s, 3]`` in 0..255 into the encoder's input ``[n, 3, s, s]``, on the device.

    It is what ``normalised_picture`` makes of one.
    """
    mean, std = (
        torch.tensor(values, device=DEVICE) * 255 for values in (IMAGE.normalisation.mean, IMAGE.normalisation.std)
    )
    return ((views.to(DEVICE, non_blocking=True).float() - mean) / std).permute(0, 3, 1, 2)


def group_shares(groups: NDArray[int64]) -> NDArray[float64]:
    """Return how often each group is shown: "none of ours" as it is, the rest each as often as any other."""
    counts = np.bincount(groups, minlength=len(GROUPS)).astype(float64)
    none = counts[NONE] / counts.sum()
    there = (counts[:NONE] > 0).astype(float64)
    return np.append((1 - none) * there / there.sum(), none)


def group_chances(groups: NDArray[int64]) -> NDArray[float64]:
    """Return each picture's chance to be drawn, by those shares."""
    counts = np.bincount(groups, minlength=len(GROUPS))
    chances: NDArray[float64] = group_shares(groups)[groups] / counts[groups]
    return chances


@dataclass(frozen=True)
class Batches:
    """Batches of random views; *chances* ``[n]`` of each picture."""

    data: Pictures
    chances: NDArray[float64]
    seed: int

    def __getitem__(self, order: tuple[int, int]) -> tuple[NDArray[uint8], NDArray[int64]]:
        """Return the views of a batch, by its number and their size in pixels, and their categories."""
        number, size = order
        random = np.random.default_rng([self.seed, number])
        chosen = random.choice(len(self.data.images), BATCH, p=self.chances)
        views = [augmented(self.data.images[i], random, size) for i in chosen]
        return np.stack(views), self.data.categories[chosen]


def train(model: Any, data: Pictures, path: Path, *, epochs: float, minutes: float, seed: int, anew: bool) -> None:
    """Fine-tune *model* (an ImageClassifier) in place; the run is saved in *path* and resumed from there.

    anew: whether this is the first run, from ImageNet's weights; a later one learns at half the rate.
    """
    # On a GPU too, where batches are larger: without batch norms a higher rate let a network collapse.
    rate = 1.0 if anew else 0.5
    torch.manual_seed(seed)
    groups = torch.tensor([group_of(name) for name in data.names], device=DEVICE)
    model.to(DEVICE, memory_format=torch.channels_last)  # a quarter faster on a CPU, and so is the fused optimiser
    optimiser = torch.optim.AdamW(
        [
            {"params": model.trunk_parameters(), "lr": 3e-4 * rate},
            {"params": model.head_parameters(), "lr": 1.5e-3 * rate},
        ],
        weight_decay=0.05,
        fused=True,
    )
    steps = round(epochs * len(data.images) / (BATCH * team.SIZE))
    began_with = "ImageNet's weights" if anew else "an earlier bundle"
    run = Run(model, optimiser, path, steps=steps, minutes=minutes, began_with=began_with)
    random = np.random.default_rng([seed, run.step])
    model.train()
    batches = Batches(data, group_chances(data.groups), seed)
    for views, categories in made_ahead(batches, orders(run, lambda done: view_px(done, anew))):
        if run.done() >= 1:
            break
        run.learn(_mixed_loss(model, to_input(views), categories.to(DEVICE), groups, random))
    run.finish()


def orders(run: Run, px: Callable[[float], int]) -> Iterator[tuple[int, int]]:
    """Yield what this process asks Batches for until *run* is over; *px*: the views' size by the share that is done."""
    number = run.step * team.SIZE + team.RANK
    while run.done() < 1:
        yield number, px(run.done())
        number += team.SIZE


def _mixed_loss(model: Any, inputs: Any, categories: Any, groups: Any, random: np.random.Generator) -> Any:
    share, others = 1.0, categories
    if random.random() < 0.3:
        share, order = float(random.beta(0.4, 0.4)), torch.from_numpy(random.permutation(len(inputs))).to(DEVICE)
        inputs, others = share * inputs + (1 - share) * inputs[order], categories[order]
    with half_precision():
        logits = model(inputs)
    logits = logits.float()
    return share * _loss(logits, categories, groups) + (1 - share) * _loss(logits, others, groups)


def _loss(logits: Any, categories: Any, groups: Any) -> Any:
    fine = cross_entropy(logits, categories, label_smoothing=0.1)
    coarse = cross_entropy(grouped(logits, groups), groups[categories], label_smoothing=0.05)
    return 0.5 * fine + coarse


def grouped(logits: Any, groups: Any) -> Any:
    """Return the log-sum-exp of the category logits ``[n, c]`` in each group: ``[n, len(GROUPS)]``."""
    return torch.stack([torch.logsumexp(logits[:, groups == g], dim=1) for g in range(len(GROUPS))], dim=1)
