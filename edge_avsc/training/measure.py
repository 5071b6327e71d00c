"""Every figure of the card, measured on the graphs that ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import bool_, float32, float64, int64
from numpy.typing import NDArray

from edge_avsc.training.classes import GROUPS, LABELS, NONE
from edge_avsc.training.inference import Trio, softmax
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.pictures import to_input
from edge_avsc.training.recordings import Windows

Temperatures = dict[str, float]
RESAMPLES = 1000


def interval(units: NDArray[int64], statistic: Callable[[NDArray[int64]], float]) -> list[float]:
    """Return the 95 % percentile bootstrap interval of *statistic* (Efron 1979).

    units: to which unit each item ``[n]`` belongs; whole units are drawn, since items of one are not independent.
    statistic: of the indices of the items drawn.
    """
    random = np.random.default_rng(1)
    items = [np.flatnonzero(units == unit) for unit in np.unique(units)]
    draws = [
        statistic(np.concatenate([items[i] for i in random.integers(0, len(items), len(items))]))
        for _ in range(RESAMPLES)
    ]
    return [_round(value) for value in np.nanpercentile(draws, [2.5, 97.5])]


def picture_embeddings(trio: Trio, data: Pictures) -> NDArray[float32]:
    """Return the image embedding of each picture."""
    parts = [trio.image(to_input(data.images[i : i + 64].astype(float32)))[0] for i in range(0, len(data.images), 64)]
    return np.concatenate(parts)


def window_embeddings(trio: Trio, data: Windows) -> tuple[NDArray[float32], NDArray[float32] | None]:
    """Return each window's audio embedding and the mean of its pictures' embeddings."""
    audio = trio.audio.rows(data.log_mel)
    if data.pictures is None:
        return audio, None
    flat = data.pictures.reshape(-1, *data.pictures.shape[2:])
    return audio, trio.image.rows(flat).reshape(len(audio), -1, audio.shape[1]).mean(1)


def on_pictures(trio: Trio, data: Pictures, temperature: float) -> dict[str, Any]:
    """Measure pictures alone: recall of each group by the largest of the eight, and "none of ours"."""
    logits, none = trio.fused(None, picture_embeddings(trio, data))
    groups = data.groups
    labelled = groups != NONE
    probabilities = softmax(logits[labelled] / temperature)
    # The inside of a bus speaks for three classes; as a group it is one.
    as_groups = probabilities.copy()
    as_groups[:, LABELS.index("bus")] += probabilities[:, [LABELS.index("metro"), LABELS.index("tram")]].sum(1)
    label_of_group = np.array([LABELS.index(name) for name in GROUPS[:NONE]])
    wanted = label_of_group[groups[labelled]]
    right = as_groups.argmax(1) == wanted
    recall = {name: float(right[wanted == LABELS.index(name)].mean()) for name in GROUPS[:NONE]}
    loss = -np.log(as_groups[np.arange(len(wanted)), wanted]).mean()

    def macro(drawn: NDArray[int64]) -> float:
        return float(np.mean([right[drawn][wanted[drawn] == label].mean() for label in label_of_group]))

    return {
        "pictures": len(wanted),
        "macro_accuracy": _round(np.mean(list(recall.values()))),
        "macro_accuracy_95": interval(np.arange(len(wanted)), macro),
        "recall": {name: _round(value) for name, value in recall.items()},
        "log_loss": _round(loss),
        "none_of_ours_auroc": _round(auroc(none, ~labelled)),
        "none_of_ours_pictures": int((~labelled).sum()),
    }


def on_windows(trio: Trio, data: Windows, temperatures: Temperatures) -> dict[str, Any]:
    """Measure windows of recordings by sound, by pictures and by both, as far as they have them."""
    audio, image = window_embeddings(trio, data)
    result: dict[str, Any] = {"windows": len(data.labels), "recordings": len(np.unique(data.clips))}
    states = {"a": (audio, None)} if image is None else {"a": (audio, None), "v": (None, image), "av": (audio, image)}
    for state, embeddings in states.items():
        logits, none = trio.fused(*embeddings)
        result[state] = _scores(softmax(logits / temperatures[state]), none, data)
    return result


def _scores(probabilities: NDArray[float64], none: NDArray[float64], data: Windows) -> dict[str, Any]:
    right = probabilities.argmax(1) == data.labels
    loss = -np.log(np.maximum(probabilities[np.arange(len(right)), data.labels], 1e-15))
    by_class = [data.labels == c for c in np.unique(data.labels)]
    summed = np.array([probabilities[data.clips == c].sum(0).argmax() for c in np.unique(data.clips)])
    clip_labels = np.array([data.labels[data.clips == c][0] for c in np.unique(data.clips)])
    return {
        "accuracy": _round(right.mean()),
        "accuracy_95": interval(data.clips, lambda drawn: float(right[drawn].mean())),
        "log_loss_95": interval(data.clips, lambda drawn: float(loss[drawn].mean())),
        "macro_accuracy": _round(np.mean([right[chosen].mean() for chosen in by_class])),
        "log_loss": _round(loss.mean()),
        "macro_log_loss": _round(np.mean([loss[chosen].mean() for chosen in by_class])),
        "mean_confidence": _round(probabilities.max(1).mean()),
        "recordings_right": _round((summed == clip_labels).mean()),
        "called_none_of_ours": _round((none > 0).mean()),
    }


def int8_against_float(
    int8: Trio, full: Trio, data: Windows, pictures: Pictures, temperatures: Temperatures
) -> dict[str, Any]:
    """Compare two exports on the same inputs: how many labels differ, and the mean divergence of int8 from float."""
    ours, theirs = window_embeddings(int8, data), window_embeddings(full, data)
    cases = {
        "a": (ours[0], None, theirs[0], None),
        "v": (None, picture_embeddings(int8, pictures), None, picture_embeddings(full, pictures)),
        "av": (*ours, *theirs),
    }
    result = {}
    for state, (audio, image, audio_full, image_full) in cases.items():
        p = softmax(int8.fused(audio, image)[0] / temperatures[state])
        q = softmax(full.fused(audio_full, image_full)[0] / temperatures[state])
        result[state] = {
            "n": len(p),
            "label_flips": _round((p.argmax(1) != q.argmax(1)).mean()),
            "kl": _round((q * np.log(q / p)).sum(1).mean(), 5),
            "largest_difference": _round(np.abs(p - q).max()),
        }
    return result


def auroc(scores: NDArray[float64], positive: NDArray[bool_]) -> float:
    """Return the area under the ROC curve of *scores* for *positive* against the rest."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    hits = int(positive.sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def _round(value: Any, digits: int = 4) -> float:
    return round(float(value), digits)


def counts(labels: NDArray[int64]) -> dict[str, int]:
    """Return how many windows each class has."""
    return {LABELS[c]: int((labels == c).sum()) for c in np.unique(labels)}


def on_pairs(
    trio: Trio,
    audio: NDArray[float32],
    image: NDArray[float32],
    labels: NDArray[int64],
    temperatures: Temperatures,
) -> dict[str, Any]:
    """Measure pictures and sounds paired by class, in each state of the modalities."""
    result: dict[str, Any] = {"pairs": len(labels)}
    for state, both in {"a": (audio, None), "v": (None, image), "av": (audio, image)}.items():
        p = softmax(trio.fused(*both)[0] / temperatures[state])
        result[state] = {
            "accuracy": _round((p.argmax(1) == labels).mean()),
            "log_loss": _round(-np.log(p[np.arange(len(labels)), labels]).mean()),
            "mean_confidence": _round(p.max(1).mean()),
        }
    return result
