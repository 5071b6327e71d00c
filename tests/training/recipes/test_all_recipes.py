"""Every recipe in its reduced form, from a dataset to labels: checks of the machinery, never results.

By one command: ``pytest -m long tests/training/recipes/test_all_recipes.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.bundle import read_bundle
from edge_avsc.cli import main
from edge_avsc.evaluation.outputs import aligned, read_output, read_reference
from edge_avsc.replay import replay
from edge_avsc.training.recipes.reading import read_recipe, recipe_files
from edge_avsc.training.recipes.settings import Recipe

pytestmark = pytest.mark.long

NAMES = [name for name in recipe_files() if isinstance(read_recipe(name), Recipe)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from write_dataset import write_ten

    folder = tmp_path_factory.mktemp("ten") / "scenes"
    write_ten(folder, 6, seconds=3.0)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_exports_evaluates_and_replays(name: str, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", name, str(scenes), "--reduced", "--out", str(out)]) == 0
    split = str(out / "training/validation.csv")
    scores = tmp_path / "evaluation"
    assert main(["evaluate", str(scenes), "--split", split, "--model", str(out), "--out", str(scores)]) == 0
    reference = read_reference(out / "training/validation.reference.csv")
    ours, theirs = (
        aligned(read_output(path), reference, "output").probabilities
        for path in (out / "training/validation.output.csv", scores / f"{name}_task1b_1.output.csv")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    sound, pictures, _ = Path(split).read_text().splitlines()[1].split("\t")
    estimates = list(replay(audio=scenes / sound, video=scenes / pictures, model=out, hop_s=1.0))
    for estimate, expected in zip(estimates, ours[:3], strict=True):
        np.testing.assert_allclose(list(estimate.window_probabilities.values()), expected, atol=1e-3)
    measured = read_bundle(out).measured["validation"]
    if {"a", "v"} <= set(measured):
        # By construction one modality alone tells 60 % at most, and chance is 10 %.
        assert measured["av"]["accuracy"] > 0.85
        assert measured["av"]["accuracy"] > max(measured["a"]["accuracy"], measured["v"]["accuracy"])
    else:
        assert 0.4 < (ours.argmax(1) == reference.label_index).mean() < 0.75


def test_the_vote(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", "majority-vote", str(scenes), "--reduced", "--out", str(out)]) == 0
    compared = json.dumps(json.loads((out / "evaluation/comparison/compare.json").read_text()))
    assert "majority vote" in compared
    assert "class-wise" in compared
