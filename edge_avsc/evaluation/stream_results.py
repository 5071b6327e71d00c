"""The figures of a running label under all settings, as plain data: what stream.json holds and stream.html shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import float64
from numpy.typing import NDArray

from edge_avsc.config import SmoothingConfig
from edge_avsc.evaluation.bootstrap import macro_intervals
from edge_avsc.evaluation.metrics import Interval, calibration, sample_losses
from edge_avsc.evaluation.streaming import Played, Shown, quality, settings_grid, smooth, window_by_window

SETTINGS = ("switches_per_hour", "min_dwell_s", "unsure_below")


def stream_results(played: Played) -> dict[str, Any]:
    """Return all figures: of each setting, of the default, and of the windows without smoothing.

    Intervals are 95 %, over locations; ``*_gain`` is minus the default's, paired. Delays may be infinite: never (null
    in JSON).
    """
    grid = settings_grid()
    default = grid.index(SmoothingConfig())
    shown = [smooth(played, settings) for settings in grid]
    rows = [{**settings.model_dump(), **row} for settings, row in zip(grid, _rows(played, shown, default), strict=True)]
    (alone,) = _rows(played, [window_by_window(played)], 0)
    return {
        "hours": played.hours,
        "windows": len(played.end_ns),
        "changes": len(played.change_ns),
        "clips": len(played.pieces),
        "locations": len(np.unique(played.units)),
        "problems": played.problems,
        "events": list(played.events),
        "default": rows[default],
        "window_by_window": {name: value for name, value in alone.items() if "_gain" not in name},
        "settings": rows,
        "pieces": [
            {
                "clip": piece.row.name,
                "scene_label": piece.row.scene_label,
                "start_s": piece.start_ns / 1e9,
                "end_s": piece.end_ns / 1e9,
            }
            for piece in played.pieces
        ],
        "shown": _runs(played, shown[default]),
    }


def front(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings of which none is both sooner right (median) and less often falsely changed; soonest first."""
    ordered = sorted(rows, key=lambda row: (row["delay_median_s"], row["false_changes_per_hour"]))
    best: list[dict[str, Any]] = []
    for row in ordered:
        if np.isfinite(row["delay_median_s"]) and (
            not best or row["false_changes_per_hour"] < best[-1]["false_changes_per_hour"]
        ):
            best.append(row)
    return best


def _rows(played: Played, shown: Sequence[Shown], default: int) -> list[dict[str, Any]]:
    hits = [(one.label == played.truth).astype(float64) for one in shown]
    losses = [sample_losses(played.truth, one.probabilities) for one in shown]
    gains = [column - columns[default] for columns in (hits, losses) for column in columns]
    found = iter(macro_intervals(played.units, [*hits, *losses, *gains], played.truth))
    ends = [[_ends(next(found)) for _ in shown] for _ in range(4)]
    rows = [_row(played, *one) for one in zip(shown, hits, losses, strict=True)]
    for i, row in enumerate(rows):
        row["accuracy_bootstrap"], row["log_loss_bootstrap"] = ends[0][i], ends[1][i]
        for name, intervals in (("accuracy", ends[2]), ("log_loss", ends[3])):
            row[f"{name}_gain"] = row[name] - rows[default][name]
            row[f"{name}_gain_bootstrap"] = intervals[i]
    return rows


def _row(played: Played, shown: Shown, hits: NDArray[float64], losses: NDArray[float64]) -> dict[str, Any]:
    found = quality(played, shown)
    return {
        "delay_median_s": found.delay_of(0.5),
        "delay_p95_s": found.delay_of(0.95),
        "never": found.never,
        "false_changes_per_hour": found.false_changes_per_hour,
        "right": found.right,
        "unsure": found.unsure,
        "wrong": found.wrong,
        "accuracy": _macro(hits, played),
        "log_loss": _macro(losses, played),
        "calibration_error": calibration(played.truth, shown.probabilities).error,
    }


def _macro(values: NDArray[float64], played: Played) -> float:
    return float(np.mean([values[played.truth == place].mean() for place in np.unique(played.truth)]))


def _runs(played: Played, shown: Shown) -> list[dict[str, Any]]:
    """Return what was shown from when to when; the label ``unsure`` is None."""
    starts = np.flatnonzero(np.diff(shown.label, prepend=shown.label[0] - 1))
    ends = np.append(played.end_ns[starts[1:]], played.pieces[-1].end_ns)
    return [
        {
            "scene_label": played.labels[shown.label[start]] if shown.label[start] >= 0 else None,
            "start_s": played.end_ns[start] / 1e9,
            "end_s": end / 1e9,
        }
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _ends(interval: Interval) -> list[float] | None:
    return None if np.isnan(interval.low) else [interval.low, interval.high]
