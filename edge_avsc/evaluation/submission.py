"""What DCASE takes: ``<Label>.output.csv`` with what a system said, ``<Label>.meta.yaml`` with what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from edge_avsc.bundle import Bundle
from edge_avsc.evaluation.outputs import SystemOutput, write_output
from edge_avsc.evaluation.windows import ScoredWindows

_TO_DO = """\
# What evaluation knows is filled in; what is null is for you to write.
"""


def window_names(windows: ScoredWindows) -> tuple[str, ...]:
    """Return a name for each window: its clip's, with ``#t=start,end`` in seconds where the clip has several.

    That is how W3C Media Fragments name a piece of a recording. The challenge's own clips of 1 s keep their names.
    """
    only = {int(clip) for clip in windows.clips} - {int(clip) for clip in windows.clips[windows.numbers > 0]}
    return tuple(
        windows.rows[clip].name + ("" if clip in only else f"#t={number},{number + 1}")
        for clip, number in zip(windows.clips.tolist(), windows.numbers.tolist(), strict=True)
    )


def write_submission(folder: Path, label: str, windows: ScoredWindows) -> None:
    """Write ``<label>.output.csv``: one row for each window."""
    given = windows.given
    decided = tuple(windows.labels[k] for k in given.argmax(axis=1))
    write_output(
        folder / f"{label}.output.csv", SystemOutput(window_names(windows), given, decided, labels=windows.labels)
    )


def write_reference(folder: Path, windows: ScoredWindows) -> None:
    """Write ``reference.csv``: the right label of each window, under the names that outputs have."""
    lines = ["filename\tscene_label"]
    for name, k in zip(window_names(windows), windows.label_index.tolist(), strict=True):
        lines.append(f"{name}\t{windows.labels[k]}")
    (folder / "reference.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_meta(folder: Path, label: str, bundle: Bundle, figures: dict[str, Any] | None) -> None:
    """Write ``<label>.meta.yaml`` in the challenge's form; *figures* are those of labelled windows."""
    parameters = bundle.measured.get("parameters")
    described: dict[str, Any] = {
        "submission": {
            "label": label,
            "name": bundle.name,
            "abbreviation": bundle.name[:10],
            "authors": [
                {
                    "lastname": None,
                    "firstname": None,
                    "email": None,
                    "corresponding": True,
                    "affiliation": {"abbreviation": None, "institute": None, "location": None},
                }
            ],
        },
        "system": {
            "description": {
                "input_sampling_rate": f"{bundle.audio.sample_rate_hz / 1000:g}kHz",
                "acoustic_features": ", ".join(bundle.audio.banks),
                "visual_features": f"{bundle.image.frames_per_s} frames/s, {bundle.image.size_px} px",
                "embeddings": None,
                "data_augmentation": None,
                "machine_learning_method": "CNN",
                "modality_fusion": "model level",
                "ensemble_method_subsystem_count": None,
                "decision_making": None,
            },
            "complexity": {"total_parameters": sum(parameters.values()) if parameters else None},
            "external_datasets": [{"name": name, "url": None} for name in bundle.provenance.data],
            "source_code": None,
        },
    }
    if figures is not None:
        described["results"] = {"development_dataset": _results(figures)}
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120)
    (folder / f"{label}.meta.yaml").write_text(_TO_DO + text, encoding="utf-8", newline="\n")


def _results(figures: dict[str, Any]) -> dict[str, Any]:
    """Return overall and class-wise figures; accuracies are in percent, as the challenge's form asks."""
    classes = {
        label: {"accuracy": round(100 * of["accuracy"], 1), "logloss": round(of["log_loss"], 3)}
        for label, of in figures["classes"].items()
        if of["n"]
    }
    overall = {"accuracy": round(100 * figures["macro_accuracy"], 1), "logloss": round(figures["macro_log_loss"], 3)}
    return {"overall": overall, "class_wise": classes}
