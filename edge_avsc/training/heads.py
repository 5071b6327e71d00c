"""From two trained encoders to a fusion head whose word can be trusted: corrections, mixing, threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import bool_, float32, float64
from numpy.typing import NDArray

from edge_avsc.training import experts, pairs
from edge_avsc.training.classes import LABELS, NONE
from edge_avsc.training.experts import TaughtSeconds, Unseen
from edge_avsc.training.fusion import FusionHead, best_temperature
from edge_avsc.training.inference import softmax
from edge_avsc.training.pairs import Pairs, Verdict
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.sounds import Field, Lessons

FALSE_ALARMS = 0.05


@dataclass(frozen=True)
class Material:
    """What heads are fitted on, whatever the encoders.

    seconds: unlabelled sound that was trained on. kept_out: such sound that was not, second by second; strange: random
    views of it. field: views of labelled recordings. places: the Places teacher's logits of the training pictures
    ``[n, 365]``. picture_priors: each group's share of the pictures seen in training.
    """

    seconds: TaughtSeconds
    field: Field
    kept_out: TaughtSeconds
    strange: Lessons
    train_pictures: Pictures
    places: NDArray[float32]
    picture_priors: list[float]
    val_pictures: Pictures

    def lent(self) -> NDArray[bool_]:
        """Return which seconds of kept-out sound are fitted on, ``[n]``: every second recording's. The rest judges."""
        return np.asarray(np.unique(self.kept_out.names, return_inverse=True)[1] % 2 == 0)


@dataclass(frozen=True)
class Known:
    """What the encoders for CPUs make of *material*, and of recordings.

    prior: what the sound expert says of the field on the average, ``[10]``; it is taken off. unseen: what such experts
    say where they learnt nothing. strange: what this one says of *material*'s strange views, logits ``[n, 10]``.
    seconds, field, pictures: embeddings ``[n, 128]`` of *material*'s seconds, of views of labelled recordings that this
    one learnt from, and of validation pictures. places: weight and bias of the head that learnt what places the
    training pictures show.
    """

    prior: Any
    unseen: Unseen
    strange: NDArray[float64]
    seconds: Any
    field: Any
    pictures: Any
    places: tuple[Any, Any]


@dataclass(frozen=True)
class Fitted:
    """A head, what its two fusions were worth, the temperature of each state of the modalities, the threshold for
    "none of ours", and pairs of a class, of unlabelled sound, whose sound nothing here was fitted on.
    """

    head: FusionHead
    verdict: Verdict
    temperature: dict[str, float]
    threshold: float
    pairs: Pairs


def fit_head(sound: Any, image: Any, known: Known, material: Material, seed: int) -> Fitted:
    """Fit a head for an AudioClassifier and an ImageClassifier; *seed* draws the pairs."""
    unseen, seen = known.unseen, known.pictures
    head = FusionHead(experts.make_experts(sound, image, known, material))
    labelled = pairs.class_pairs(material.val_pictures, np.eye(len(LABELS))[unseen.labels], seed)
    plain = experts.words(head, unseen.logits[:1], seen)[1]
    head.sharpen(best_temperature(plain[labelled.pictures], labelled.labels))
    taught, lent = (
        softmax(material.strange.said.astype(float64)),
        material.lent()[material.strange.seconds, None],
    )
    others, lenders = (pairs.class_pairs(material.val_pictures, taught * of, seed) for of in (~lent, lent))
    fitted, judged = (
        pairs.Heard(of, *experts.words(head, logits[of.sounds], seen[of.pictures]))
        for of, logits in ((labelled, unseen.logits), (others, known.strange))
    )
    verdict = pairs.judge_fusions(fitted, judged)
    if verdict.trained_is_better:
        head.mix(verdict.weight, verdict.bias)
    said = {"av": head.mixed(fitted.sound, fitted.picture), "v": fitted.picture}
    temperatures = {state: best_temperature(logits, labelled.labels) for state, logits in said.items()}
    # A few recordings know too little of how far sound alone can be trusted: as many lent views help them.
    alone = np.concatenate([fitted.sound, experts.words(head, known.strange[lenders.sounds], seen[:1])[0]])
    temperatures["a"] = best_temperature(alone, np.concatenate([labelled.labels, lenders.labels]))
    ours = material.val_pictures.groups != NONE
    return Fitted(
        head,
        verdict,
        {state: round(temperatures[state], 3) for state in ("av", "a", "v")},
        experts.alarm_threshold(head, seen[ours], FALSE_ALARMS),
        others,
    )
