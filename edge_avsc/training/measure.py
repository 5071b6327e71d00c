"""What a set of answers is worth: accuracy, log-loss, calibration, intervals, and how far two exports are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.bootstrap import macro_interval
from edge_avsc.training.classes import GROUPS, LABELS, NONE
from edge_avsc.training.picture_data import Pictures

BINS = 10


@dataclass(frozen=True)
class Words:
    """What a model says: ``probabilities`` ``[n, 10]``, and the log-odds ``none`` ``[n]`` of "none of ours"."""

    probabilities: NDArray[float64]
    none: NDArray[float64]

    @property
    def labels(self) -> NDArray[int64]:
        """Return the most probable classes."""
        return np.asarray(self.probabilities.argmax(1), int64)

    def only(self, rows: NDArray[bool_]) -> Words:
        """Return what is said of some of the items."""
        return Words(self.probabilities[rows], self.none[rows])


def interval(units: NDArray[Any], values: NDArray[Any], labels: NDArray[int64]) -> list[float]:
    """Return the 95 % bootstrap interval of the macro mean of *values* ``[n]`` by *labels*; whole *units* are drawn."""
    return [rounded(end) for end in macro_interval(units, values.astype(float64), labels, seed=1)]


def on_pictures(words: Words, data: Pictures) -> dict[str, Any]:
    """Measure pictures alone: recall of each group by the largest of the eight, and "none of ours"."""
    groups = data.groups
    ours = groups != NONE
    probabilities = as_groups(words.probabilities[ours])
    label_of_group = np.array([LABELS.index(name) for name in GROUPS[:NONE]])
    wanted = label_of_group[groups[ours]]
    right, loss = probabilities.argmax(1) == wanted, log_losses(probabilities, wanted)
    recall = {name: float(right[wanted == LABELS.index(name)].mean()) for name in GROUPS[:NONE]}
    direct = np.isin(np.array(data.names)[data.categories[ours]], DIRECT)
    traffic = LABELS.index("street_traffic")
    return {
        "pictures": len(wanted),
        "accuracy": rounded(right.mean()),
        "log_loss": rounded(loss.mean()),
        **_macro(right, loss, wanted),
        "macro_accuracy_95": interval(np.arange(len(wanted)), right, wanted),
        "recall": {name: rounded(value) for name, value in recall.items()},
        "direct_or_good_categories": rounded(right[direct].mean()),
        "others_called_street_traffic": rounded((probabilities.argmax(1) == traffic)[wanted != traffic].mean()),
        "none_of_ours_auroc": rounded(auroc(words.none, ~ours)),
        "none_of_ours_pictures": int((~ours).sum()),
    }


# The categories whose pictures are of the very scene, not of a similar one.
DIRECT = ("airport_terminal", "bus_interior", "subway_station-platform", "highway")


def as_groups(probabilities: NDArray[float64]) -> NDArray[float64]:
    """Return *probabilities* ``[n, 10]`` with metro and tram given to bus: their insides were learnt as one group."""
    summed = probabilities.copy()
    vehicles = [LABELS.index("metro"), LABELS.index("tram")]
    summed[:, LABELS.index("bus")] += summed[:, vehicles].sum(1)
    summed[:, vehicles] = 0.0
    return np.asarray(summed, float64)


def on_windows(
    words: Words, labels: NDArray[int64], clips: NDArray[int64], locations: NDArray[Any], threshold: float
) -> dict[str, Any]:
    """Measure windows: *labels*, *clips* and *locations*, all ``[n]``, tell of what and from where each is.

    threshold: the probability from which a window is "none of ours".
    """
    right, loss = words.labels == labels, log_losses(words.probabilities, labels)
    alike = np.zeros_like(labels)  # as of one class: the mean of all windows, not of the classes
    clip_rows = [np.flatnonzero(clips == c) for c in np.unique(clips)]
    clips_right = [words.probabilities[rows].sum(0).argmax() == labels[rows[0]] for rows in clip_rows]
    return {
        "accuracy": rounded(right.mean()),
        "accuracy_95": interval(locations, right, alike),
        "log_loss": rounded(loss.mean()),
        "log_loss_95": interval(locations, loss, alike),
        **_macro(right, loss, labels),
        "recall": {LABELS[c]: rounded(right[labels == c].mean()) for c in np.unique(labels)},
        "mean_confidence": rounded(words.probabilities.max(1).mean()),
        "calibration_error": calibration_error(words.probabilities, labels),
        "recordings_right": rounded(np.mean(clips_right)),
        "called_none_of_ours": rounded((words.none > np.log(threshold / (1 - threshold))).mean()),
    }


def on_pairs(words: Words, labels: NDArray[int64]) -> dict[str, float]:
    """Measure pictures and sounds paired by class."""
    traffic = LABELS.index("street_traffic")
    right, loss = words.labels == labels, log_losses(words.probabilities, labels)
    return {
        "accuracy": rounded(right.mean()),
        "log_loss": rounded(loss.mean()),
        **_macro(right, loss, labels),
        "mean_confidence": rounded(words.probabilities.max(1).mean()),
        "calibration_error": calibration_error(words.probabilities, labels),
        "others_called_street_traffic": rounded((words.labels == traffic)[labels != traffic].mean()),
    }


def _macro(right: NDArray[bool_], loss: NDArray[float64], labels: NDArray[int64]) -> dict[str, float]:
    """Return the means over the classes, as the challenge scores."""
    by_class = [labels == c for c in np.unique(labels)]
    return {
        "macro_accuracy": rounded(np.mean([right[chosen].mean() for chosen in by_class])),
        "macro_log_loss": rounded(np.mean([loss[chosen].mean() for chosen in by_class])),
    }


def apart(ours: Words, theirs: Words) -> dict[str, float]:
    """Compare two exports' words on the same inputs; the divergence is of *ours* from *theirs*."""
    p, q = (np.maximum(words.probabilities, 1e-12) for words in (ours, theirs))
    return {
        "n": len(p),
        "label_flips": rounded((p.argmax(1) != q.argmax(1)).mean()),
        "kl": rounded((q * np.log(q / p)).sum(1).mean(), 5),
        "largest_difference": rounded(np.abs(p - q).max()),
    }


