"""All windows that a bundle scored, side by side: what every figure of an evaluation is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.metrics import normalised, sample_losses
from edge_avsc.evaluation.results import ResultStore
from edge_avsc.evaluation.scoring import SKEWS_MS, STATES


@dataclass(frozen=True, slots=True)
class Skewed:
    """Windows judged under each of SKEWS_MS.

    clips: of which clip each is, ``[n]``. hits, losses: 1 where right, and the log-loss in nats, ``[n, 13]``; NaN where
    a clip has no label.
    """

    clips: NDArray[int64]
    hits: NDArray[float64]
    losses: NDArray[float64]


@dataclass(frozen=True, slots=True)
class ScoredWindows:
    """The windows of n clips, clip by clip in the order of the list.

    rows: the clips that could be scored. clips, numbers: of which clip each window is, and which of its windows,
    ``[n]``. probabilities: ``[n, 4, n_labels]``, in the order of STATES; NaN where a window lacks what a state needs.
    label_index: of each window, ``[n]``; -1 where its clip has no label. events: of each clip.
    """

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    clips: NDArray[int64]
    numbers: NDArray[int64]
    probabilities: NDArray[float64]
    label_index: NDArray[int64]
    skewed: Skewed
    events: tuple[tuple[str, ...], ...]

    @property
    def given(self) -> NDArray[float64]:
        """What is scored, ``[n, n_labels]``: by all that a window has; a window that has nothing is uniform."""
        probabilities = self.by("given")
        uniform = 1.0 / len(self.labels)
        return normalised(np.where(np.isnan(probabilities), uniform, probabilities))

    def by(self, state: str) -> NDArray[float64]:
        """Return the probabilities in a state ``[n, n_labels]``; NaN where a window lacks what it needs."""
        return self.probabilities[:, STATES.index(state)]

    @property
    def locations(self) -> NDArray[np.str_]:
        """Where each window was recorded, ``[n]``."""
        return np.array([row.location for row in self.rows])[self.clips]

    def has(self, state: str) -> NDArray[bool_]:
        """Tell of each window whether it has what a state needs."""
        present: NDArray[bool_] = ~np.isnan(self.by(state)[:, 0])
        return present

    def clip_probabilities(self, *, log: bool = False) -> NDArray[float64]:
        """Return ``[n_clips, n_labels]``: the mean of a clip's windows; with *log*, their geometric mean, normalised.

        The largest is that of the sum of probabilities, of which the paper speaks, and that of the sum of logarithms,
        which the challenge's baseline code takes.
        """
        counts = np.bincount(self.clips, minlength=len(self.rows))[:, None]
        sums = np.zeros((len(self.rows), len(self.labels)))
        np.add.at(sums, self.clips, np.log(self.given) if log else self.given)
        return normalised(np.exp(sums / counts) if log else sums / counts)

    @property
    def clip_label_index(self) -> NDArray[int64]:
        """The label's index of each clip, ``[n_clips]``; -1 where it has none."""
        return _label_index(self.rows, self.labels)


def gather(store: ResultStore, rows: Sequence[Row], labels: tuple[str, ...]) -> ScoredWindows:
    """Collect the results of *rows* that are in the store, in this order."""
    scored: list[Row] = []
    windows, events, skews = [], [], []
    for row in rows:
        scores = store.get(row)
        if scores is not None:
            skews.append(_skewed(scores.skewed, labels, row, len(scored)))
            scored.append(row)
            windows.append(scores.windows)
            events.append(scores.events)
    counts = [len(one) for one in windows]
    clips = np.repeat(np.arange(len(scored)), counts)
    return ScoredWindows(
        labels=labels,
        rows=tuple(scored),
        clips=clips,
        numbers=np.concatenate([np.arange(count) for count in counts] or [np.empty(0, int64)]),
        probabilities=np.concatenate(windows or [np.empty((0, len(STATES), len(labels)))]),
        label_index=_label_index(scored, labels)[clips],
        skewed=_joined(skews),
        events=tuple(events),
    )


def _label_index(rows: Sequence[Row], labels: tuple[str, ...]) -> NDArray[int64]:
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[row.scene_label] if row.scene_label else -1 for row in rows], int64)


def _skewed(probabilities: NDArray[float64], labels: tuple[str, ...], row: Row, clip: int) -> Skewed:
    """Keep of a clip's skewed windows only what is judged: memory is to hold all clips of a dataset."""
    shape = probabilities.shape[:2]
    clips = np.full(shape[0], clip, int64)
    if row.scene_label is None or not shape[0]:
        return Skewed(clips, np.full(shape, np.nan), np.full(shape, np.nan))
    flat = probabilities.reshape(-1, len(labels))
    label_index = np.full(len(flat), labels.index(row.scene_label), int64)
    hits = (flat.argmax(axis=1) == label_index).astype(float64)
    return Skewed(clips, hits.reshape(shape), sample_losses(label_index, flat).reshape(shape))


def _joined(parts: Sequence[Skewed]) -> Skewed:
    if not parts:
        nothing = np.empty((0, len(SKEWS_MS)))
        return Skewed(np.empty(0, int64), nothing, nothing)
    return Skewed(
        np.concatenate([part.clips for part in parts]),
        np.concatenate([part.hits for part in parts]),
        np.concatenate([part.losses for part in parts]),
    )
