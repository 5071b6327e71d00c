"""What ``measured`` in bundle.yaml says, gathered from the graphs that ship."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_avsc.backends.onnxruntime import saturates
from edge_avsc.evaluation.datasets import place_of
from edge_avsc.selftest import machine_name
from edge_avsc.training import measure
from edge_avsc.training.classes import LABELS, NONE
from edge_avsc.training.export import macs_of, parameters_of
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.heads import Fitted, Material
from edge_avsc.training.inference import Trio, softmax
from edge_avsc.training.measure import Words, rounded
from edge_avsc.training.recordings import Clip, Windows
from edge_avsc.training.versions import DEVICES, Answers, Trials, Version


def accuracies(said: Answers, fitted: Fitted, trials: Trials, material: Material) -> dict[str, Any]:
    """Return what *said* is worth on every set."""
    labels = fitted.pairs.labels
    pairs = {state: measure.on_pairs(words, labels) for state, words in said["class_pairs_kept_out"].items()}
    return {
        "miniplaces_val": measure.on_pictures(said["miniplaces_val"]["v"], material.val_pictures),
        "tau_sound": _on_tau(said["tau_sound"], trials.sound, fitted.threshold),
        "tau_joint": _on_tau(said["tau_joint"], trials.joint, fitted.threshold),
        "class_pairs_kept_out": {"pairs": len(labels), **pairs},
        "kept_out_sound": _kept_out_sound(said["kept_out_sound"]["a"], material, fitted.threshold),
        "none_of_ours": _none_of_ours(said["miniplaces_val"]["v"], material, fitted.threshold),
    }


def _on_tau(said: dict[str, Words], windows: Windows, threshold: float) -> dict[str, Any]:
    locations = np.array([place_of(name)[1] for name in windows.names])[windows.clips]
    others = windows.labels != LABELS.index("street_traffic")
    result: dict[str, Any] = {
        "windows": len(windows.labels),
        "recordings": len(windows.names),
        "locations": len(np.unique(locations)),
    }
    for state, words in said.items():
        result[state] = measure.on_windows(words, windows.labels, windows.clips, locations, threshold)
        if others.any():
            called = words.labels[others] == LABELS.index("street_traffic")
            result[state]["others_called_street_traffic"] = rounded(called.mean())
    return result


def _kept_out_sound(words: Words, material: Material, threshold: float) -> dict[str, Any]:
    data = material.kept_out
    events, called = data.is_event, _sigmoid(words.none) > threshold
    teacher = softmax(data.teacher.astype(np.float64))
    divergence = (teacher * (np.log(np.maximum(teacher, 1e-12)) - np.log(words.probabilities))).sum(1)
    return {
        "seconds": len(called),
        "agrees_with_teacher": rounded((words.labels == teacher.argmax(1)).mean()),
        "kl_from_teacher": rounded(divergence[~material.lent()].mean()),
        "events": int(events.sum()),
        "event_auroc": rounded(measure.auroc(words.none, events)),
        "places_called_none_of_ours": rounded(called[~events].mean()),
        "events_called_none_of_ours": rounded(called[events].mean()),
    }


def _none_of_ours(words: Words, material: Material, threshold: float) -> dict[str, float]:
    called, others = _sigmoid(words.none) > threshold, material.val_pictures.groups == NONE
    return {
        "false_alarm_rate": rounded(called[~others].mean()),
        "found_among_other_pictures": rounded(called[others].mean()),
    }


def _sigmoid(log_odds: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def exports_apart(ours: Answers, theirs: Answers, material: Material) -> dict[str, Any]:
    """Compare two kinds of graphs on every set, in every state; pictures of none of ours are a set apart."""
    others = material.val_pictures.groups == NONE

    def parts(said: Answers) -> Answers:
        pictures = said["miniplaces_val"]["v"]
        return {
            "miniplaces_val": {"v": pictures.only(~others)},
            "miniplaces_val_none_of_ours": {"v": pictures.only(others)},
            **{name: states for name, states in said.items() if name != "miniplaces_val"},
        }

    theirs = parts(theirs)
    return {
        name: {state: measure.apart(words, theirs[name][state]) for state, words in states.items()}
        for name, states in parts(ours).items()
    }


def seeds_apart(ours: Any, theirs: Any) -> dict[str, float]:
    """Return by how much the share-like figures of two `accuracies` differ, each by its path, largest first."""
    found = dict(_differences(ours, theirs, ""))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


_SHARES = ("accuracy", "macro_accuracy", "called_none_of_ours", "others_called_street_traffic", "none_of_ours_auroc")


def _differences(ours: Any, theirs: Any, path: str) -> list[tuple[str, float]]:
    if isinstance(ours, dict):
        return [found for key in ours for found in _differences(ours[key], theirs[key], f"{path}.{key}".lstrip("."))]
    return [(path, rounded(abs(ours - theirs)))] if path.split(".")[-1] in _SHARES else []


def on_clips(version: Version, clips: list[Clip]) -> dict[str, Any]:
    """Return what the int8 graphs for CPUs call each clip, from the mean of its windows' probabilities."""
    trio, result = version.trios[".cpu"], {}
    for clip in clips:
        heard = None if clip.log_mel is None else trio.audio.rows(clip.log_mel)
        seen = None
        if clip.pictures is not None:
            flat = trio.image.rows(clip.pictures.reshape(-1, *clip.pictures.shape[2:]))
            seen = flat.reshape(len(clip.pictures), -1, flat.shape[1]).mean(1)
        count = min(len(part) for part in (heard, seen) if part is not None)
        heard, seen = (None if part is None else part[:count] for part in (heard, seen))
        row: dict[str, Any] = {"scene": clip.scene, "windows": count}
        for state, both in {"a": (heard, None), "v": (None, seen), "av": (heard, seen)}.items():
            if all((part is not None) == (letter in state) for part, letter in zip(both, "av", strict=True)):
                row[state] = _verdict(version.words(".cpu", *both), version.fitted.threshold)
        result[clip.name] = row
    return result


