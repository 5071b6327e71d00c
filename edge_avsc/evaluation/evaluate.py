"""``edge-avsc evaluate``: bundles on a dataset, from clips to the report."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_avsc import __version__
from edge_avsc.bundle import Bundle, read_bundle, sha256_of
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.assessment import assess, difference
from edge_avsc.evaluation.datasets import Dataset
from edge_avsc.evaluation.figures import need_matplotlib
from edge_avsc.evaluation.metrics import need_scikit_learn
from edge_avsc.evaluation.progress import shown
from edge_avsc.evaluation.report import write_report
from edge_avsc.evaluation.results import ResultStore
from edge_avsc.evaluation.scoring import SKEWS_MS, STATES
from edge_avsc.evaluation.submission import write_meta, write_reference, write_submission
from edge_avsc.evaluation.tables import write_clips, write_json, write_scores, writing
from edge_avsc.evaluation.windows import ScoredWindows, gather
from edge_avsc.evaluation.wording import percent, spread
from edge_avsc.evaluation.workers import score_clips
from edge_avsc.model import find_bundle

_TOLD = 5
"""So many problems are told one by one; all of them are in the report."""


@dataclass(frozen=True, slots=True)
class System:
    """A bundle under evaluation. label: names its files."""

    label: str
    folder: Path
    bundle: Bundle


_FIGURES = ("report.html", "results.json", "scores.csv", "reference.csv")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of it. problems: the clips that could not be scored, each with a sentence that says why."""

    system: System
    windows: ScoredWindows
    problems: dict[str, str]


def default_jobs() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_systems(models: Sequence[str], label: str | None) -> list[System]:
    """Find and check bundles; *label* is the first part of the names of all their files, else each bundle's own name.

    Raises ModelError for what is no bundle, ConfigError for bundles that do not share their labels.
    """
    systems = []
    for number, model in enumerate(models, 1):
        folder = find_bundle(model)
        bundle = read_bundle(folder)
        systems.append(System(f"{label or bundle.name}_task1b_{number}", folder, bundle))
    for system in systems:
        if system.bundle.labels != systems[0].bundle.labels:
            raise ConfigError(
                f"{systems[0].folder} and {system.folder} have different labels; evaluate each by itself."
            )
    return systems


def evaluate(dataset: Dataset, systems: Sequence[System], out: Path, jobs: int) -> Iterator[str]:
    """Score what is not scored yet, write all files of the evaluation into *out*, and yield what a person should know.

    Raises ConfigError for a dataset or folder that cannot be used, ModelError for a bundle.
    """
    dataset.check_labels(systems[0].bundle.labels)
    if dataset.labelled:
        # Before the work, not after it.
        need_matplotlib()
        need_scikit_learn()
    with writing(out):
        evaluated = []
        for system in systems:
            evaluated.append((yield from _score(dataset, system, out, jobs)))
        if dataset.labelled:
            yield from _write_figures(dataset, evaluated, out)
        else:
            # What an earlier list's figures were must not stand beside what is said of this one.
            for name in _FIGURES:
                (out / name).unlink(missing_ok=True)
            yield f"{dataset.split} has no labels, so there are no figures; what the model says of each window:"
        for one in evaluated:
            write_submission(out, one.system.label, one.windows)
            write_clips(out / f"{one.system.label}.clips.csv", one.windows)
            yield f"{out / one.system.label}.output.csv"


