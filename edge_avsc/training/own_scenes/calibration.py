"""How the experts are read: all of it is fitted on windows whose sources they did not learn from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy import bool_, float64
from numpy.typing import NDArray

from edge_avsc.training.own_scenes.experts import fit_experts
from edge_avsc.training.own_scenes.judging import (
    STATES,
    THRESHOLD,
    Evidence,
    Modality,
    Reading,
    Scene,
    classes_in,
    expert_word,
    judge,
    losses,
    softmax_rows,
    unlikeness,
    words,
)
from edge_avsc.training.own_scenes.windows import FOLDS, Windows, thinned, weights

FALSE_ALARMS = 0.05
"""The share of the folder's own windows, held out, that is called none of the scenes."""

_TEMPERATURES = np.exp(np.linspace(np.log(0.1), np.log(8.0), 60))
_SHARES = (0.25, 0.5, 0.75, 1.0, 1.25)
_SHIPPED_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEVELS = (1.0, 2.0, 4.0, 8.0)
_FACTORS = (1.0, 0.5, 0.7, 0.85, 1.2, 1.4, 1.7, 2.0)
_EQUAL = {"av": (1.0, 1.0, 0.0), "a": (1.0, 0.0, 0.0), "v": (0.0, 1.0, 0.0)}
_ENOUGH = 20
"""Fewer windows in a state tell nothing of how its experts go together."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What experts say that did not learn from a window's source.

    sound, pictures: logits ``[n, n_classes]`` of each strength; none at all where too little was there to learn from.
    *_cosines: to each class's prototype ``[n, n_classes]``. shipped: as in
    :class:`edge_avsc.training.own_scenes.judging.Evidence`.
    """

    sound: Mapping[float, NDArray[float64]]
    pictures: Mapping[float, NDArray[float64]]
    sound_cosines: NDArray[float64]
    pictures_cosines: NDArray[float64]
    shipped: Mapping[str, NDArray[float64]]

    def read(self, reading: Reading, chosen: NDArray[bool_], without: int | None = None) -> Evidence:
        """Return what the *chosen* windows show to experts of the strengths that *reading* names.

        without: a class whose prototype is left out, as if nobody had taught it.
        """
        nothing = np.full((int(chosen.sum()), self.sound_cosines.shape[1]), np.nan)
        return Evidence(
            self.sound[reading.sound.strength][chosen] if reading.sound.learnt else nothing,
            self.pictures[reading.pictures.strength][chosen] if reading.pictures.learnt else nothing,
            unlike_all(self.sound_cosines[chosen], without),
            unlike_all(self.pictures_cosines[chosen], without),
            {state: said[chosen] for state, said in self.shipped.items()},
        )

    def knows(self, state: str, reading: Reading) -> NDArray[bool_]:
        """Tell of which windows ``[n]`` something is said in a state by all experts that *reading* has learnt there.

        Where a source alone has a class's pictures, those who did not learn from it had too little to learn from.
        """
        known = np.ones(len(self.sound_cosines), bool)
        for letter, read, cosines in (
            ("a", reading.sound, self.sound_cosines),
            ("v", reading.pictures, self.pictures_cosines),
        ):
            if letter in state and read.learnt:
                known &= ~np.isnan(cosines).all(axis=1)
        return known


def unlike_all(cosines: NDArray[float64], without: int | None = None) -> NDArray[float64]:
    """Return 1 - the largest of each row of *cosines* ``[n]``; NaN where it has none."""
    known = np.delete(cosines, without, axis=1) if without is not None else cosines
    known = np.where(np.isnan(known), -np.inf, known)
    unlike: NDArray[float64] = 1.0 - known.max(axis=1, initial=-np.inf)
    return np.where(np.isinf(unlike), np.nan, unlike)


