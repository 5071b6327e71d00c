"""The figures of an evaluation as files for programs: results.json, scores.csv, clips.csv."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.windows import ScoredWindows

LEVELS = ("windows", "clips_by_sum", "clips_by_log_sum")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make *folder* where it is missing; what cannot be written inside becomes a ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror or error}); give --out another folder."
        ) from error


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write results; what is not there (NaN) is null."""
    text = json.dumps(_plain(results), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_scores(path: Path, systems: Sequence[dict[str, Any]]) -> None:
    """Write the class-wise table of each system and level, tidy: one row for each class, and one for their mean."""
    header = ("system", "of", "scene_label", "n", "accuracy", "accuracy_low", "accuracy_high", "log_loss")
    lines: list[Sequence[Any]] = []
    for system in systems:
        for level in LEVELS:
            figures = system[level]
            for label, of in figures["classes"].items():
                low, high = of["accuracy_bootstrap"] or ("", "")
                lines.append((system["label"], level, label, of["n"], of["accuracy"], low, high, of["log_loss"]))
            low, high = figures["macro_accuracy_bootstrap"] or ("", "")
            mean = (figures["macro_accuracy"], low, high, figures["macro_log_loss"])
            lines.append((system["label"], level, "mean", figures["n"], *mean))
    write_csv(path, header, lines)


def write_clips(path: Path, windows: ScoredWindows) -> None:
    """Write what became of each clip: its labels by the sum of probabilities and by that of their logarithms."""
    header = ("filename", "scene_label", "location", "windows", "by_sum", "by_log_sum", "confidence", "events")
    summed, logs = windows.clip_probabilities(), windows.clip_probabilities(log=True)
    counts = np.bincount(windows.clips, minlength=len(windows.rows)).tolist()
    lines = [
        (
            row.name,
            row.scene_label or "",
            row.location,
            count,
            windows.labels[of_sum.argmax()],
            windows.labels[of_logs.argmax()],
            float(of_sum.max()),
            " ".join(events),
        )
        for row, count, of_sum, of_logs, events in zip(windows.rows, counts, summed, logs, windows.events, strict=True)
    ]
    write_csv(path, header, lines)


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Write a table, tab-separated; what is not there (NaN) is empty."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(header)
    table.writerows(["" if value != value else value for value in line] for line in lines)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
