"""What is fitted and judged where a modality was recorded here and there only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("sklearn")

from edge_avsc.evaluation.datasets import Row
from edge_avsc.training.own_scenes.calibration import HeldOut, hold_out
from edge_avsc.training.own_scenes.embedding import Embeddings
from edge_avsc.training.own_scenes.figures import figures
from edge_avsc.training.own_scenes.head import Head, fit_head
from edge_avsc.training.own_scenes.judging import STATES, Scene
from edge_avsc.training.own_scenes.windows import Windows, gather, thinned

FEATURES = 6
Recorded = tuple[str | None, str, int, str]  # label, source, windows, modalities


def heard_and_seen(*recorded: Recorded) -> tuple[Windows, HeldOut, Scene]:
    """Windows around one centre for each label, in each modality that was recorded."""
    random = np.random.default_rng(4)
    labels = tuple(sorted({label for label, *_ in recorded if label}))
    centres = {label: 2 * random.standard_normal((2, FEATURES)) for label in (*labels, None)}
    rows, embeddings = [], {}
    for label, source, count, modalities in recorded:
        name = f"{label}/{source}"
        rows.append(Row(name, Path(name), Path(name), label, source, None))
        parts = [
            centre + random.standard_normal((count, FEATURES))
            if letter in modalities
            else np.full((count, FEATURES), np.nan)
            for letter, centre in zip("av", centres[label], strict=True)
        ]
        embeddings[name] = Embeddings(*(part.astype(np.float32) for part in parts))
    windows = gather(rows, embeddings, labels, 1)
    scene = Scene(windows.classes, windows.has_none, ("one", "other"))
    shipped = {state: np.full((len(windows.sound), 2), 0.5) for state in STATES}
    return windows, hold_out(windows, shipped), scene


def sources(label: str | None, count: int, modalities: str, windows: int = 20) -> list[Recorded]:
    return [(label, f"{modalities}{number}", windows, modalities) for number in range(count)]


def numbers(head: Head) -> list[float]:
    reading = head.reading
    parts = [reading.middle, reading.spread, *reading.offset.values(), *reading.levels.values()]
    for one in (reading.sound, reading.pictures):
        parts += [one.temperature, one.floor, one.middle, one.spread]
    return parts


CASES: dict[str, list[Recorded]] = {
    "pictures of a scene from one source": [
        *sources("kitchen", 3, "a"),
        *sources("kitchen", 1, "av"),
        *sources("office", 4, "av"),
    ],
    "pictures of none, and of one scene's one source": [
        *sources("kitchen", 2, "a"),
        *sources("kitchen", 1, "v", 12),
        *sources("office", 2, "a"),
        *sources(None, 4, "v", 12),
    ],
    "sound of one of three from one source": [
        *sources("kitchen", 3, "v"),
        *sources("kitchen", 1, "av"),
        *sources("office", 4, "av"),
        *sources("hall", 4, "av"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_a_modality_of_few_sources_leaves_every_number_one(case: str) -> None:
    windows, held_out, scene = heard_and_seen(*CASES[case])
    assert np.isfinite(numbers(fit_head(windows, held_out, scene))).all()
    for state, of in figures(windows, held_out, scene).items():
        assert of["macro_accuracy"] > 0.8, state  # of those that could be learnt where they were not judged
        assert np.isfinite(of["macro_log_loss"])


def test_a_class_of_one_source_of_a_modality_is_in_no_figure_of_it() -> None:
    windows, held_out, scene = heard_and_seen(*CASES["sound of one of three from one source"])
    found = figures(windows, held_out, scene)
    assert set(found["v"]["recall"]) == {"kitchen", "office", "hall"}
    assert set(found["a"]["recall"]) == {"office", "hall"}


def test_what_is_none_is_judged_as_the_scenes_are() -> None:
    def called(count: int) -> Any:
        places = [*sources("kitchen", 4, "av"), *sources("office", 4, "av")]
        found = figures(*heard_and_seen(*places, *sources(None, count, "av")))
        return found["av"].get("none_called_none_of_ours")

    assert called(1) is None
    assert called(4) > 0.5


def test_much_of_one_scene_leaves_the_little_of_another() -> None:
    windows, _, _ = heard_and_seen(("kitchen", "a", 30_000, "a"), ("office", "a", 8, "a"), ("office", "b", 8, "a"))
    kept = thinned(windows, windows.has("a"))
    counts = np.bincount(windows.label_index[kept])
    assert 1000 < counts[0] <= 2000
    assert counts[1] == 16