def reliability(probabilities: NDArray[float64], labels: NDArray[int64]) -> NDArray[float64]:
    """Return mean confidence, accuracy and share ``[bins, 3]`` of ten bins of equal mass by confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    order = np.argsort(confidence, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    return np.array([[confidence[rows].mean(), right[rows].mean(), len(rows) / len(order)] for rows in bins])


def calibration_error(probabilities: NDArray[float64], labels: NDArray[int64]) -> float:
    """Return the expected calibration error over ten bins of equal mass."""
    table = reliability(probabilities, labels)
    return rounded((np.abs(table[:, 0] - table[:, 1]) * table[:, 2]).sum())


def confusion(said: NDArray[int64], labels: NDArray[int64]) -> NDArray[int64]:
    """Return how often each class (row) was called each class (column): ``[10, 10]``."""
    table = np.zeros((len(LABELS), len(LABELS)), int64)
    np.add.at(table, (labels, said), 1)
    return table


def log_losses(probabilities: NDArray[float64], labels: NDArray[int64]) -> NDArray[float64]:
    """Return the natural log-loss of each item."""
    losses: NDArray[float64] = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-15))
    return losses


def auroc(scores: NDArray[float64], positive: NDArray[bool_]) -> float:
    """Return the area under the ROC curve of *scores* for *positive* against the rest."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    hits = int(positive.sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def rounded(value: Any, digits: int = 4) -> float:
    """Return *value* as bundle.yaml keeps it."""
    return round(float(value), digits)
