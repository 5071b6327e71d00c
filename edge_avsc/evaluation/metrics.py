"""The figures of DCASE 2021 Task 1B, their intervals and calibration, each defined for every input.

The definitions are those of Wang, Heittola, Mesaros and Virtanen, "Audio-visual scene classification: analysis of DCASE
2021 Challenge submissions". Throughout, ``label_index`` is an integer array ``[n]`` with the right label's place among
the c labels, and ``probabilities`` is ``[n, c]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.errors import ConfigError, installing

CLIP = 1e-15
Z_95 = 1.959963984540054


class Interval(NamedTuple):
    """The ends of a 95 % interval; both are NaN where there is none."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scores:
    """How good a system is.

    ``macro_*``: the mean over the classes that have samples (accuracy: of their recalls). ``micro_*``: the mean over
    all samples. ``class_*``: float64 ``[c]``, NaN for a class without samples; class_count: int64 ``[c]``.
    confusion: int64 ``[c, c]``, a row for each right label, a column for each decided one. Log-losses are in nats,
    accuracies are shares, 0..1.
    """

    labels: tuple[str, ...]
    n: int
    macro_log_loss: float
    micro_log_loss: float
    macro_accuracy: float
    micro_accuracy: float
    class_log_loss: NDArray[float64]
    class_accuracy: NDArray[float64]
    class_count: NDArray[int64]
    confusion: NDArray[int64]


def normalised(probabilities: Any) -> NDArray[float64]:
    """Return *probabilities* as float64 ``[n, c]`` whose rows sum to 1 and whose least value is about 1e-15.

    A row is divided by its sum first, so rows of percentages or of votes are fine; then values under 1e-15 are raised
    to it, and the row is divided by its sum again. A row of zeros says nothing and becomes uniform.
    Raises ConfigError for another shape, NaN, infinity and values under 0.
    """
    given = np.asarray(probabilities, dtype=float64)
    if given.ndim != 2 or given.shape[1] < 2:
        raise ConfigError(f"Probabilities are of shape {given.shape}; give a row a sample and two or more labels.")
    wrong = ~(np.isfinite(given) & (given >= 0.0))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ConfigError(
            f"Row {row}, column {column} is {given[row, column]}, no probability; give finite values from 0 on."
        )
    # By the largest value first: a sum of very large or very small values would be infinite or zero.
    largest = given.max(axis=1, keepdims=True)
    scaled = given / np.where(largest > 0.0, largest, 1.0)
    total = scaled.sum(axis=1, keepdims=True)
    clipped = np.maximum(scaled / np.where(total > 0.0, total, 1.0), CLIP)
    rows: NDArray[float64] = clipped / clipped.sum(axis=1, keepdims=True)
    return rows


def sample_losses(label_index: NDArray[int64], probabilities: Any) -> NDArray[float64]:
    """Return each sample's log-loss ``[n]`` in nats: at most about 34.5, since probabilities are clipped at 1e-15."""
    rows = normalised(probabilities)
    losses: NDArray[float64] = -np.log(rows[np.arange(len(rows)), _checked(label_index, rows)])
    return losses


def decisions(probabilities: Any) -> NDArray[int64]:
    """Return the index of each row's largest probability ``[n]``; of equal ones the first in the order of labels."""
    return np.asarray(normalised(probabilities).argmax(axis=1), int64)


def scores(
    label_index: NDArray[int64],
    probabilities: Any,
    labels: tuple[str, ...],
    decided: NDArray[int64] | None = None,
) -> Scores:
    """Return the scores of n samples, with scikit-learn on :func:`normalised` probabilities.

    decided: the index of the label that the system chose ``[n]``; by default the one of largest probability, see
    :func:`decisions`. A class without samples has NaN as its own figures and no part in the macro means. Without any
    samples, all figures are NaN. Raises ConfigError for probabilities or indices that cannot be.
    """
    rows = normalised(probabilities)
    if rows.shape[1] != len(labels):
        raise ConfigError(f"Probabilities have {rows.shape[1]} columns for {len(labels)} labels; give one for each.")
    index = _checked(label_index, rows)
    chosen = decisions(rows) if decided is None else _checked(decided, rows)
    metrics = need_scikit_learn()
    places = np.arange(len(labels))
    confusion = np.zeros((len(labels), len(labels)), int64)
    class_loss = np.full(len(labels), np.nan)
    if len(index):
        confusion = metrics.confusion_matrix(index, chosen, labels=places).astype(int64)
    for place in np.unique(index):
        mine = index == place
        class_loss[place] = metrics.log_loss(index[mine], rows[mine], labels=places)
    count = confusion.sum(axis=1)
    class_accuracy = _shares(np.diag(confusion), count)
    return Scores(
        labels=labels,
        n=len(index),
        macro_log_loss=_mean(class_loss),
        micro_log_loss=float(metrics.log_loss(index, rows, labels=places)) if len(index) else float("nan"),
        macro_accuracy=_mean(class_accuracy),
        micro_accuracy=float(np.trace(confusion) / len(index)) if len(index) else float("nan"),
        class_log_loss=class_loss,
        class_accuracy=class_accuracy,
        class_count=count,
        confusion=confusion,
    )


