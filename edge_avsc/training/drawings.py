"""The card's two pictures: what is taken for what, and how far a confidence can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy import int64
from numpy.typing import NDArray

from edge_avsc.training.classes import LABELS
from edge_avsc.training.measure import Words, confusion, reliability


def draw_confusion(cases: dict[str, tuple[Words, NDArray[int64]]], path: Path) -> None:
    """Draw a confusion matrix for each case (title: words, labels), rows in percent, beside one another into *path*."""
    figure, axes = _figure(len(cases), 4.6)
    ticks = range(len(LABELS))
    for axis, (title, (words, labels)) in zip(axes, cases.items(), strict=True):
        table = confusion(words.labels, labels)
        shares = table / np.maximum(1, table.sum(1, keepdims=True))
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            percent = f"{100 * shares[row, column]:.0f}"
            axis.text(column, row, percent, ha="center", va="center", fontsize=6, color=colour)
        axis.set_title(title, fontsize=9)
        axis.set_xticks(ticks, LABELS, rotation=90, fontsize=7)
        axis.set_yticks(ticks, LABELS if axis is axes[0] else [""] * len(LABELS), fontsize=7)
        axis.set_xlabel("called", fontsize=8)
    axes[0].set_ylabel("is", fontsize=8)
    _save(figure, path)


def draw_reliability(cases: dict[str, tuple[Words, NDArray[int64]]], path: Path) -> None:
    """Draw accuracy over confidence, in ten bins of equal mass, for each case (title: words, labels) into *path*."""
    figure, axes = _figure(len(cases), 3.0)
    for axis, (title, (words, labels)) in zip(axes, cases.items(), strict=True):
        table = reliability(words.probabilities, labels)
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axis.plot(table[:, 0], table[:, 1], marker="o", markersize=3)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("confidence", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("share right", fontsize=8)
    _save(figure, path)


def _figure(columns: int, size: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size * columns * 0.8, size), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})
