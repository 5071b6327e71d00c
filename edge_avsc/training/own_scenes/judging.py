"""From both experts' words to probabilities and to the evidence of "none": the arithmetic that the graph repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

STATES = ("av", "a", "v")
STEEPNESS = 2.0
"""How fast likeness turns into unlikeness, per standard deviation of held-out windows."""
THRESHOLD = 0.5
"""Of "none", in every bundle of own scenes: each state's log-odds are moved so that it holds."""
CANNOT_TELL = 8.0
"""The unlikeness where nothing was learnt in the modality that is there: whatever it shows, it is not known."""
LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Scene:
    """Which labels the bundle has, and which of them are known to the one it is built upon.

    classes: the bundle's labels, and 'none' last where *has_none*. shipped: labels of the bundle that is built upon.
    """

    classes: tuple[str, ...]
    has_none: bool
    shipped: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The bundle's labels."""
        return self.classes[: len(self.classes) - self.has_none]

    @property
    def shares(self) -> bool:
        """Whether the shipped head knows any of the labels."""
        return bool(set(self.shipped) & set(self.labels))

    def shared_selection(self) -> tuple[NDArray[float64], NDArray[float64]]:
        """Return a matrix ``[n_shipped, n_classes]`` and a row ``[n_classes]``: what the shipped head says of classes.

        Of one that it does not know it says nothing: the row has an equal share there.
        """
        matrix = np.zeros((len(self.shipped), len(self.classes)))
        for place in range(len(self.labels)):
            if self.classes[place] in self.shipped:
                matrix[self.shipped.index(self.classes[place]), place] = 1.0
        return matrix, np.where(matrix.any(axis=0), 0.0, 1.0 / len(self.shipped))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of n windows. sound, pictures: logits ``[n, n_classes]``; *_distance: unlikeness ``[n]``; NaN where
    missing. shipped: in each state the shipped labels' probabilities ``[n, n_shipped]``.
    """

    sound: NDArray[float64]
    pictures: NDArray[float64]
    sound_distance: NDArray[float64]
    pictures_distance: NDArray[float64]
    shipped: Mapping[str, NDArray[float64]]


@dataclass(frozen=True, slots=True)
class Modality:
    """How one expert's word is read. strength: which of the experts. temperature: divides its logits. floor: the share
    of its word that is kept for any class. middle, spread: where on its unlikeness the chosen share of held-out windows
    ends, and their standard deviation. *learnt* is False where it knows too little to speak.
    """

    learnt: bool
    strength: float = 1.0
    temperature: float = 1.0
    floor: float = 0.0
    middle: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How the experts are read together. shares: in each state, how much the sound's, the pictures' and the shipped
    head's word count. levels: in each state, what the shipped head's silence on a label that it does not know is worth,
    in equal shares. middle, spread: of the mean unlikeness of both modalities. offset: in each state, what is taken
    from the log-odds of "none", so that one threshold holds in all.
    """

    sound: Modality
    pictures: Modality
    shares: Mapping[str, tuple[float, float, float]]
    levels: Mapping[str, float]
    middle: float
    spread: float
    offset: Mapping[str, float]


def expert_word(logits: NDArray[float64], read: Modality) -> NDArray[float64]:
    """Return log-probabilities ``[n, n_classes]``; a class that is not known (NaN) gets an equal share, no more."""
    n_classes = logits.shape[1]
    known = ~np.isnan(logits)
    scaled = np.where(known, logits, -np.inf) / read.temperature
    top = np.where(known.any(axis=1), scaled.max(axis=1, initial=-1e30), 0.0)[:, None]
    powers = np.exp(scaled - top)
    total = np.maximum(powers.sum(axis=1, keepdims=True), 1e-300)
    shared = np.where(known, powers / total * known.sum(axis=1, keepdims=True) / n_classes, 1.0 / n_classes)
    word: NDArray[float64] = np.log((1.0 - read.floor) * shared + read.floor / n_classes)
    return word


def words(state: str, evidence: Evidence, reading: Reading, scene: Scene) -> NDArray[float64]:
    """Return log-probabilities ``[3, n, n_classes]``: of sound, pictures, shipped head; 0 of one that says nothing."""
    said = np.zeros((3, *evidence.sound.shape))
    if "a" in state and reading.sound.learnt:
        said[0] = expert_word(evidence.sound, reading.sound)
    if "v" in state and reading.pictures.learnt:
        said[1] = expert_word(evidence.pictures, reading.pictures)
    if scene.shares:
        matrix, unknown = scene.shared_selection()
        said[2] = np.log(evidence.shipped[state] @ matrix + reading.levels[state] * unknown + LEAST)
    return said


def classes_in(state: str, evidence: Evidence, reading: Reading, scene: Scene) -> NDArray[float64]:
    """Return the folder's classes' probabilities ``[n, n_classes]`` in a state: the product of the experts' words."""
    return softmax_rows(np.tensordot(reading.shares[state], words(state, evidence, reading, scene), 1))


def unlikeness(state: str, evidence: Evidence, reading: Reading) -> NDArray[float64]:
    """Return how unlike the folder's recordings windows are ``[n]``: 0 where the chosen share of its own ends."""
    parts = [
        (distance - read.middle) / read.spread
        for letter, distance, read in (
            ("a", evidence.sound_distance, reading.sound),
            ("v", evidence.pictures_distance, reading.pictures),
        )
        if letter in state and read.learnt
    ]
    if not parts:
        return np.full(len(evidence.sound), CANNOT_TELL)
    if len(parts) == 1:
        return parts[0]
    both: NDArray[float64] = ((parts[0] + parts[1]) / 2 - reading.middle) / reading.spread
    return both


def judge(state: str, evidence: Evidence, reading: Reading, scene: Scene) -> tuple[NDArray[float64], NDArray[float64]]:
    """Return probabilities ``[n, n_labels]`` and the log-odds of "none" ``[n]`` in a state of the modalities.

    None is what is unlike all that was learnt, and what was learnt to be none.
    """
    ours = classes_in(state, evidence, reading, scene)[:, : len(scene.labels)]
    total = ours.sum(axis=1)
    none = 1.0 - total / (1.0 + np.exp(STEEPNESS * unlikeness(state, evidence, reading)))
    odds = np.log(np.maximum(none, 0.0) + LEAST) - np.log(np.maximum(1.0 - none, 0.0) + LEAST)
    return ours / total[:, None], odds - reading.offset[state]


def softmax_rows(logits: NDArray[float64]) -> NDArray[float64]:
    """Return probabilities that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: NDArray[float64] = powers / powers.sum(axis=1, keepdims=True)
    return rows


def losses(label_index: NDArray[int64], probabilities: NDArray[float64]) -> NDArray[float64]:
    """Return each row's natural log-loss ``[n]``."""
    right: NDArray[float64] = -np.log(np.maximum(probabilities[np.arange(len(label_index)), label_index], 1e-15))
    return right
