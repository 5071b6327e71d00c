"""The pictures of a report, drawn by matplotlib as SVG that stands inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_avsc.errors import ConfigError, installing

HUES = ("#2f6fbb", "#e08a1e", "#4c9f70", "#9b5fb0", "#b5485d", "#6b7280")
"""One for each system, told apart by most who are colour-blind, and on paper."""

INK, PALE = "#1f2933", "#d9dee4"
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    # Letters stay letters: small, and they can be searched. Equal drawings have equal bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-avsc",
    "text.parse_math": False,
}


def need_matplotlib() -> Any:
    """Return the module matplotlib; ConfigError where it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError(f"A report needs matplotlib, which is not installed; {installing('evaluate')}") from error
    return matplotlib


class Drawing:
    """A figure of *width* x *height* inches with *columns* axes; ``svg()`` is what a page takes."""

    def __init__(self, width: float, height: float, columns: int = 1) -> None:
        self._matplotlib = need_matplotlib()
        from matplotlib.figure import Figure

        with self._matplotlib.rc_context(_STYLE):
            self.figure = Figure(figsize=(width, height), layout="constrained")
            self.axes: list[Any] = list(self.figure.subplots(1, columns, squeeze=False)[0])

    def svg(self, title: str) -> str:
        """Return the drawing; *title* is what a screen reader says."""
        text = io.StringIO()
        with self._matplotlib.rc_context(_STYLE):
            self.figure.savefig(text, format="svg", metadata={"Date": None, "Title": title})
        drawn = text.getvalue()
        drawn = drawn[drawn.index("<svg") :]
        return re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', drawn, count=1)


def class_bars(systems: Sequence[dict[str, Any]]) -> str:
    """Draw each class's accuracy, with intervals, beside its log-loss, for one system or several (paper, Figure 2)."""
    labels = [*systems[0]["windows"]["classes"], "mean"]
    drawing = Drawing(9.2, 1.0 + len(labels) * (0.2 + 0.14 * len(systems)), columns=2)
    left, right = drawing.axes
    height = 0.8 / len(systems)
    for number, system in enumerate(systems):
        of = system["windows"]
        rows = [*of["classes"].values(), _mean_row(of)]
        places = np.arange(len(labels)) + (number - (len(systems) - 1) / 2) * height
        style = {"height": height * 0.92, "color": HUES[number % len(HUES)], "label": system["name"]}
        accuracy = np.array([100 * row["accuracy"] for row in rows])
        left.barh(places, np.nan_to_num(accuracy), **style)
        for place, row in zip(places, rows, strict=True):
            if row["accuracy_bootstrap"]:
                left.plot(100 * np.array(row["accuracy_bootstrap"]), [place, place], color=INK, linewidth=1.1)
        right.barh(places, np.nan_to_num([row["log_loss"] for row in rows]), **style)
    for axis, what in ((left, "accuracy, % (line: 95 %, over locations)"), (right, "log-loss, nats (less is better)")):
        axis.set_yticks(range(len(labels)), [label.replace("_", " ") for label in labels])
        axis.set_ylim(len(labels) - 0.4, -0.6)
        axis.set_xlabel(what)
        axis.grid(axis="x")
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
    left.set_xlim(0, 100)
    right.set_yticklabels([])
    if len(systems) > 1:
        drawing.figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return drawing.svg("Accuracy and log-loss of each class")


def _mean_row(of: dict[str, Any]) -> dict[str, Any]:
    return {
        "accuracy": of["macro_accuracy"],
        "accuracy_bootstrap": of["macro_accuracy_bootstrap"],
        "log_loss": of["macro_log_loss"],
    }


def confusion(of: dict[str, Any]) -> str:
    """Draw where the windows of each class went, in percent of that class."""
    labels = [label.replace("_", " ") for label in of["classes"]]
    counts = np.array(of["confusion"], float)
    total = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    drawing = Drawing(6.4, 5.4)
    (axis,) = drawing.axes
    # Drawn as cells, not as an image: sharp at any size.
    axis.pcolormesh(shares, cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=1.5)
    for i, j in np.ndindex(shares.shape):
        if counts[i, j]:
            shown = f"{shares[i, j]:.0f}"
            axis.text(j + 0.5, i + 0.5, shown, ha="center", va="center", color="white" if shares[i, j] > 55 else INK)
    axis.set_yticks(np.arange(len(labels)) + 0.5, labels)
    axis.set_xticks(np.arange(len(labels)) + 0.5, labels, rotation=40, ha="right")
    axis.set(ylim=(len(labels), 0), xlabel="was called, % of the class", ylabel="is", aspect="equal")
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return drawing.svg("Confusion matrix")