def _score(dataset: Dataset, system: System, out: Path, jobs: int) -> Generator[str, None, Evaluated]:
    problems: dict[str, str] = {}
    # The description holds the hashes of all graphs: another bundle of this name has results of its own.
    bundle_hash = sha256_of(system.folder / "bundle.yaml")
    path = out / f"{system.bundle.name}.{bundle_hash[:12]}.results.sqlite"
    with ResultStore(path, _key(bundle_hash)) as store:
        if store.discarded:
            yield f"{path}: {store.discarded} results of another version are discarded."
        left = store.missing(dataset.rows)
        total = len(dataset.rows)
        if len(left) < total:
            yield f"{system.label}: {total - len(left)} of {total} clips are scored already."
        with contextlib.closing(score_clips(system.folder, left, jobs)) as scoring:
            for scored in shown(scoring, total, system.label, sys.stderr, total - len(left)):
                if scored.scores is None:
                    problems[scored.row.name] = scored.problem or ""
                else:
                    store.put(scored.row, scored.scores)
        windows = gather(store, dataset.rows, system.bundle.labels)
    in_order = {row.name: problems[row.name] for row in dataset.rows if row.name in problems}
    for problem in list(in_order.values())[:_TOLD]:
        yield f"{system.label}: {problem}"
    if in_order:
        yield f"{system.label}: {len(in_order)} of {total} clips could not be scored; the figures are of the others."
    if not windows.rows:
        raise ConfigError(f"None of the {total} clips of {dataset.split} could be scored; the first: {problem}")
    return Evaluated(system, windows, in_order)


def _key(bundle_hash: str) -> str:
    """Return what results depend on, beside the clips."""
    settings = {"bundle": bundle_hash, "version": __version__, "states": STATES, "skews_ms": SKEWS_MS}
    return json.dumps(settings)


def _write_figures(dataset: Dataset, evaluated: Sequence[Evaluated], out: Path) -> Iterator[str]:
    models = [one.system.bundle.name for one in evaluated]
    systems = [
        # In pictures and tables the bundle's name will do, where it is one system's alone.
        {"name": model if models.count(model) == 1 else one.system.label, **_figures(dataset, one)}
        for model, one in zip(models, evaluated, strict=True)
    ]
    results = {
        "schema": 1,
        "edge_avsc": __version__,
        "dataset": _described(dataset),
        "systems": systems,
        "differences": [
            {"from": systems[0]["name"], "to": of["name"], **difference(evaluated[0].windows, one.windows)}
            for one, of in zip(evaluated[1:], systems[1:], strict=True)
        ],
    }
    for one, figures in zip(evaluated, systems, strict=True):
        write_meta(out, one.system.label, one.system.bundle, figures["windows"])
        yield _summary(figures)
    write_reference(out, evaluated[0].windows)
    write_json(out / "results.json", results)
    write_scores(out / "scores.csv", systems)
    write_report(out / "report.html", results)
    yield f"The report: {out / 'report.html'}"


def _described(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.folder.resolve().name,
        "split": dataset.split.name,
        "clips": len(dataset.rows),
        "locations": len({row.location for row in dataset.rows}),
        "repeated": list(dataset.repeated),
        "train_clips": len(dataset.train),
        "train_locations_seen": sorted(
            {row.location for row in dataset.rows} & {row.location for row in dataset.train}
        ),
    }


def _figures(dataset: Dataset, one: Evaluated) -> dict[str, Any]:
    counts = np.bincount(one.windows.clips, minlength=len(one.windows.rows))
    return {
        "label": one.system.label,
        "model": one.system.bundle.name,
        "clips": len(one.windows.rows),
        "problems": one.problems,
        "clips_of_windows": {str(n): int((counts == n).sum()) for n in np.unique(counts).tolist()},
        "windows_of_nothing": int((~one.windows.has("given")).sum()),
        "events": {row.name: list(of) for row, of in zip(one.windows.rows, one.windows.events, strict=True) if of},
        **assess(one.windows, dataset.train),
    }


def _summary(figures: dict[str, Any]) -> str:
    of = figures["windows"]
    clips = figures["clips_by_sum"]
    return (
        f"{figures['label']}: {of['n']} windows: accuracy {percent(of['macro_accuracy'])} "
        f"({spread(of, 'macro_accuracy')}), log-loss {of['macro_log_loss']:.3f} ({spread(of, 'macro_log_loss')}); "
        f"{clips['n']} clips: {percent(clips['macro_accuracy'])}, {clips['macro_log_loss']:.3f}"
    )
