"""One modality's word on a window: which class it looks or sounds like, and how like any of them it is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.errors import ConfigError, installing

STRENGTHS = (0.1, 0.5, 2.5, 12.0, 60.0)
"""How far a head may bend to its examples, the inverse of the ridge on its weights; held-out sources choose one."""


LEAST_LENGTH = 1e-6


@dataclass(frozen=True, slots=True)
class Expert:
    """A linear head and a prototype for each class that it knows.

    known: places of these among all classes. weight: ``[n_features, n_known]``, bias: ``[n_known]``; their product with
    an embedding are logits for equally frequent classes. prototypes: ``[n_features, n_known]``, of length 1.
    """

    known: tuple[int, ...]
    weight: NDArray[float64]
    bias: NDArray[float64]
    prototypes: NDArray[float64]

    def logits(self, embeddings: NDArray[float64], n_classes: int) -> NDArray[float64]:
        """Return logits ``[n, n_classes]``: NaN for a class that is not known, and where the embedding is NaN."""
        logits = np.full((len(embeddings), n_classes), np.nan)
        logits[:, list(self.known)] = embeddings @ self.weight + self.bias
        return logits

    def cosines(self, embeddings: NDArray[float64], n_classes: int) -> NDArray[float64]:
        """Return each embedding's cosine to each prototype ``[n, n_classes]``; NaN as in :meth:`logits`."""
        length = np.sqrt((embeddings**2).sum(axis=1, keepdims=True)) + LEAST_LENGTH
        cosines = np.full((len(embeddings), n_classes), np.nan)
        cosines[:, list(self.known)] = embeddings / length @ self.prototypes
        return cosines


def fit_experts(
    embeddings: NDArray[float64],
    label_index: NDArray[int64],
    weight: NDArray[float64],
    n_classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> dict[float, Expert]:
    """Fit an expert for each of *strengths* by multinomial logistic regression.

    There are none where fewer than two of *n_classes* are there; where there is but one to know, it is known.

    embeddings: ``[n, n_features]`` without NaN. weight: ``[n]``, how much each counts.
    """
    known, place = np.unique(label_index, return_inverse=True)
    if len(known) < min(2, n_classes):
        return {}
    mean = np.average(embeddings, axis=0, weights=weight)
    spread = np.sqrt(np.average((embeddings - mean) ** 2, axis=0, weights=weight)) + 1e-3
    standard = (embeddings - mean) / spread
    prototypes = np.stack([_prototype(embeddings[place == c], weight[place == c]) for c in range(len(known))], axis=1)
    if len(known) == 1:
        nothing = np.zeros((embeddings.shape[1], 1))
        return {strength: Expert(tuple(known.tolist()), nothing, np.zeros(1), prototypes) for strength in strengths}
    regression = _linear_models().LogisticRegression
    # Several threads for such small products wait for one another far longer than one computes.
    from threadpoolctl import threadpool_limits

    experts = {}
    for strength in strengths:
        model = regression(C=strength, tol=1e-3, max_iter=300)
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # one that has not quite converged is as good; held-out sources judge it
            model.fit(standard, place, sample_weight=weight / weight.sum())
        slopes, bias = model.coef_, model.intercept_
        if len(known) == 2:  # one row stands for the second class against the first
            slopes, bias = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-bias, bias]) / 2
        scaled = slopes.T / spread[:, None]
        experts[strength] = Expert(tuple(known.tolist()), scaled, bias - mean @ scaled, prototypes)
    return experts


def _prototype(embeddings: NDArray[float64], weight: NDArray[float64]) -> NDArray[float64]:
    length = np.sqrt((embeddings**2).sum(axis=1, keepdims=True)) + LEAST_LENGTH
    mean = np.average(embeddings / length, axis=0, weights=weight)
    unit: NDArray[float64] = mean / (np.sqrt((mean**2).sum()) + 1e-6)
    return unit


def _linear_models() -> ModuleType:
    try:
        from sklearn import linear_model
    except ImportError as error:
        raise ConfigError(f"Training needs scikit-learn, which is not installed; {installing('scenes')}") from error
    found: ModuleType = linear_model
    return found
