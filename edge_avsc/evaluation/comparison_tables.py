"""A comparison as tables: for people by rich, for programs as CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from edge_avsc.evaluation.characteristics import Correlation
from edge_avsc.evaluation.comparison import Comparison, Entry, Pair
from edge_avsc.evaluation.metrics import Interval
from edge_avsc.evaluation.tables import write_csv, write_json, writing

_TITLES = {
    "system": "Systems, by macro log-loss",
    "together": "Systems together",
    "floor": "With a confidence floor: p = max(p, floor), normalised",
}
_PLAIN_WIDTH = 160
"""Columns of text where the output is no terminal."""

Rows = list[dict[str, Any]]


def system_columns(found: Comparison) -> dict[str, dict[str, float]]:
    """Return the figures that can be correlated, by column and system; rank 1 has the least macro log-loss."""
    systems = found.of_kind("system")
    losses = [entry.scores.macro_log_loss for entry in systems]
    columns: dict[str, dict[str, float]] = {"rank": {}}
    for entry in systems:
        columns["rank"][entry.name] = 1 + sum(other < entry.scores.macro_log_loss for other in losses)
        for column, value in _figures(entry).items():
            columns.setdefault(column, {})[entry.name] = value
    return columns


def print_comparison(found: Comparison, stream: TextIO) -> None:
    """Print all tables of a comparison."""
    print(
        f"{found.n} samples; log-loss (in nats) and accuracy are means over the classes. Intervals are of 95 %: Wald's "
        f"takes all samples for independent,\n{_drawn(found)}\n",
        file=stream,
    )
    for kind, title in _TITLES.items():
        _print(title, [_entry_text(entry) for entry in found.of_kind(kind)], stream)
    shown = [*found.of_kind("system"), *found.of_kind("together")]
    _print("Accuracy by class, %", _class_text(shown, "class_accuracy", 100.0, 1), stream)
    _print("Log-loss by class", _class_text(found.of_kind("system"), "class_log_loss", 1.0, 3), stream)
    _print("Pairs, first minus second (paired bootstrap)", [_pair_text(pair) for pair in found.pairs], stream)


def _drawn(found: Comparison) -> str:
    if found.units == found.n and not found.located:
        return "and so does the bootstrap here, since no name says what was recorded in one place."
    alone = found.n - found.located
    others = f", {alone} samples whose names say none go with their file" if alone else ""
    return f"the bootstrap draws whole locations ({found.units}{others})."


def print_correlations(found: Sequence[Correlation], stream: TextIO) -> None:
    """Print correlations of columns."""
    rows = [
        {"first": one.first, "second": one.second, "rho": _number(one.rho, 1.0, 2), "systems": one.n} for one in found
    ]
    _print("Spearman's rank correlation", rows, stream)


def write_tables(folder: Path, found: Comparison | None, related: Sequence[Correlation]) -> None:
    """Write ``compare.json`` and, tab-separated, ``systems.csv``, ``classes.csv``, ``pairs.csv``, ``spearman.csv``.

    A table that has no rows is not written. Raises ConfigError where *folder* cannot be written.
    """
    entries, pairs = (found.entries, found.pairs) if found else ((), ())
    tables: dict[str, Rows] = {
        "systems": [_entry_row(entry) for entry in entries],
        "classes": [row for entry in entries for row in _class_rows(entry)],
        "pairs": [_pair_row(pair) for pair in pairs],
        "spearman": [asdict(one) for one in related],
    }
    confusion = {entry.name: entry.scores.confusion.tolist() for entry in entries if entry.kind == "system"}
    about = {"schema": 1, "samples": found.n, "units": found.units, "located": found.located} if found else {}
    everything = {**about, **tables, "confusion": confusion}
    with writing(folder):
        for name, rows in tables.items():
            if rows:
                write_csv(folder / f"{name}.csv", list(rows[0]), [list(row.values()) for row in rows])
        write_json(folder / "compare.json", everything)


def _figures(entry: Entry) -> dict[str, float]:
    found = entry.scores
    return {
        "log_loss": found.macro_log_loss,
        "accuracy": found.macro_accuracy,
        "micro_log_loss": found.micro_log_loss,
        "micro_accuracy": found.micro_accuracy,
        "calibration_error": entry.calibration_error,
    }


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "note": entry.note,
        **_figures(entry),
        **_ends("log_loss_bootstrap", entry.log_loss_bootstrap),
        **_ends("accuracy_bootstrap", entry.accuracy_bootstrap),
        **_ends("accuracy_wald", entry.accuracy_wald),
    }


def _class_rows(entry: Entry) -> Rows:
    found = entry.scores
    return [
        {
            "name": entry.name,
            "kind": entry.kind,
            "scene_label": label,
            "n": int(found.class_count[k]),
            "accuracy": float(found.class_accuracy[k]),
            "log_loss": float(found.class_log_loss[k]),
        }
        for k, label in enumerate(found.labels)
    ]


def _pair_row(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "log_loss": pair.log_loss,
        **_ends("log_loss_bootstrap", pair.log_loss_bootstrap),
        "accuracy": pair.accuracy,
        **_ends("accuracy_bootstrap", pair.accuracy_bootstrap),
    }


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}


def _entry_text(entry: Entry) -> dict[str, str]:
    found = entry.scores
    return {
        "name": entry.name,
        "log-loss (bootstrap)": _number(found.macro_log_loss, 1.0, 3) + _within(entry.log_loss_bootstrap, 1.0, 3),
        "accuracy % (Wald)": _number(found.macro_accuracy, 100.0, 1) + _within(entry.accuracy_wald, 100.0, 1),
        "(bootstrap)": _within(entry.accuracy_bootstrap, 100.0, 1).strip() or "-",
        "micro log-loss, acc. %": f"{_number(found.micro_log_loss, 1.0, 3)}, {_number(found.micro_accuracy, 100.0, 1)}",
        "ECE %": _number(entry.calibration_error, 100.0, 1),
        "note": entry.note,
    }


def _class_text(entries: Sequence[Entry], figure: str, unit: float, digits: int) -> Rows:
    found = entries[0].scores
    return [
        {
            "scene_label": label,
            "n": str(found.class_count[k]),
            **{entry.name: _number(float(getattr(entry.scores, figure)[k]), unit, digits) for entry in entries},
        }
        for k, label in enumerate(found.labels)
    ]


def _pair_text(pair: Pair) -> dict[str, str]:
    return {
        "first": pair.first,
        "second": pair.second,
        "log-loss": _number(pair.log_loss, 1.0, 3) + _within(pair.log_loss_bootstrap, 1.0, 3),
        "accuracy, points": _number(pair.accuracy, 100.0, 1) + _within(pair.accuracy_bootstrap, 100.0, 1),
    }


def _number(value: float, unit: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value * unit:.{digits}f}"


def _within(interval: Interval, unit: float, digits: int) -> str:
    if math.isnan(interval.low):
        return ""
    return f" ({interval.low * unit:.{digits}f} to {interval.high * unit:.{digits}f})"


def _print(title: str, rows: Rows, stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Names come from files: what looks like rich's markup in them is none.
        table.add_row(*(Text(str(value)) for value in row.values()))
    console = Console(file=stream, width=None if stream.isatty() else _PLAIN_WIDTH, highlight=False)
    # It would end the program itself, as failed, where nobody reads any more.
    with console.capture() as drawn:
        console.print(table)
    stream.write(drawn.get())
