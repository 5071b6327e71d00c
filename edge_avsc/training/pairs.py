"""Pictures and sounds paired by class, none of them trained on: what the fusion is fitted and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.training.classes import GROUPS, LABELS, NONE, VEHICLE_SHARES
from edge_avsc.training.fusion import best_temperature, log_loss
from edge_avsc.training.inference import softmax
from edge_avsc.training.picture_data import Pictures

PER_PICTURE = 4


@dataclass(frozen=True)
class Pairs:
    """Row numbers of pictures and of sounds, and the class of each pair, all ``[n]``."""

    pictures: NDArray[int64]
    sounds: NDArray[int64]
    labels: NDArray[int64]


def class_pairs(data: Pictures, teacher_logits: NDArray[Any], seed: int) -> Pairs:
    """Pair each labelled picture with sounds that the teacher holds for its class, more often the surer it is.

    A bus's inside is a bus half of the time, a metro or a tram otherwise, as VEHICLE_SHARES says. Pictures with even
    rows meet sounds with even rows only, so that either half can be kept from what the other one fits.
    """
    random = np.random.default_rng(seed)
    shares = softmax(teacher_logits.astype(float64))
    halves = [np.arange(half, len(shares), 2) for half in (0, 1)]
    pictures, sounds, labels = [], [], []
    for row in np.flatnonzero(data.groups != NONE):
        group, half = GROUPS[data.groups[row]], halves[row % 2]
        for name in _names(group):
            label = LABELS.index(name)
            likely = shares[half, label]
            pictures.append(row)
            sounds.append(random.choice(half, p=likely / likely.sum()))
            labels.append(label)
    return Pairs(np.array(pictures, int64), np.array(sounds, int64), np.array(labels, int64))


def _names(group: str) -> list[str]:
    if group != "bus":
        return [group] * PER_PICTURE
    return [name for name, share in VEHICLE_SHARES.items() for _ in range(round(PER_PICTURE * share))]


@dataclass(frozen=True)
class Verdict:
    """Which fusion did better on halves that it was not fitted on, and the trained one fitted on all pairs."""

    product_log_loss: float
    trained_log_loss: float
    weight: Any
    bias: Any

    @property
    def trained_is_better(self) -> bool:
        """Whether the trained head earns its keep."""
        return self.trained_log_loss < self.product_log_loss


def judge_fusions(sound: NDArray[float64], picture: NDArray[float64], pairs: Pairs) -> Verdict:
    """Compare the product of experts with a trained head, each fitted on one half of the pairs and judged on the other.

    sound, picture: each expert's log-probabilities for the pairs ``[n, 10]``.
    """
    halves = [np.flatnonzero(pairs.pictures % 2 == half) for half in (0, 1)]
    both, labels = sound + picture, pairs.labels
    words = np.concatenate([sound, picture], 1)
    product, trained = [], []
    for fitted, judged in (halves, halves[::-1]):
        product.append(log_loss(both[judged], labels[judged], best_temperature(both[fitted], labels[fitted])))
        weight, bias = _trained_head(words[fitted], labels[fitted])
        trained.append(log_loss(words[judged] @ weight.numpy().T + bias.numpy(), labels[judged]))
    return Verdict(float(np.mean(product)), float(np.mean(trained)), *_trained_head(words, labels))


def _trained_head(words: NDArray[float64], labels: NDArray[int64]) -> tuple[Any, Any]:
    """Fit weight ``[10, 20]`` and bias ``[10]`` over both experts' words, held near the experts' product."""
    inputs, wanted = torch.from_numpy(words), torch.from_numpy(labels)
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