def hold_out(windows: Windows, shipped: Mapping[str, NDArray[float64]]) -> HeldOut:
    """Let experts that learnt from the other folds speak of each fold's windows."""
    sound = _held_out(windows, windows.sound, windows.has("a"))
    pictures = _held_out(windows, windows.pictures, windows.has("v"))
    return HeldOut(sound[0], pictures[0], sound[1], pictures[1], shipped)


def _held_out(
    windows: Windows, embeddings: NDArray[float64], there: NDArray[bool_]
) -> tuple[dict[float, NDArray[float64]], NDArray[float64]]:
    n_classes = len(windows.classes)
    logits: dict[float, NDArray[float64]] = {}
    cosines = np.full((len(there), n_classes), np.nan)
    for fold in range(FOLDS):
        learnt = thinned(windows, there & (windows.folds != fold))
        if not learnt.any():
            continue
        kept_out = there & (windows.folds == fold)
        weight = weights(windows, learnt)[learnt]
        experts = fit_experts(embeddings[learnt], windows.label_index[learnt], weight, n_classes)
        for strength, expert in experts.items():
            said = logits.setdefault(strength, np.full((len(there), n_classes), np.nan))
            said[kept_out] = expert.logits(embeddings[kept_out], n_classes)
            cosines[kept_out] = expert.cosines(embeddings[kept_out], n_classes)
    return logits, cosines


def fit_reading(windows: Windows, held_out: HeldOut, scene: Scene, chosen: NDArray[bool_]) -> Reading:
    """Fit temperatures, floors, shares and the limits of likeness on the *chosen* windows."""
    sound = _fit_modality(windows, held_out.sound, unlike_all(held_out.sound_cosines), chosen)
    pictures = _fit_modality(windows, held_out.pictures, unlike_all(held_out.pictures_cosines), chosen)
    # Until windows with both tell better: the mean of two independent values, each of mean -1.64 and deviation 1.
    reading = Reading(sound, pictures, _EQUAL, dict.fromkeys(STATES, 1.0), -0.47, 0.71, dict.fromkeys(STATES, 0.0))
    for state in ("a", "v", "av"):
        enough = chosen & windows.has(state) & held_out.knows(state, reading)
        if enough.sum() >= _ENOUGH:
            reading = _fit_shares(windows, held_out.read(reading, enough), reading, scene, state, enough)
    both = chosen & windows.has("av") & held_out.knows("av", reading)
    if sound.learnt and pictures.learnt and both.sum() >= _ENOUGH:
        reading = _fit_likeness_of_both(windows, held_out, reading, both & ~windows.none)
        reading = _never_surer_alone(windows, held_out.read(reading, both), reading, scene, both)
    return replace(reading, offset=_offsets(windows, held_out, reading, scene, chosen))


def _fit_modality(
    windows: Windows, logits: Mapping[float, NDArray[float64]], distances: NDArray[float64], chosen: NDArray[bool_]
) -> Modality:
    chosen = chosen & ~np.isnan(distances)
    scenes = chosen & ~windows.none
    if not logits or not scenes.any():
        return Modality(learnt=False)
    weight, right = weights(windows, chosen)[chosen], windows.label_index[chosen]
    # Laplace's rule of succession: whoever saw n sources, all told rightly, knows of the next no more than this.
    floor = 1.0 / (len(np.unique(windows.sources[chosen])) + 2)
    best, least = Modality(learnt=True), np.inf
    for strength, said in logits.items():
        for temperature in _TEMPERATURES.tolist():
            read = Modality(learnt=True, strength=strength, temperature=temperature, floor=floor)
            loss = float(weight @ losses(right, np.exp(expert_word(said[chosen], read))))
            if loss < least:
                best, least = read, loss
    middle, spread = _limit(distances[scenes], weights(windows, scenes)[scenes])
    return replace(best, middle=middle, spread=spread)


