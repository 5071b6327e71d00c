"""From two trained encoders to a fusion head whose word can be trusted: corrections, mixing, threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_avsc.training import experts, pairs
from edge_avsc.training.classes import NONE
from edge_avsc.training.experts import TaughtSeconds
from edge_avsc.training.fusion import FusionHead
from edge_avsc.training.pairs import Pairs, Verdict
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.sounds import Field, Lessons

FALSE_ALARMS = 0.05


@dataclass(frozen=True)
class Material:
    """What heads are fitted on, whatever the encoders.

    seconds: unlabelled sound that was trained on. kept_out: such sound that was not, second by second; strange: random
    views of it. field: views of labelled recordings. picture_priors: each group's share of the pictures seen in
    training.
    """

    seconds: TaughtSeconds
    field: Field
    kept_out: TaughtSeconds
    strange: Lessons
    train_pictures: Pictures
    picture_priors: list[float]
    val_pictures: Pictures


@dataclass(frozen=True)
class Embedded:
    """Embeddings, float32 ``[n, 128]``: of Material's seconds, its strange views and its validation pictures.

    field: of views of the labelled recordings that the encoder learnt from, all classes alike.
    """

    seconds: Any
    field: Any
    strange: Any
    pictures: Any


@dataclass(frozen=True)
class Fitted:
    """A head, what its two fusions were worth, the pairs they were fitted on, and the threshold for "none of ours"."""

    head: FusionHead
    verdict: Verdict
    pairs: Pairs
    threshold: float


def fit_head(audio: Any, image: Any, embedded: Embedded, material: Material, seed: int) -> Fitted:
    """Fit a head for an AudioClassifier and an ImageClassifier; *seed* draws the pairs."""
    head = FusionHead(experts.make_experts(audio, image, embedded.seconds, embedded.field, embedded.strange, material))
    said = material.strange.maps.astype(np.float32).mean((2, 3))
    paired = pairs.class_pairs(material.val_pictures, said, seed)
    words = experts.words(head, embedded.strange[paired.sounds], embedded.pictures[paired.pictures])
    verdict = pairs.judge_fusions(*words, paired)
    if verdict.trained_is_better:
        head.mix(verdict.weight, verdict.bias)
    ours = material.val_pictures.groups != NONE
    return Fitted(head, verdict, paired, experts.alarm_threshold(head, embedded.pictures[ours], FALSE_ALARMS))
