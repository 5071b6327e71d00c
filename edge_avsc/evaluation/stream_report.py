"""stream.html: how soon the running label is right, how steady it is, and what each setting of the smoother does."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from edge_avsc.evaluation.figures import HUES, INK, Drawing
from edge_avsc.evaluation.page import Section, card, figure, page, table
from edge_avsc.evaluation.stream_results import SETTINGS, front
from edge_avsc.evaluation.wording import percent, spread, with_spread

_HEADER = (
    "right<br>after, s",
    "never,<br>%",
    "false<br>an hour",
    "unsure,<br>%",
    "accuracy,<br>%",
    "log-loss",
    "calibration<br>error, %",
    "against the<br>default, points",
)
_OF_SETTINGS = "switches an hour /<br>min. dwell / unsure"
_DEFINITIONS = (
    ("Right after", "Seconds from a change of the scene until its label is first shown."),
    ("Never", "The label was not shown before the scene changed again; such a change counts as later than all others."),
    ("False change", "The label that is shown becomes one that is not there. Becoming unsure is none."),
    (
        "Accuracy",
        "The mean over the classes of the share of windows whose running label is right; unsure is not right.",
    ),
    (
        "Calibration error",
        "How far the largest smoothed probability is from how often it is right, on average, in bins of equal mass.",
    ),
    ("Log-loss", "Of the smoothed probabilities, in nats, the mean over the classes."),
    ("In brackets", "95 %, a bootstrap over the locations of the clips; against the default it is paired."),
)
_TIMELINE_S = 900.0


def stream_page(results: dict[str, Any]) -> str:
    """Return the page of *results*, those of :func:`edge_avsc.evaluation.stream_results.stream_results`."""
    default, rows = results["default"], results["settings"]
    sections = [
        Section("Trade-off", figure(trade_off(rows, default, results["window_by_window"]))),
        Section("Timeline", figure(timeline(results))),
        Section("One setting at a time", _one_at_a_time(rows, default, results["window_by_window"])),
        Section("Best", _best(rows)),
        Section("All settings", f"<details><summary>{len(rows)} settings</summary>{_listed(rows)}</details>"),
        Section("Data", _data(results)),
        Section("Definitions", "<dl>" + "".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in _DEFINITIONS) + "</dl>"),
    ]
    return page(f"The running label of {results['model']} on {results['dataset']}", _head(results), sections)


def trade_off(rows: Sequence[dict[str, Any]], default: dict[str, Any], alone: dict[str, Any]) -> str:
    """Draw all settings: how soon against how steady, and how often unsure against how often wrong."""
    drawing = Drawing(9.2, 4.2, columns=2)
    left, right = drawing.axes
    hues = {value: HUES[i % len(HUES)] for i, value in enumerate(sorted({row["switches_per_hour"] for row in rows}))}
    for axis, across, up, times in (
        (left, "false_changes_per_hour", "delay_median_s", 1),
        (right, "unsure", "wrong", 100),
    ):
        for switches, hue in hues.items():
            mine = [row for row in rows if row["switches_per_hour"] == switches and np.isfinite(row[up])]
            points = [[times * row[name] for row in mine] for name in (across, up)]
            axis.scatter(*points, s=22, color=hue, alpha=0.6, linewidths=0, label=f"{switches:g} switches an hour")
        axis.scatter(times * default[across], times * default[up], s=130, color="none", edgecolors=INK, label="default")
        axis.scatter(times * alone[across], times * alone[up], marker="x", color=INK, label="no smoothing")
        axis.grid()
        axis.set_axisbelow(True)
        axis.set_ylim(bottom=0)
    best = [row for row in front(rows) if row["false_changes_per_hour"] > 0]
    left.plot(
        *([row[name] for row in best] for name in ("false_changes_per_hour", "delay_median_s")), color=INK, lw=0.8
    )
    left.set_xscale("log")
    lowest, highest = left.get_xlim()
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if lowest <= tick <= highest]
    left.set_xticks(ticks, [f"{tick}" for tick in ticks])
    left.set_xticks([], minor=True)
    left.set(xlabel="false changes an hour", ylabel="right after a change, s (median)")
    right.set(xlabel="unsure, % of the time", ylabel="wrong, % of the time")
    drawing.figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return drawing.svg("How soon against how steady; how often unsure against how often wrong")


def timeline(results: dict[str, Any]) -> str:
    """Draw what was there and what was shown, with the default settings."""
    labels = results["labels"]
    drawing = Drawing(9.2, 0.9 + 0.26 * (len(labels) + 1))
    (axis,) = drawing.axes
    for runs, height, hue, name in (
        (results["pieces"], 0.8, "#c9d6e3", "there"),
        (results["shown"], 0.36, INK, "shown"),
    ):
        mine = [run for run in runs if run["start_s"] < _TIMELINE_S]
        places = [len(labels) if run["scene_label"] is None else labels.index(run["scene_label"]) for run in mine]
        widths = [min(run["end_s"], _TIMELINE_S) - run["start_s"] for run in mine]
        axis.barh(places, widths, left=[run["start_s"] for run in mine], height=height, color=hue, label=name)
    names = [label.replace("_", " ") for label in labels] + ["unsure"]
    axis.set_yticks(range(len(names)), names)
    axis.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, min(_TIMELINE_S, results["pieces"][-1]["end_s"])), xlabel="s")
    axis.tick_params(length=0)
    axis.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return drawing.svg("What was there and what was shown")


def _head(results: dict[str, Any]) -> str:
    default = results["default"]
    setting = ", ".join(f"{name} {default[name]:g}" for name in SETTINGS)
    said = (
        f"{results['clips']} clips of {results['split']} spliced into {results['hours']:.2f} h with "
        f"{results['changes']} changes of scene, each scene about {results['stay_s']:g} s, seed {results['seed']}; "
        f"a window each {results['hop_s']:g} s. These are the figures of the default: {setting}."
    )
    cards = [
        card(
            _after(default["delay_median_s"]),
            "until the label is right after a change of scene (median; 95 % of the changes: "
            f"{_after(default['delay_p95_s'])}; {percent(default['never'])} never)",
        ),
        card(f"{default['false_changes_per_hour']:.0f}", "false changes an hour"),
        card(percent(default["unsure"]), "of the time unsure"),
        card(percent(default["accuracy"]), f"accuracy, mean of classes ({spread(default, 'accuracy')})"),
        card(f"{default['log_loss']:.3f}", f"log-loss, mean of classes ({spread(default, 'log_loss')})"),
    ]
    return f'<p class="soft">{escape(said)}</p><div class="cards">{"".join(cards)}</div>'


def _one_at_a_time(rows: Sequence[dict[str, Any]], default: dict[str, Any], alone: dict[str, Any]) -> str:
    parts = []
    for name in SETTINGS:
        others = [other for other in SETTINGS if other != name]
        mine = [row for row in rows if all(row[other] == default[other] for other in others)]
        parts.append(table((escape(name), *_HEADER), [[f"{row[name]:g}", *_cells(row)] for row in mine]))
    return "".join(parts) + table(("no smoothing", *_HEADER), [["each window alone", *_figures(alone), ""]])


def _best(rows: Sequence[dict[str, Any]]) -> str:
    said = "No setting is right sooner (by the median) and has fewer false changes than one of these."
    return f"<p>{said}</p>" + _listed(front(rows))


def _listed(rows: Sequence[dict[str, Any]]) -> str:
    settings = [" / ".join(f"{row[name]:g}" for name in SETTINGS) for row in rows]
    cells = [[setting, *_cells(row)] for setting, row in zip(settings, rows, strict=True)]
    return table((_OF_SETTINGS, *_HEADER), cells)


def _cells(row: dict[str, Any]) -> list[str]:
    return [*_figures(row), with_spread(row, "accuracy_gain", 100, signed=True)]


def _figures(row: dict[str, Any]) -> list[str]:
    return [
        _seconds(row["delay_median_s"]),
        f"{100 * row['never']:.0f}",
        f"{row['false_changes_per_hour']:.0f}",
        f"{100 * row['unsure']:.1f}",
        f"{100 * row['accuracy']:.1f}",
        f"{row['log_loss']:.3f}",
        f"{100 * row['calibration_error']:.1f}",
    ]


def _seconds(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "never"


def _after(value: float) -> str:
    return f"{value:.1f} s" if np.isfinite(value) else "never"


def _data(results: dict[str, Any]) -> str:
    told = [
        f"The clips were recorded at {results['locations']} locations; one that is played again is not new evidence."
    ]
    told += [f"{len(results['problems'])} clips could not be read, and are not in the recording."] * bool(
        results["problems"]
    )
    rows = [("", escape(name), escape(problem)) for name, problem in results["problems"].items()]
    rows += [("", "", escape(event)) for event in results["events"]]
    listed = f"<details><summary>Clip by clip</summary>{table(('', 'clip', 'what'), rows)}</details>" if rows else ""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in told) + listed
