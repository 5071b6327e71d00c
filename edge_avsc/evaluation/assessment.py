"""Every figure of an evaluation, as plain data: what results.json holds and what the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.bootstrap import macro_interval
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.metrics import Interval, Scores, calibration, decisions, sample_losses, scores, wald_interval
from edge_avsc.evaluation.scoring import SKEWS_MS
from edge_avsc.evaluation.windows import ScoredWindows


def assess(windows: ScoredWindows, train: Sequence[Row]) -> dict[str, Any]:
    """Return all figures of labelled windows; intervals are 95 %, ``bootstrap`` draws whole locations.

    train: the clips that the bundle may have been trained on, which say what cities are seen ones.
    """
    index, given, places = windows.label_index, windows.given, windows.locations
    clip_places = np.array([row.location for row in windows.rows])
    clip_index = windows.clip_label_index
    calibrated = calibration(index, given)
    return {
        "windows": figures(index, given, windows.labels, places),
        "clips_by_sum": figures(clip_index, windows.clip_probabilities(), windows.labels, clip_places),
        "clips_by_log_sum": figures(clip_index, windows.clip_probabilities(log=True), windows.labels, clip_places),
        "calibration": {
            "error": calibrated.error,
            "bins": [
                {"confidence": float(confidence), "accuracy": float(accuracy), "n": int(n)}
                for confidence, accuracy, n in zip(
                    calibrated.confidence, calibrated.accuracy, calibrated.count, strict=True
                )
            ],
        },
        "modalities": modalities(windows),
        "skew": skew_curve(windows),
        "cities": cities(windows, train),
    }


def figures(
    label_index: NDArray[int64], probabilities: NDArray[float64], labels: tuple[str, ...], places: NDArray[np.str_]
) -> dict[str, Any]:
    """Return the scores of samples, with intervals, and the class-wise table."""
    found = scores(label_index, probabilities, labels)
    hits = (decisions(probabilities) == label_index).astype(float64)
    losses = sample_losses(label_index, probabilities)
    return {
        "n": found.n,
        "locations": len(np.unique(places)),
        "macro_accuracy": found.macro_accuracy,
        "macro_accuracy_wald": _ends(wald_interval(found.macro_accuracy, found.n)),
        "macro_accuracy_bootstrap": _ends(macro_interval(places, hits, label_index)),
        "macro_log_loss": found.macro_log_loss,
        "macro_log_loss_bootstrap": _ends(macro_interval(places, losses, label_index)),
        "micro_accuracy": found.micro_accuracy,
        "micro_log_loss": found.micro_log_loss,
        "classes": {label: _of_class(found, k, label_index, hits, places) for k, label in enumerate(labels)},
        "confusion": found.confusion.tolist(),
    }


def _of_class(
    found: Scores, k: int, label_index: NDArray[int64], hits: NDArray[float64], places: NDArray[np.str_]
) -> dict[str, Any]:
    mine = label_index == k
    accuracy, n = float(found.class_accuracy[k]), int(found.class_count[k])
    return {
        "n": n,
        "locations": len(np.unique(places[mine])),
        "accuracy": accuracy,
        "accuracy_wald": _ends(wald_interval(accuracy, n)),
        "accuracy_bootstrap": _ends(macro_interval(places[mine], hits[mine], label_index[mine] * 0)) if n else None,
        "log_loss": float(found.class_log_loss[k]),
    }


def modalities(windows: ScoredWindows) -> list[dict[str, Any]]:
    """Return the scores by both, by sound alone and by pictures alone: of the same windows, which have both.

    Where other windows have only one modality, their own rows follow.
    """
    both = windows.has("av")
    cases = [(state, both, "windows with both") for state in ("av", "a", "v")]
    for state, what in (("a", "all windows with sound"), ("v", "all windows with pictures")):
        if windows.has(state).sum() > both.sum():
            cases.append((state, windows.has(state), what))
    found = []
    for state, chosen, what in cases:
        if chosen.any():
            of_state = windows.by(state)[chosen]
            found.append({"modality": state, "of": what, **_short(windows, chosen, of_state)})
    return found


def cities(windows: ScoredWindows, train: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the scores of each city, and of the seen and the unseen ones where there is a training list.

    ``seen`` is None where there is none, and for the windows whose names say no city.
    """
    known = {row.city for row in train}
    of_window = np.array([row.city or "" for row in windows.rows])[windows.clips]
    found = []
    for city in np.unique(of_window):
        chosen = of_window == city
        seen = bool(city in known) if train and city else None
        found.append({"city": str(city) or None, "seen": seen, **_short(windows, chosen, windows.given[chosen])})
    for seen in (True, False) if train else ():
        chosen = np.array([bool(city) and (city in known) == seen for city in of_window])
        if chosen.any():
            found.append({"city": "all", "seen": seen, **_short(windows, chosen, windows.given[chosen])})
    return found


