"""``edge-avsc train own-scenes FOLDER``: from a folder of recordings to a bundle that runs."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_avsc.clock import Clock, MonotonicClock
from edge_avsc.errors import ConfigError, installing
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.progress import shown
from edge_avsc.evaluation.workers import each_clip
from edge_avsc.golden import verify
from edge_avsc.model import SceneModel, find_bundle
from edge_avsc.training.own_scenes.embedding import HOP_S, Embedder, Embeddings
from edge_avsc.training.own_scenes.folder import SceneFolder, read_folder
from edge_avsc.training.own_scenes.judging import Scene
from edge_avsc.training.own_scenes.label_statistics import read_label_statistics, rehearse
from edge_avsc.training.own_scenes.store import EmbeddingStore
from edge_avsc.training.own_scenes.windows import Windows, gather
from edge_avsc.types import NS_PER_S

LEAST_WINDOWS = 8
"""A scene of fewer is refused: 4.5 s of recordings, or as many pictures."""

_TOLD = 5
"""So many problems are told one by one; all of them are counted, and in ``problems.txt``."""


_OWN = "own recordings"
"""What begins the provenance of every bundle that is made here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. upon: a bundle's folder or shipped name. keep_labels: its labels stay, and new ones join them."""

    folder: Path
    out: Path
    upon: str = "avsc-lite"
    keep_labels: bool = False
    seed: int = 1
    jobs: int = 1


def train(plan: Plan, clock: Clock | None = None) -> Iterator[str]:
    """Embed what is not embedded yet, train, write the bundle into ``plan.out``, and yield what a person should know.

    clock: measures how long it takes. Raises ConfigError for a folder that cannot be learnt from, ModelError for a
    bundle that cannot be built upon.
    """
    clock = clock or MonotonicClock()
    content = read_folder(plan.folder, least=1 if plan.keep_labels else 2)
    _need_libraries()
    upon = SceneModel.load(find_bundle(plan.upon))
    _check_places(plan, upon)
    if plan.keep_labels:
        read_label_statistics(upon.folder, upon.bundle)  # what is missing is to be told before hours of decoding
    yield _described(content)
    try:
        began_ns = clock.now_ns()
        embeddings = yield from _embed(plan, content, upon)
        embedded_ns = clock.now_ns()
        windows = _windows(plan, content, embeddings, upon)
        yield from _warnings(windows)
        yield from _train(plan, upon, windows, (embedded_ns - began_ns) / NS_PER_S, clock)
    except OSError as error:
        raise ConfigError(
            f"{plan.out} cannot be written ({error.strerror or error}); give --out another folder."
        ) from error


def _train(plan: Plan, upon: SceneModel, windows: Windows, embedding_s: float, clock: Clock) -> Iterator[str]:
    from edge_avsc.training.own_scenes.bundle_folder import Made, write_bundle
    from edge_avsc.training.own_scenes.calibration import hold_out
    from edge_avsc.training.own_scenes.figures import counts, figures
    from edge_avsc.training.own_scenes.head import fit_head
    from edge_avsc.training.own_scenes.shipped import shipped_words

    began_ns = clock.now_ns()
    scene = Scene(windows.classes, windows.has_none, upon.labels)
    held_out = hold_out(windows, shipped_words(upon, windows))
    if not held_out.sound and not held_out.pictures:
        raise ConfigError(
            f"{plan.folder} has sound of fewer than two scenes in two sources each, and pictures likewise, so nothing "
            "tells them apart; record sound or pictures of at least two."
        )
    measured = figures(windows, held_out, scene)
    head = fit_head(windows, held_out, scene)
    training_s = (clock.now_ns() - began_ns) / NS_PER_S
    data = counts(windows)
    made = Made(
        name=plan.out.resolve().name,
        head=head,
        upon=upon,
        data=f"{_OWN} of {len(data)} classes, {sum(of['sources'] for of in data.values())} sources",
        measured={
            "of": "windows of 1 s every 0.5 s, each judged by a head that did not learn from its source",
            "data": data,
            "held_out": measured,
            "limits": list(_warnings(windows)),
            "seconds": {"embedding": round(embedding_s, 1), "training": round(training_s, 1)},
        },
    )
    write_bundle(made, plan.out, plan.out / "training" / "bundle")
    yield from _told(measured)
    yield f"Embedding took {embedding_s:.1f} s, training {training_s:.1f} s, of {_length(windows)}."
    yield from verify(plan.out)
    yield f"The bundle: {plan.out}; its card is {plan.out / 'README.md'}."
    yield f"Try it: edge-avsc replay FILE --model {plan.out}"


def _need_libraries() -> None:
    for library, package in (("onnx", "onnx"), ("sklearn", "scikit-learn")):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise ConfigError(
                f"Training own scenes needs {package}, which is not installed; {installing('scenes')}"
            ) from error


def _check_places(plan: Plan, upon: SceneModel) -> None:
    out, folder = plan.out.resolve(), plan.folder.resolve()
    if out == folder or folder in out.parents:
        raise ConfigError(
            f"{plan.out} lies inside {plan.folder}, where folders are scenes; give --out a folder elsewhere."
        )
    if out == upon.folder.resolve():
        raise ConfigError(f"{plan.out} is the bundle that is to be built upon; give --out another folder.")
    if any(data.startswith(_OWN) for data in upon.bundle.provenance.data):
        # Its head knows these recordings: what it says of them would be taken for evidence, and the figures flatter.
        raise ConfigError(
            f"{upon.folder} was made of own recordings; build upon avsc-lite instead: what was embedded once is kept."
        )


