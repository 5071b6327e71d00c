"""What a head is worth: judged on sources that neither it nor its reading learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import bool_, float64
from numpy.typing import NDArray

from edge_avsc.evaluation.bootstrap import macro_intervals
from edge_avsc.evaluation.metrics import scores
from edge_avsc.training.own_scenes.calibration import FALSE_ALARMS, HeldOut, fit_reading, weighted_quantile
from edge_avsc.training.own_scenes.judging import STATES, THRESHOLD, Reading, Scene, judge, losses, unlikeness
from edge_avsc.training.own_scenes.windows import Windows, weights


def figures(windows: Windows, held_out: HeldOut, scene: Scene) -> dict[str, Any]:
    """Return the figures of each state of the modalities that the folder can judge, ready for a bundle's *measured*.

    Each fold is judged by experts that learnt from the others, read as the others teach. Classes of one source have no
    part in it, nor have those of one source of a modality where that counts. Intervals: bootstrap over sources.
    """
    judged: dict[str, tuple[NDArray[float64], NDArray[float64]]] = {
        state: (np.full((len(windows.sound), len(scene.labels)), np.nan), np.full(len(windows.sound), np.nan))
        for state in STATES
    }
    for fold in np.unique(windows.folds).tolist():
        reading = fit_reading(windows, held_out, scene, windows.folds != fold)
        for state, (probabilities, odds) in judged.items():
            mine = (windows.folds == fold) & windows.has(state) & held_out.knows(state, reading)
            if mine.any():
                probabilities[mine], odds[mine] = judge(state, held_out.read(reading, mine), reading, scene)
    measured = {state: _of_state(windows, scene, state, *judged[state]) for state in STATES}
    found = {state: of for state, of in measured.items() if of}
    if len(scene.labels) > 2:
        reading = fit_reading(windows, held_out, scene, windows.label_index >= 0)
        for state, of in found.items():
            of["untaught_scenes_called_none"] = _untaught(windows, held_out, reading, state)
    return found


def _of_state(
    windows: Windows,
    scene: Scene,
    state: str,
    probabilities: NDArray[float64],
    odds: NDArray[float64],
) -> dict[str, Any]:
    told = windows.judged(state) & ~np.isnan(odds)
    mine = told & ~windows.none
    if not mine.any():
        return {}
    right, said, units = windows.label_index[mine], probabilities[mine], windows.sources[mine]
    found = scores(right, said, scene.labels)
    hits = (said.argmax(axis=1) == right).astype(float64)
    at_threshold = np.log(THRESHOLD / (1.0 - THRESHOLD))
    strange = (odds[mine] > at_threshold).astype(float64)
    accuracy, log_loss = macro_intervals(units, [hits, losses(right, said)], right)
    none = told & windows.none
    figures = {
        "windows": int(mine.sum()),
        "sources": len(np.unique(units)),
        "scenes": len(np.unique(right)),
        "macro_accuracy": round(found.macro_accuracy, 4),
        "macro_accuracy_95": _ends(accuracy),
        "macro_log_loss": round(found.macro_log_loss, 4),
        "macro_log_loss_95": _ends(log_loss),
        "mean_confidence": round(float(weights(windows, mine)[mine] @ said.max(axis=1)), 4),
        "recall": {
            label: round(float(share), 4)
            for label, share in zip(scene.labels, found.class_accuracy, strict=True)
            if not np.isnan(share)
        },
        "called_none_of_ours": round(float(weights(windows, mine)[mine] @ strange), 4),
    }
    rehearsed = windows.has(state) & ~windows.own & ~np.isnan(odds)
    if rehearsed.any():
        kept = probabilities[rehearsed].argmax(axis=1) == windows.label_index[rehearsed]
        figures["kept_labels_stay"] = round(float(weights(windows, rehearsed)[rehearsed] @ kept), 4)
    if none.any():
        figures["none_called_none_of_ours"] = round(float((odds[none] > at_threshold).mean()), 4)
    return {key: value for key, value in figures.items() if value is not None}


def _untaught(windows: Windows, held_out: HeldOut, reading: Reading, state: str) -> float | None:
    """Return which share of a scene's windows is unlike all others, had it not been taught; the mean over scenes.

    The limit is where the same share of the others' windows ends as in the finished bundle.
    """
    shares = []
    there = windows.has(state) & ~windows.none & held_out.knows(state, reading)
    for label in np.unique(windows.label_index[there & windows.own]).tolist():
        unlike = unlikeness(state, held_out.read(reading, there, without=label), reading)
        known, untaught = windows.label_index[there] != label, windows.label_index[there] == label
        weight = weights(windows, there)[there]
        if (known & ~np.isnan(unlike)).any():
            limit = weighted_quantile(unlike[known], weight[known], 1.0 - FALSE_ALARMS)
            shares.append(float(np.average(unlike[untaught] > limit, weights=weight[untaught])))
    return round(float(np.mean(shares)), 4) if shares else None


def _ends(interval: tuple[float, float]) -> list[float] | None:
    return None if np.isnan(interval[0]) else [round(end, 4) for end in interval]


def counts(windows: Windows) -> dict[str, dict[str, int]]:
    """Return how many windows with sound, with pictures and in all, and how many sources each class has."""

    def count(place: int) -> dict[str, int]:
        mine: NDArray[bool_] = windows.own & (windows.label_index == place)
        return {
            "sources": len(np.unique(windows.sources[mine])),
            "windows": int(mine.sum()),
            "with_sound": int((mine & windows.has("a")).sum()),
            "with_pictures": int((mine & windows.has("v")).sum()),
        }

    own = np.unique(windows.label_index[windows.own])
    return {windows.classes[place]: count(place) for place in own.tolist()}