def _short(windows: ScoredWindows, chosen: NDArray[np.bool_], probabilities: NDArray[float64]) -> dict[str, Any]:
    index, places = windows.label_index[chosen], windows.locations[chosen]
    found = scores(index, probabilities, windows.labels)
    hits = (decisions(probabilities) == index).astype(float64)
    return {
        "n": found.n,
        "locations": len(np.unique(places)),
        "macro_accuracy": found.macro_accuracy,
        "macro_accuracy_bootstrap": _ends(macro_interval(places, hits, index)),
        "macro_log_loss": found.macro_log_loss,
    }


def skew_curve(windows: ScoredWindows) -> list[dict[str, Any]]:
    """Return the scores under each imposed skew, all of the same windows; the skew is sound time minus picture time."""
    skewed = windows.skewed
    if not len(skewed.clips):
        return []
    index = windows.clip_label_index[skewed.clips]
    places = np.array([row.location for row in windows.rows])[skewed.clips]
    aligned = skewed.hits[:, SKEWS_MS.index(0)]
    return [
        {
            "skew_ms": skew_ms,
            "n": len(index),
            "macro_accuracy": _macro(skewed.hits[:, k], index),
            "macro_accuracy_bootstrap": _ends(macro_interval(places, skewed.hits[:, k], index)),
            "less_than_aligned_bootstrap": _ends(macro_interval(places, skewed.hits[:, k] - aligned, index)),
            "macro_log_loss": _macro(skewed.losses[:, k], index),
        }
        for k, skew_ms in enumerate(SKEWS_MS)
    ]


def difference(a: ScoredWindows, b: ScoredWindows) -> dict[str, Any]:
    """Return how much better *b* is than *a*, on the windows that both scored, with paired intervals over locations."""
    places_of = {(row.name, int(k)): i for i, (row, k) in enumerate(_keys(a))}
    pairs = [(places_of[row.name, int(k)], j) for j, (row, k) in enumerate(_keys(b)) if (row.name, int(k)) in places_of]
    mine, theirs = np.array(pairs, int64).reshape(-1, 2).T
    index, places = b.label_index[theirs], b.locations[theirs]
    hits = (decisions(b.given[theirs]) == index).astype(float64) - (decisions(a.given[mine]) == index)
    losses = sample_losses(index, b.given[theirs]) - sample_losses(index, a.given[mine])
    return {
        "n": len(pairs),
        "macro_accuracy": _macro(hits, index),
        "macro_accuracy_bootstrap": _ends(macro_interval(places, hits, index)),
        "macro_log_loss": _macro(losses, index),
        "macro_log_loss_bootstrap": _ends(macro_interval(places, losses, index)),
    }


def _keys(windows: ScoredWindows) -> list[tuple[Row, int64]]:
    return [(windows.rows[clip], number) for clip, number in zip(windows.clips, windows.numbers, strict=True)]


def _macro(values: NDArray[float64], label_index: NDArray[int64]) -> float:
    return float(np.mean([values[label_index == k].mean() for k in np.unique(label_index)]))


def _ends(interval: Interval) -> list[float] | None:
    return None if np.isnan(interval.low) else [interval.low, interval.high]
