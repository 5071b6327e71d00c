"""Accuracies held against sed_eval, the toolbox of the DCASE challenges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.metrics import Scores, scores
from edge_avsc.evaluation.outputs import indices
from edge_avsc.training.classes import LABELS

try:
    import dcase_util
    import sed_eval
except ImportError as error:
    pytest.skip(
        f"sed_eval cannot be imported ({error}); install it with: pip install sed_eval 'setuptools<82'",
        allow_module_level=True,
    )

PROBABILITIES = ("dirichlet", "certain", "tied", "of nothing", "not normalised")


def rows_of(kind: str, random: np.random.Generator, n: int) -> NDArray[float64]:
    rows: NDArray[float64] = random.dirichlet(np.full(len(LABELS), 0.3), n)
    if kind == "certain":
        return np.eye(len(LABELS))[random.integers(0, len(LABELS), n)]
    if kind == "tied":
        return random.integers(0, 3, (n, len(LABELS))).astype(float64)
    if kind == "of nothing":
        rows[::2] = 0.0
    if kind == "not normalised":
        rows *= 10.0 ** random.integers(-300, 300, (n, 1))
    return rows


def theirs(labels: tuple[str, ...], right: list[str], decided: list[str]) -> Any:
    def listed(scenes: list[str]) -> Any:
        rows = [{"filename": f"{i}.wav", "scene_label": scene} for i, scene in enumerate(scenes)]
        return dcase_util.containers.MetaDataContainer(rows)

    metrics = sed_eval.scene.SceneClassificationMetrics(scene_labels=list(labels))
    metrics.evaluate(reference_scene_list=listed(right), estimated_scene_list=listed(decided))
    return metrics.results()


def agree(found: Scores, right: list[str], decided: list[str]) -> None:
    # A class without samples counts as all wrong with them; with us it has no part, so they are not told of it.
    results = theirs(tuple(label for label in found.labels if label in right), right, decided)
    assert found.macro_accuracy == pytest.approx(results["class_wise_average"]["accuracy"]["accuracy"], abs=1e-9)
    assert found.micro_accuracy == pytest.approx(results["overall"]["accuracy"], abs=1e-9)
    for place, label in enumerate(found.labels):
        if label in right:
            accuracy = results["class_wise"][label]["accuracy"]["accuracy"]
            assert found.class_accuracy[place] == pytest.approx(accuracy, abs=1e-9)
            assert found.class_count[place] == results["class_wise"][label]["count"]["Nref"]
        else:
            assert np.isnan(found.class_accuracy[place])


@pytest.mark.parametrize("kind", PROBABILITIES)
@pytest.mark.parametrize("classes", [10, 7], ids=["all classes", "three missing"])
def test_accuracies_are_those_of_sed_eval_on_adversarial_probabilities(kind: str, classes: int) -> None:
    random = np.random.default_rng(PROBABILITIES.index(kind))
    index: NDArray[int64] = np.arange(200, dtype=int64) % classes
    probabilities = rows_of(kind, random, len(index))
    # Of equal ones the first: what max() of a list takes too.
    decided = [LABELS[row.index(max(row))] for row in probabilities.tolist()]
    agree(scores(index, probabilities, LABELS), [LABELS[place] for place in index.tolist()], decided)


@pytest.mark.parametrize("fold", range(1, 6))
def test_accuracies_are_those_of_sed_eval_on_its_own_example(shared_data: Path, fold: int) -> None:
    def column(kind: str, at: int) -> dict[str, str]:
        lines = (shared_data / f"reference/sed_eval_scene/fold{fold}_{kind}.txt").read_text().splitlines()
        return {line.split("\t")[0]: line.split("\t")[at].strip() for line in lines if line}

    right, decided = column("reference", 1), column("estimated", -1)
    labels = tuple(sorted({*right.values(), *decided.values()}))
    chosen = [decided[name] for name in right]
    one_hot = np.eye(len(labels))[indices(chosen, labels)]
    agree(scores(indices(list(right.values()), labels), one_hot, labels), list(right.values()), chosen)