def _verdict(words: Words, threshold: float) -> dict[str, Any]:
    mean = words.probabilities.mean(0)
    return {
        "label": LABELS[int(mean.argmax())],
        "confidence": rounded(mean.max()),
        "called_none_of_ours": rounded((_sigmoid(words.none) > threshold).mean()),
    }


def times(trio: Trio) -> dict[str, float]:
    """Return each graph's median time on one thread in milliseconds."""
    inputs = golden_inputs()
    log_mel, picture, present = (inputs[name][:1] for name in ("log_mel", "picture", "present"))
    audio, image = trio.audio(log_mel)[0], trio.image(picture)[0]
    return {
        "audio": round(trio.audio.median_ms(log_mel), 3),
        "image": round(trio.image.median_ms(picture), 3),
        "fusion": round(trio.fusion.median_ms(audio, image, present), 3),
    }


def processor() -> str:
    """Return on what the times were measured."""
    if platform.machine() != "x86_64":
        return machine_name()
    return f"{machine_name()} with{'out' if saturates(Path('/proc/cpuinfo').read_text(encoding='utf-8')) else ''} VNNI"


def sizes(image: Path, audio: Path) -> dict[str, Any]:
    """Return the bytes of each export, and each part's parameters and multiply-adds; the folders hold the graphs."""
    parts = {"audio": audio / "audio.onnx", "image": image / "image.onnx", "fusion": audio / "fusion.onnx"}
    bytes_of = {
        device: sum(path.stat().st_size for path in _export(image, audio, device).values()) for device in DEVICES
    }
    return {
        "bytes": bytes_of,
        "parameters": {name: parameters_of(path) for name, path in parts.items()},
        "macs": {name: macs_of(path) for name, path in parts.items()},
    }


def _export(image: Path, audio: Path, device: str) -> dict[str, Path]:
    return {
        "audio": audio / f"audio.{device}.onnx",
        "image": image / f"image.{device}.onnx",
        "fusion": audio / "fusion.onnx",
    }