def reliability(systems: Sequence[dict[str, Any]]) -> str:
    """Draw how often the largest probability is right, in bins of equal mass (after DeGroot and Fienberg 1983)."""
    drawing = Drawing(4.8, 4.4)
    (axis,) = drawing.axes
    axis.plot([0, 100], [0, 100], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="calibrated")
    for number, system in enumerate(systems):
        bins = system["calibration"]["bins"]
        confidence, accuracy = ([100 * one[what] for one in bins] for what in ("confidence", "accuracy"))
        axis.plot(confidence, accuracy, marker="o", color=HUES[number % len(HUES)], label=system["name"])
    axis.set(xlim=(0, 102), ylim=(0, 102), xlabel="largest probability, %", ylabel="right, %", aspect="equal")
    axis.grid()
    axis.legend(frameon=False, loc="lower right")
    return drawing.svg("Reliability diagram")


def skew_curve(systems: Sequence[dict[str, Any]]) -> str:
    """Draw the accuracy against the imposed skew, with what ITU-R BT.1359-1 calls noticed and tolerated."""
    drawing = Drawing(8.6, 3.6)
    (axis,) = drawing.axes
    # BT.1359 counts sound that is early as positive; we count sound time minus picture time.
    axis.axvspan(-90, 185, color="#e6efe6", linewidth=0, label="acceptable (ITU-R BT.1359-1)")
    axis.axvspan(-45, 125, color="#cfe3cf", linewidth=0, label="not noticed")
    for number, system in enumerate(systems):
        points = system["skew"]
        skews = [point["skew_ms"] for point in points]
        hue = HUES[number % len(HUES)]
        if all(point["macro_accuracy_bootstrap"] for point in points):
            low, high = np.array([point["macro_accuracy_bootstrap"] for point in points]).T
            axis.fill_between(skews, 100 * low, 100 * high, color=hue, alpha=0.12, linewidth=0)
        accuracy = [100 * point["macro_accuracy"] for point in points]
        axis.plot(skews, accuracy, marker="o", color=hue, label=system["name"])
    axis.set_xscale("symlog", linthresh=40, linscale=0.45)
    shown = (-2000, -1000, -500, -185, -125, -45, 0, 45, 125, 185, 500, 1000, 2000)
    axis.set_xticks(shown, [f"{ms:+d}" if ms else "0" for ms in shown], rotation=40)
    axis.set_xticks([], minor=True)
    axis.set(xlabel="imposed skew, ms: sound time minus picture time (right: sound late)", ylabel="accuracy, %")
    axis.grid(axis="y")
    axis.legend(frameon=False, ncols=4, fontsize=8.5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return drawing.svg("Accuracy against skew")


def intervals(rows: Sequence[tuple[str, str, float, list[float] | None]]) -> str:
    """Draw accuracies (shares) as points with their intervals; each row is a system, a name, the accuracy, its ends.

    Rows of one name stand together, each in the hue of its system.
    """
    systems, names = (list(dict.fromkeys(row[k] for row in rows)) for k in (0, 1))
    drawing = Drawing(7.6, 0.9 + (0.12 + 0.18 * len(systems)) * len(names))
    (axis,) = drawing.axes
    step = 0.62 / len(systems)
    labelled = set()
    for system, name, accuracy, ends in rows:
        number = systems.index(system)
        place = names.index(name) + (number - (len(systems) - 1) / 2) * step
        hue = HUES[number % len(HUES)]
        if ends:
            axis.plot([100 * ends[0], 100 * ends[1]], [place, place], color=hue, linewidth=2.4, alpha=0.45)
        label = None if system in labelled else system
        axis.plot(100 * accuracy, place, marker="o", linestyle="", markersize=6.5, color=hue, label=label)
        labelled.add(system)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlim=(-1, 101), ylim=(len(names) - 0.4, -0.6), xlabel="accuracy, % (line: 95 %, over locations)")
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    if len(systems) > 1:
        drawing.figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return drawing.svg("Accuracies with intervals")