def _fit_shares(
    windows: Windows, evidence: Evidence, reading: Reading, scene: Scene, state: str, chosen: NDArray[bool_]
) -> Reading:
    """Return *reading* with the shares of the three words, and the level of silence, of the least log-loss.

    Recordings with both are often few, and of few scenes: there only one factor is fitted, to what each alone has got.
    """
    weight, right = weights(windows, chosen)[chosen], windows.label_index[chosen]
    candidates: list[tuple[float, float, float]]
    levels: tuple[float, ...] = (1.0,)
    if state == "av":
        (sound, _, heard), (_, pictures, seen) = reading.shares["a"], reading.shares["v"]
        candidates = [(f * sound, f * pictures, f * (heard + seen) / 2) for f in _FACTORS]
        levels = (float(np.sqrt(reading.levels["a"] * reading.levels["v"])),)
    else:
        own, other = (_SHARES, (0.0,)) if state == "a" else ((0.0,), _SHARES)
        candidates = list(itertools.product(own, other, _SHIPPED_SHARES if scene.shares else (0.0,)))
        levels = _LEVELS if scene.shares else levels
    best, least = reading, np.inf
    for level in levels:
        leveled = replace(reading, levels={**reading.levels, state: level})
        said = words(state, evidence, leveled, scene)
        for shares in candidates:
            loss = float(weight @ losses(right, softmax_rows(np.tensordot(shares, said, 1))))
            if loss < least:
                best, least = replace(leveled, shares={**reading.shares, state: shares}), loss
    return best


def _fit_likeness_of_both(windows: Windows, held_out: HeldOut, reading: Reading, scenes: NDArray[bool_]) -> Reading:
    if scenes.sum() < _ENOUGH:
        return reading
    plain = replace(reading, middle=0.0, spread=1.0)
    unlike = unlikeness("av", held_out.read(reading, scenes), plain)
    middle, spread = _limit(unlike, weights(windows, scenes)[scenes])
    return replace(reading, middle=middle, spread=spread)


def _never_surer_alone(
    windows: Windows, evidence: Evidence, reading: Reading, scene: Scene, both: NDArray[bool_]
) -> Reading:
    """Lower all shares of one modality until, on average, it alone is no surer than both together."""
    weight = weights(windows, both)[both]

    def surety(state: str, read: Reading) -> float:
        return float(weight @ classes_in(state, evidence, read, scene).max(axis=1))

    limit = surety("av", reading)
    for state in ("a", "v"):
        while surety(state, reading) > limit + 1e-9:
            sound, pictures, shipped = (0.95 * share for share in reading.shares[state])
            reading = replace(reading, shares={**reading.shares, state: (sound, pictures, shipped)})
    return reading


def _offsets(
    windows: Windows, held_out: HeldOut, reading: Reading, scene: Scene, chosen: NDArray[bool_]
) -> dict[str, float]:
    """Return what brings the chosen share of the folder's windows over the threshold of "none", in each state."""
    at_threshold = float(np.log(THRESHOLD / (1.0 - THRESHOLD)))
    offsets = {}
    for state in STATES:
        scenes = chosen & windows.has(state) & ~windows.none & held_out.knows(state, reading)
        offsets[state] = 0.0
        if scenes.any():
            _, odds = judge(state, held_out.read(reading, scenes), reading, scene)
            limit = weighted_quantile(odds, weights(windows, scenes)[scenes], 1.0 - FALSE_ALARMS)
            offsets[state] = limit - at_threshold
    return offsets


def _limit(values: NDArray[float64], weight: NDArray[float64]) -> tuple[float, float]:
    middle = weighted_quantile(values, weight, 1.0 - FALSE_ALARMS)
    mean = float(np.average(values, weights=weight))
    return middle, max(float(np.sqrt(np.average((values - mean) ** 2, weights=weight))), 1e-3)


def weighted_quantile(values: NDArray[float64], weight: NDArray[float64], share: float) -> float:
    """Return the least of *values* that at least *share* of the *weight* does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-9)), len(values) - 1)])
