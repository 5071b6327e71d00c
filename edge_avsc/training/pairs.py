"""Pictures and sounds paired by class: what the fusion is fitted and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.training.classes import GROUPS, LABELS, NONE, VEHICLE_SHARES
from edge_avsc.training.fusion import best_temperature, log_loss
from edge_avsc.training.picture_data import Pictures

PER_PICTURE = 4


@dataclass(frozen=True)
class Pairs:
    """Row numbers of pictures and of sounds, and the class of each pair, all ``[n]``."""

    pictures: NDArray[int64]
    sounds: NDArray[int64]
    labels: NDArray[int64]


def class_pairs(data: Pictures, shares: NDArray[float64], seed: int) -> Pairs:
    """Pair each labelled picture with sounds of its class; *shares* ``[n, 10]``: how much each sound is of each class.

    A sound comes the more often the greater its share; a class that none has gets no pair. A bus's inside is a bus
    half of the time, a metro or a tram otherwise, as VEHICLE_SHARES says. Pictures with even rows meet sounds with even
    rows only, so that either half can be kept from what the other one fits.
    """
    random = np.random.default_rng(seed)
    halves = [np.arange(half, len(shares), 2) for half in (0, 1)]
    pictures, sounds, labels = [], [], []
    for row in np.flatnonzero(data.groups != NONE):
        group, half = GROUPS[data.groups[row]], halves[row % 2]
        for name in _names(group):
            label = LABELS.index(name)
            likely = shares[half, label]
            if not likely.any():
                continue
            pictures.append(row)
            sounds.append(random.choice(half, p=likely / likely.sum()))
            labels.append(label)
    return Pairs(np.array(pictures, int64), np.array(sounds, int64), np.array(labels, int64))


def _names(group: str) -> list[str]:
    if group != "bus":
        return [group] * PER_PICTURE
    return [name for name, share in VEHICLE_SHARES.items() for _ in range(round(PER_PICTURE * share))]


@dataclass(frozen=True)
class Heard:
    """Pairs, and what each expert alone says of their sound and of their picture: log-probabilities ``[n, 10]``."""

    pairs: Pairs
    sound: NDArray[float64]
    picture: NDArray[float64]

    def of(self, half: int) -> Heard:
        """Return the pairs whose pictures have even (0) or odd (1) rows."""
        rows = np.flatnonzero(self.pairs.pictures % 2 == half)
        pairs = Pairs(self.pairs.pictures[rows], self.pairs.sounds[rows], self.pairs.labels[rows])
        return Heard(pairs, self.sound[rows], self.picture[rows])


@dataclass(frozen=True)
class Verdict:
    """Which fusion did better where it was not fitted, and the trained one fitted on all pairs."""

    product_log_loss: float
    trained_log_loss: float
    weight: Any
    bias: Any

    @property
    def trained_is_better(self) -> bool:
        """Whether the trained head earns its keep."""
        return self.trained_log_loss < self.product_log_loss


def judge_fusions(fitted: Heard, judged: Heard) -> Verdict:
    """Compare the product of experts with a trained head, each fitted on *fitted* and judged on *judged*.

    They are of other sounds; of the pictures, each half is judged by what was fitted on the other one.
    """
    product, trained = [], []
    for half in (0, 1):
        known, new = fitted.of(half), judged.of(1 - half)
        temperature = best_temperature(known.sound + known.picture, known.pairs.labels)
        product.append(log_loss(new.sound + new.picture, new.pairs.labels, temperature))
        weight, bias = _trained_head(known)
        logits = np.concatenate([new.sound, new.picture], 1) @ weight.numpy().T + bias.numpy()
        trained.append(log_loss(logits, new.pairs.labels))
    return Verdict(float(np.mean(product)), float(np.mean(trained)), *_trained_head(fitted))


def _trained_head(heard: Heard) -> tuple[Any, Any]:
    """Fit weight ``[10, 20]`` and bias ``[10]`` over both experts' words, held near the experts' product."""
    inputs = torch.from_numpy(np.concatenate([heard.sound, heard.picture], 1))
    wanted = torch.from_numpy(heard.pairs.labels)
    start = torch.eye(len(LABELS), dtype=torch.float64).repeat(1, 2)
    weight, bias = start.clone().requires_grad_(), torch.zeros(len(LABELS), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weight.T + bias, wanted)
        value = value + 0.01 * ((weight - start).square().sum() + bias.square().sum())
        value.backward()
        return value

    optimiser.step(loss)
    return weight.detach(), bias.detach()