def wald_interval(p: float, n: int) -> Interval:
    """Return the 95 % interval of a share *p* of *n* independent samples: p -/+ 1.96 sqrt(p (1 - p) / n), within 0..1.

    The paper's widths are those of this interval with n = 72,000 (inferred). NaN where *n* is 0 or *p* is NaN.
    """
    if n == 0 or np.isnan(p):
        return Interval(float("nan"), float("nan"))
    half = Z_95 * float(np.sqrt(p * (1.0 - p) / n))
    return Interval(max(0.0, p - half), min(1.0, p + half))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bins of equal mass, least confident first: mean confidence, accuracy and count of each, float64/int64 ``[bins]``.

    error: the expected calibration error, 0..1: the mean over samples of how far their bin's accuracy is from its
    confidence (Naeini et al. 2015, with equal-mass bins as in Nguyen and O'Connor 2015).
    """

    confidence: NDArray[float64]
    accuracy: NDArray[float64]
    count: NDArray[int64]
    error: float


def calibration(label_index: NDArray[int64], probabilities: Any, bins: int = 15) -> Calibration:
    """Return how well the largest probability says how often it is right.

    Samples of equal confidence stay in one bin, so bins may differ in mass or be fewer than *bins*; an empty one is
    left out. The error of no samples is NaN.
    """
    rows = normalised(probabilities)
    right = rows.argmax(axis=1) == _checked(label_index, rows)
    confidence = rows.max(axis=1)
    if not len(rows):
        return Calibration(np.empty(0), np.empty(0), np.empty(0, int64), float("nan"))
    upper_edges = np.quantile(confidence, np.linspace(0.0, 1.0, bins + 1)[1:])
    place = np.searchsorted(upper_edges, confidence, side="left")
    full, place, count = np.unique(place, return_inverse=True, return_counts=True)
    mean_confidence = np.bincount(place, confidence, len(full)) / count
    accuracy = np.bincount(place, right, len(full)) / count
    error = float((count * np.abs(accuracy - mean_confidence)).sum() / len(rows))
    return Calibration(mean_confidence, accuracy, count.astype(int64), error)


def spearman(a: Any, b: Any) -> float:
    """Return Spearman's rank correlation of two columns; equal values share their mean rank.

    Pairs in which either value is NaN are left out; NaN when fewer than two are left, or a column is constant.
    """
    x, y = np.asarray(a, dtype=float64), np.asarray(b, dtype=float64)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return float("nan")
    return float(_scipy_stats().spearmanr(x, y).statistic)


def _checked(index: Any, rows: NDArray[float64]) -> NDArray[int64]:
    checked = np.asarray(index, dtype=int64)
    if checked.shape != (len(rows),):
        raise ConfigError(f"There are {checked.size} labels for {len(rows)} rows of probabilities; give one for each.")
    if checked.size and not 0 <= checked.min() <= checked.max() < rows.shape[1]:
        raise ConfigError(f"A label's index is outside 0 to {rows.shape[1] - 1}; index the columns' labels.")
    return checked


def _shares(hits: NDArray[int64], counts: NDArray[int64]) -> NDArray[float64]:
    shares: NDArray[float64] = np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)
    return shares


def _mean(by_class: NDArray[float64]) -> float:
    known: NDArray[bool_] = ~np.isnan(by_class)
    return float(by_class[known].mean()) if known.any() else float("nan")


def need_scikit_learn() -> ModuleType:
    """Return the module sklearn.metrics; ConfigError where scikit-learn is not installed."""
    try:
        from sklearn import metrics
    except ImportError as error:
        raise ConfigError(f"Scoring needs scikit-learn, which is not installed; {installing('evaluate')}") from error
    found: ModuleType = metrics
    return found


def _scipy_stats() -> ModuleType:
    need_scikit_learn()
    # SciPy comes with scikit-learn.
    from scipy import stats

    found: ModuleType = stats
    return found
