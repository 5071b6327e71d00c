"""Statistics of what a bundle takes for each of its labels, so that new scenes can be told from these.

A head that learns new scenes alone soon takes everything for them. What was learnt before must be rehearsed, and where
the recordings are not at hand, by items that are drawn from what was learnt of them: pseudorehearsal (Robins 1995,
Connection Science 7(2), 123-146), here of embeddings, from a Gaussian for each label with a covariance that all labels
share (as in Lee et al. 2018, arXiv 1807.03888, sec. 2.1). No embedding of any recording or picture is kept.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import float16, float32, float64, int64
from numpy.typing import NDArray

from edge_avsc.bundle import Bundle
from edge_avsc.errors import ConfigError
from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.embedding import Embeddings

FILE = "label_statistics.npz"
LEAST = 5
"""Recordings or pictures; a mean over fewer would tell of these, not of the label, which has no statistics then."""
DRAWN = 60
"""Embeddings of each label and modality to rehearse by."""

_SURE = {"a": 0.3, "v": 0.5}
"""Only what the head gives this probability to, by sound or by pictures, speaks for a label."""
_OF_ONE = 15
"""Windows, evenly spread; a long recording must not speak for many."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    """What one modality's embeddings of each label look like.

    counts: ``[n_labels]``, recordings or pictures that taught it. means: ``[n_labels, n_features]``, NaN where there
    are fewer than LEAST. factor: ``[n_features, n_features]``; its product with its transpose is the covariance within
    a label, the same for all.
    """

    counts: NDArray[int64]
    means: NDArray[float64]
    factor: NDArray[float64]

    def draw(self, label: int, n: int, random: np.random.Generator) -> NDArray[float32]:
        """Return *n* embeddings of a label ``[n, n_features]``, NaN where it has no statistics."""
        drawn: NDArray[float64] = self.means[label] + random.standard_normal((n, len(self.factor))) @ self.factor.T
        return drawn.astype(float32)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """sound, pictures: ``[n, n_features]``, a row of NaN where there is none. label_index: ``[n]``, in the labels."""

    sound: NDArray[float32]
    pictures: NDArray[float32]
    label_index: NDArray[int64]


def read_label_statistics(folder: Path, bundle: Bundle) -> Mapping[str, Gaussians]:
    """Return a bundle's statistics of sound ('a') and pictures ('v'); ConfigError where none fit."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file) as stored:
            if str(stored["of"]) == _belongs_to(bundle):
                return {
                    state: Gaussians(
                        stored[f"{state}_counts"].astype(int64),
                        stored[f"{state}_means"].astype(float64),
                        stored[f"{state}_factor"].astype(float64),
                    )
                    for state in "av"
                }
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass
    raise ConfigError(
        f"{folder} has no {FILE} of its encoders and labels, without which new scenes would drive its labels out; "
        "leave --keep-labels out, or write them with tools/write_label_statistics.py."
    )


def rehearse(statistics: Mapping[str, Gaussians], seed: int) -> Rehearsed:
    """Draw DRAWN embeddings of each label, with sound and pictures where both have statistics."""
    random = np.random.default_rng(seed)
    labels = [label for label in range(len(statistics["a"].counts)) if _known(statistics, label)]
    sound, pictures = (
        np.concatenate([statistics[state].draw(label, DRAWN, random) for label in labels]) for state in "av"
    )
    return Rehearsed(sound, pictures, np.repeat(np.array(labels, int64), DRAWN))


def write_label_statistics(model: SceneModel, recordings: Iterable[Embeddings]) -> dict[str, Gaussians]:
    """Learn the statistics from *recordings* and write them beside the bundle.

    A window speaks for the label that the bundle's own head gives it, by that modality alone, where it is sure.
    A modality that no label has enough of has no statistics; ConfigError where neither has.
    """
    parts = model.bundle.graphs["cpu"]
    taught: dict[str, list[list[NDArray[float64]]]] = {state: [[] for _ in model.labels] for state in "av"}
    for one in recordings:
        for state, embeddings in (("a", one.sound), ("v", one.pictures)):
            known = embeddings[~np.isnan(embeddings[:, 0])]
            known = known[:: max(1, -(-len(known) // _OF_ONE))]
            said = np.array([_said(model, state, embedding) for embedding in known], int64)
            for label in np.unique(said[said >= 0]).tolist():
                taught[state][label].append(known[said == label].astype(float64))
    statistics = {state: _learnt(of) for state, of in taught.items() if max(map(len, of)) >= LEAST}
    if not statistics:
        raise ConfigError(
            f"No label of {model.folder} has {LEAST} recordings or pictures that its head is sure of; give more."
        )
    for state, part in (("a", parts.audio.outputs["audio_embedding"]), ("v", parts.image.outputs["image_embedding"])):
        statistics.setdefault(state, _nothing(taught[state], int(part.shape[-1])))
    np.savez_compressed(
        model.folder / FILE,
        of=np.array(_belongs_to(model.bundle)),
        a_counts=statistics["a"].counts,
        a_means=statistics["a"].means.astype(float16),
        a_factor=statistics["a"].factor.astype(float16),
        v_counts=statistics["v"].counts,
        v_means=statistics["v"].means.astype(float16),
        v_factor=statistics["v"].factor.astype(float16),
    )
    return statistics


def _said(model: SceneModel, state: str, embedding: NDArray[float32]) -> int:
    """Return the label that the head is sure of; -1 where it is not."""
    said = model.fuse(embedding if state == "a" else None, embedding[None] if state == "v" else None)
    sure = max(said.probabilities) >= _SURE[state] and said.none_of_ours < model.bundle.unsure.threshold
    return int(np.argmax(said.probabilities)) if sure else -1


def _learnt(taught: list[list[NDArray[float64]]]) -> Gaussians:
    # Imported here, since reading statistics needs none of it.
    from sklearn.covariance import LedoitWolf

    windows = {label: np.concatenate(of) for label, of in enumerate(taught) if len(of) >= LEAST}
    within = np.concatenate([of - of.mean(axis=0) for of in windows.values()])
    gaussians = _nothing(taught, within.shape[1])
    for label, of in windows.items():
        gaussians.means[label] = of.mean(axis=0)
    # Shrunk, since few windows of many features would leave directions in which nothing is drawn.
    gaussians.factor[:] = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(within).covariance_)
    return gaussians


def _nothing(taught: list[list[NDArray[float64]]], n_features: int) -> Gaussians:
    counts = np.array([len(recordings) for recordings in taught], int64)
    return Gaussians(counts, np.full((len(taught), n_features), np.nan), np.zeros((n_features, n_features)))


def _known(statistics: Mapping[str, Gaussians], label: int) -> bool:
    return any(not np.isnan(of.means[label, 0]) for of in statistics.values())


def _belongs_to(bundle: Bundle) -> str:
    parts = bundle.graphs["cpu"]
    return " ".join([parts.audio.sha256, parts.image.sha256, *bundle.labels])
