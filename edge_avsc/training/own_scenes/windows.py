"""All windows of a folder side by side, and how they are parted so that no source is on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.datasets import Row
from edge_avsc.training.own_scenes.embedding import Embeddings
from edge_avsc.training.own_scenes.label_statistics import Rehearsed

FOLDS = 5
_LEARN_FROM = 4000
"""Windows; half an hour without overlap. More of the same sources cost time and add nothing."""
_PARTS = 3
"""A scene of one source is cut into so many parts, by time: enough to calibrate by, though not to judge by."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a folder's recordings, one after the other.

    classes: the scenes, and 'none' last where *has_none*: recordings of no scene. sound ``[n, n_audio_features]``,
    pictures ``[n, n_image_features]``: float64, rows of NaN where missing. label_index ``[n]``: place in *classes*.
    sources ``[n]``: numbers. own ``[n]``: False for drawn embeddings, which stand for labels that are kept. folds
    ``[n]``: in 0..FOLDS - 1; all of a source are in one, but where a class has no other.
    """

    classes: tuple[str, ...]
    has_none: bool
    sound: NDArray[float64]
    pictures: NDArray[float64]
    label_index: NDArray[int64]
    sources: NDArray[int64]
    own: NDArray[bool_]
    folds: NDArray[int64]

    @property
    def none(self) -> NDArray[bool_]:
        """Tell which windows are of no scene."""
        of_none: NDArray[bool_] = self.label_index == len(self.classes) - self.has_none
        return of_none

    def has(self, state: str) -> NDArray[bool_]:
        """Tell of each window whether it can be judged in a state of the modalities: av, a or v."""
        there: NDArray[bool_] = np.ones(len(self.label_index), bool)
        for letter, values in (("a", self.sound), ("v", self.pictures)):
            if letter in state:
                there &= ~np.isnan(values[:, 0])
        return there

    def judged(self, state: str) -> NDArray[bool_]:
        """Tell which windows a figure of a state may be of: those of a class that has two sources of it or more."""
        there = self.own & self.has(state)
        classes = range(len(self.classes))
        known = [len(np.unique(self.sources[there & (self.label_index == place)])) > 1 for place in classes]
        judged: NDArray[bool_] = there & np.array(known)[self.label_index]
        return judged


def gather(
    rows: Sequence[Row],
    embeddings: Mapping[str, Embeddings],
    labels: tuple[str, ...],
    seed: int,
    rehearsed: Rehearsed | None = None,
) -> Windows:
    """Put the embeddings of *rows*, by their names, side by side; a row without a label is of no scene.

    rehearsed: of the first of *labels*; each counts as a source.
    """
    has_none = any(row.scene_label is None for row in rows)
    classes = (*labels, "none") if has_none else labels
    parts = [embeddings[row.name] for row in rows]
    counts = [len(part.sound) for part in parts]
    known: dict[tuple[str | None, str], int] = {}
    source = [known.setdefault((row.scene_label, row.location), len(known)) for row in rows]
    label = [len(classes) - 1 if row.scene_label is None else classes.index(row.scene_label) for row in rows]
    label_index, sources = np.repeat(label, counts), np.repeat(source, counts)
    sound = np.concatenate([part.sound for part in parts]).astype(float64)
    pictures = np.concatenate([part.pictures for part in parts]).astype(float64)
    recorded = len(label_index)
    if rehearsed is not None:
        sound, pictures = np.concatenate([sound, rehearsed.sound]), np.concatenate([pictures, rehearsed.pictures])
        label_index = np.concatenate([label_index, rehearsed.label_index])
        sources = np.concatenate([sources, len(known) + np.arange(len(rehearsed.label_index))])
    own = np.arange(len(label_index)) < recorded
    folds = _folds(label_index, sources, ~np.isnan(sound[:, 0]), seed)
    return Windows(classes, has_none, sound, pictures, label_index, sources, own, folds)


def weights(windows: Windows, chosen: NDArray[bool_]) -> NDArray[float64]:
    """Return how much each window counts ``[n]``, in all 1: every class alike; a source by the root of its windows.

    Windows that are not *chosen* count nothing.
    """
    weight = np.zeros(len(chosen))
    sizes = np.bincount(windows.sources[chosen], minlength=int(windows.sources.max()) + 1)
    weight[chosen] = sizes[windows.sources[chosen]] ** -0.5
    totals = np.bincount(windows.label_index, weight, len(windows.classes))[windows.label_index]
    weight[chosen] /= totals[chosen]
    total = weight.sum()
    return weight / total if total else weight


def thinned(windows: Windows, chosen: NDArray[bool_]) -> NDArray[bool_]:
    """Return *chosen* without windows in between, evenly, where a class has more than it takes to learn from."""
    kept = np.zeros_like(chosen)
    classes = np.unique(windows.label_index[chosen])
    for label in classes:
        mine = np.flatnonzero(chosen & (windows.label_index == label))
        kept[mine[:: max(1, -(-len(mine) * len(classes) // _LEARN_FROM))]] = True
    return kept


def _folds(label_index: NDArray[int64], sources: NDArray[int64], heard: NDArray[bool_], seed: int) -> NDArray[int64]:
    """Deal each class's sources to the folds, those with sound first: each modality is spread over all folds."""
    random = np.random.default_rng(seed)
    folds = np.zeros(len(label_index), int64)
    for label in np.unique(label_index):
        mine = np.flatnonzero(label_index == label)
        units = sources[mine]
        if len(np.unique(units)) < 2:
            units = np.arange(len(mine)) * _PARTS // len(mine)
        order = random.permutation(np.unique(units))
        with_sound = np.isin(order, units[heard[mine]])
        dealt = np.concatenate([order[with_sound], order[~with_sound]])
        for turn, unit in enumerate(dealt.tolist()):
            folds[mine[units == unit]] = turn % FOLDS
    return folds
