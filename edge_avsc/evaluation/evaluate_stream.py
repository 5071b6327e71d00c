"""``edge-avsc evaluate --stream``: the running label of a bundle, from a dataset to stream.html."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_avsc import __version__
from edge_avsc.config import hop_ns
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Dataset, Row
from edge_avsc.evaluation.figures import need_matplotlib
from edge_avsc.evaluation.progress import shown
from edge_avsc.evaluation.splicing import Plan, Splice, plan
from edge_avsc.evaluation.stream_report import stream_page
from edge_avsc.evaluation.stream_results import SETTINGS, stream_results
from edge_avsc.evaluation.streaming import Played, play
from edge_avsc.evaluation.tables import write_csv, write_json, writing
from edge_avsc.model import SceneModel

HOP_S = 0.5


def evaluate_stream(
    dataset: Dataset, model: SceneModel, out: Path, *, hours: float = 1.0, stay_s: float = 60.0, seed: int = 0
) -> Iterator[str]:
    """Measure the running label, write stream.html, stream.csv and stream.json into *out*, and yield what to tell.

    hours: how long the spliced recording is. stay_s: how long a scene lasts in it, about. seed: of its order.
    Raises ConfigError for a dataset or folder that cannot be used, ModelError for a bundle that fails.
    """
    dataset.check_labels(model.labels)
    # Before the work, not after it.
    with writing(out):
        need_matplotlib()
    planned = plan(dataset.rows, seconds=3600.0 * hours, stay_s=stay_s, seed=seed)
    played = _play(dataset, model, planned)
    results = {
        "schema": 1,
        "edge_avsc": __version__,
        "model": model.bundle.name,
        "labels": list(model.labels),
        "dataset": dataset.folder.resolve().name,
        "split": dataset.split.name,
        "stay_s": stay_s,
        "seed": seed,
        "hop_s": HOP_S,
        **stream_results(played),
    }
    yield from played.problems.values()
    yield _summary(results)
    with writing(out):
        write_json(out / "stream.json", results)
        _write_settings(out / "stream.csv", results["settings"])
        (out / "stream.html").write_text(stream_page(results), encoding="utf-8", newline="\n")
    yield f"The report: {out / 'stream.html'}"


def _play(dataset: Dataset, model: SceneModel, planned: Plan) -> Played:
    def each(clips: Iterator[Row]) -> Iterator[Row]:
        return shown(clips, len(planned.rows), model.bundle.name, sys.stderr)

    played = play(model, Splice(planned, model.bundle.image, each=each), hop_ns(HOP_S))
    if not len(played.end_ns):
        raise ConfigError(f"The clips of {dataset.split} together are shorter than a window of 1 s; give more --hours.")
    if not len(played.change_ns):
        raise ConfigError(f"Too few clips of {dataset.split} could be read to change the scene; mend or replace them.")
    return played


def _summary(results: dict[str, Any]) -> str:
    default = results["default"]
    settings = ", ".join(f"{name} {default[name]:g}" for name in SETTINGS)
    return (
        f"{results['hours']:.2f} h, {results['changes']} changes of scene, {settings}: right after "
        f"{default['delay_median_s']:.1f} s (median; never for {default['never']:.0%}), "
        f"{default['false_changes_per_hour']:.0f} false changes an hour, unsure {default['unsure']:.1%} of the time, "
        f"accuracy {default['accuracy']:.1%}, log-loss {default['log_loss']:.3f}"
    )


def _write_settings(path: Path, rows: list[dict[str, Any]]) -> None:
    names = [name for name in rows[0] if not name.endswith("_bootstrap")]
    ranges = [name for name in rows[0] if name.endswith("_bootstrap")]
    header = [*names, *(f"{name}_{end}" for name in ranges for end in ("low", "high"))]
    lines = [
        [*(row[name] for name in names), *(end for name in ranges for end in row[name] or ("", ""))] for row in rows
    ]
    write_csv(path, header, lines)
