"""Predictions of windows in, a running label out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import float64
from numpy.typing import NDArray

from edge_avsc.config import SmoothingConfig
from edge_avsc.types import NS_PER_S, UNSURE, Prediction

WINDOW_S = 1.0
MARGIN = 0.1
"""How much a rival must lead, or the best fall under the limit, before the label leaves its place (hysteresis)."""


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The smoothed probabilities ``[n_labels]``, the label that is shown, and whether it is a new one."""

    probabilities: NDArray[float64]
    scene_label: str
    changed: bool


class Smoother:
    """A sticky hidden-Markov forward filter in seconds, then hysteresis with a minimum dwell.

    The forward recursion is Rabiner's (1989, "A tutorial on hidden Markov models", eq. 19-20). The state changes at
    ``switches_per_hour``, to any label alike. A window that brings d new seconds counts as d / 1 s of an observation,
    since windows that overlap are no independent evidence; time without evidence relaxes to the prior. "None of ours"
    is a filter of its own at the same rate.
    """

    def __init__(self, labels: tuple[str, ...], settings: SmoothingConfig, *, none_threshold: float) -> None:
        self._labels = labels
        self._rate_per_s = settings.switches_per_hour / 3600.0
        self._min_dwell_s = settings.min_dwell_s
        self._unsure_below = settings.unsure_below
        self._none_threshold = none_threshold
        self._prior = np.full(len(labels), 1.0 / len(labels))
        self._state = self._prior.copy()
        self._none_state = np.array([0.5, 0.5])
        self._end_ns: int | None = None
        self._label: str | None = None
        self._since_ns = 0

    def update(self, prediction: Prediction | None, end_ns: int) -> Smoothed:
        """Take in the prediction of the window that ends at *end_ns* (None: no modality was there).

        Windows must come in order of time.
        """
        new_s = WINDOW_S if self._end_ns is None else (end_ns - self._end_ns) / NS_PER_S
        self._end_ns = end_ns
        self._state = self._relaxed(self._state, self._prior, new_s)
        self._none_state = self._relaxed(self._none_state, np.array([0.5, 0.5]), new_s)
        if prediction is not None:
            weight = min(new_s, WINDOW_S) / WINDOW_S
            self._state = _weighed(self._state, np.array(prediction.probabilities) / self._prior, weight)
            self._none_state = _weighed(self._none_state, self._none_odds(prediction.none_of_ours), weight)
        label = self._next_label(end_ns)
        changed = label != self._label
        if changed:
            self._label, self._since_ns = label, end_ns
        return Smoothed(self._state, label, changed)

    def _relaxed(self, state: NDArray[float64], prior: NDArray[float64], seconds: float) -> NDArray[float64]:
        stay = float(np.exp(-self._rate_per_s * seconds))
        return stay * state + (1.0 - stay) * prior

    def _none_odds(self, none_of_ours: float) -> NDArray[float64]:
        """Return likelihoods of "ours" and "none of ours" that balance where the score meets the model's threshold."""
        return np.array([(1.0 - none_of_ours) / (1.0 - self._none_threshold), none_of_ours / self._none_threshold])

    def _next_label(self, end_ns: int) -> str:
        best = int(np.argmax(self._state))
        strange = bool(self._none_state[1] > 0.5)
        current = self._label
        if current is None or current == UNSURE:
            stands_out = self._state[best] >= self._unsure_below and not strange
            return self._labels[best] if stands_out else UNSURE
        if (end_ns - self._since_ns) / NS_PER_S < self._min_dwell_s:
            return current
        if strange or self._state[best] < self._unsure_below - MARGIN:
            return UNSURE
        held = self._state[self._labels.index(current)]
        leads = self._state[best] >= self._unsure_below and self._state[best] > held + MARGIN
        return self._labels[best] if leads else current


def _weighed(state: NDArray[float64], likelihood: NDArray[float64], weight: float) -> NDArray[float64]:
    """Return the state after evidence: Bayes' rule with the likelihood raised to *weight*."""
    # The floor keeps one overconfident window from ruling a label out for good.
    posterior = state * np.maximum(likelihood, 1e-6) ** weight
    normalised: NDArray[float64] = posterior / posterior.sum()
    return normalised