def _described(content: SceneFolder) -> str:
    parts = [
        f"{label} ({len(sources)} sources, {sum(sources.values())} recordings)"
        for label, sources in ((label, content.sources(label)) for label in content.labels)
    ]
    none = f"; none of them ({len(content.none)} recordings)" if content.none else ""
    return f"{content.folder}: {', '.join(parts)}{none}"


def _embed(plan: Plan, content: SceneFolder, upon: SceneModel) -> Generator[str, None, dict[str, Embeddings]]:
    store = EmbeddingStore(plan.out / "training" / "embeddings", upon.bundle)
    rows = [*content.rows, *content.none]
    found = {row.name: kept for row in rows if (kept := store.get(row)) is not None}
    left = [row for row in rows if row.name not in found]
    if found:
        yield f"{len(found)} of {len(rows)} recordings are embedded already."
    problems: dict[str, str] = {}
    with contextlib.closing(each_clip(upon.folder, left, plan.jobs, Embedder)) as embedding:
        for scored in shown(embedding, len(rows), "embed", sys.stderr, len(found)):
            if scored.scores is None:
                problems[scored.row.name] = scored.problem or ""
            else:
                store.put(scored.row, scored.scores)
                found[scored.row.name] = scored.scores
    yield from _tell_problems(plan, rows, problems)
    _check_labels(content, found, problems)
    yield (
        f"Embeddings are kept in {store.folder} ({store.size_bytes() / 1e6:.1f} MB): they derive from what was "
        "recorded; delete them when no more training is to come."
    )
    return found


def _tell_problems(plan: Plan, rows: Sequence[Row], problems: dict[str, str]) -> Iterator[str]:
    listed = plan.out / "training" / "problems.txt"
    listed.unlink(missing_ok=True)
    if not problems:
        return
    told = [problems[row.name] for row in rows if row.name in problems]
    listed.write_text("\n".join(told) + "\n", encoding="utf-8", errors="backslashreplace")
    yield from told[:_TOLD]
    yield f"{len(told)} of {len(rows)} recordings could not be used, and are left out; {listed} lists them."


def _check_labels(content: SceneFolder, found: dict[str, Embeddings], problems: dict[str, str]) -> None:
    windows: Counter[str] = Counter()
    for row in content.rows:
        if row.name in found and row.scene_label:
            windows[row.scene_label] += len(found[row.name].sound)
    for label in content.labels:
        if not windows[label]:
            first = next(problems[row.name] for row in content.rows if row.scene_label == label)
            raise ConfigError(f"None of the recordings of '{label}' can be used; the first: {first}")
        if windows[label] < LEAST_WINDOWS:
            raise ConfigError(
                f"'{label}' has only {windows[label]} windows (1 s every {HOP_S:g} s; a picture is one); "
                f"record at least {1 + (LEAST_WINDOWS - 1) * HOP_S:g} s of it, better minutes, "
                f"or {LEAST_WINDOWS} pictures."
            )


def _windows(plan: Plan, content: SceneFolder, found: dict[str, Embeddings], upon: SceneModel) -> Windows:
    rows = [row for row in (*content.rows, *content.none) if row.name in found]
    if not plan.keep_labels:
        return gather(rows, found, content.labels, plan.seed)
    new = (label for label in content.labels if label not in upon.labels)
    rehearsed = rehearse(read_label_statistics(upon.folder, upon.bundle), plan.seed)
    return gather(rows, found, (*upon.labels, *new), plan.seed, rehearsed)


def _warnings(windows: Windows) -> Iterator[str]:
    """Yield what a person should know of the data, a sentence each."""
    for place in np.unique(windows.label_index[windows.own]).tolist():
        label, mine = windows.classes[place], windows.own & (windows.label_index == place)
        if not windows.judged("")[mine].any():
            yield (
                f"'{label}' has one source: it is learnt, but no figure covers it, and what is peculiar to that "
                "recording may be taken for the scene; record it at another time or place too."
            )
        for state, what in (("a", "sound"), ("v", "pictures")):
            if not ((windows.label_index == place) & windows.has(state)).any():
                yield f"'{label}' has no {what}: by {what} alone it will not be recognised."
            elif windows.judged("")[mine].any() and not windows.judged(state)[mine].any():
                yield f"'{label}' has {what} from one source: no figure of {what} alone covers it."


def _told(measured: dict[str, Any]) -> Iterator[str]:
    if not measured:
        yield "No scene has two sources: nothing could be judged, and nobody knows how good this is."
    for state, of in measured.items():
        what = {"av": "Sound and pictures", "a": "Sound alone", "v": "Pictures alone"}[state]
        ends = of.get("macro_accuracy_95")
        interval = f" (95 %: {100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
        yield (
            f"{what}, {of['windows']} windows of {of['sources']} sources held out: accuracy "
            f"{100 * of['macro_accuracy']:.1f} %{interval}, log-loss {of['macro_log_loss']:.2f}, "
            f"{100 * of['called_none_of_ours']:.0f} % called none of them"
        )
        yield "  " + ", ".join(f"{label} {100 * share:.0f} %" for label, share in of["recall"].items())


def _length(windows: Windows) -> str:
    own, av, a, v = (int((windows.own & windows.has(state)).sum()) for state in ("", "av", "a", "v"))
    return f"{own} windows ({av} with both, {a - av} with sound only, {v - av} with pictures only)"
