"""Accuracies held against sed_eval, the toolbox of the DCASE challenges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_avsc.evaluation.metrics import scores
from edge_avsc.evaluation.outputs import indices
from edge_avsc.training.classes import LABELS

sed_eval = pytest.importorskip("sed_eval", reason="sed_eval is not installed: pip install sed_eval")
dcase_util = pytest.importorskip("dcase_util", reason="dcase_util is not installed: pip install sed_eval")


def theirs(labels: tuple[str, ...], right: list[str], decided: list[str]) -> Any:
    def listed(scenes: list[str]) -> Any:
        rows = [{"filename": f"{i}.wav", "scene_label": scene} for i, scene in enumerate(scenes)]
        return dcase_util.containers.MetaDataContainer(rows)

    metrics = sed_eval.scene.SceneClassificationMetrics(scene_labels=list(labels))
    metrics.evaluate(reference_scene_list=listed(right), estimated_scene_list=listed(decided))
    return metrics.results()


def agree(labels: tuple[str, ...], right: list[str], decided: list[str]) -> None:
    index, chosen = indices(right, labels), indices(decided, labels)
    found = scores(index, np.eye(len(labels))[chosen], labels)
    results = theirs(labels, right, decided)
    assert found.macro_accuracy == pytest.approx(results["class_wise_average"]["accuracy"]["accuracy"], abs=1e-9)
    assert found.micro_accuracy == pytest.approx(results["overall"]["accuracy"], abs=1e-9)
    for place, label in enumerate(labels):
        accuracy = results["class_wise"][label]["accuracy"]["accuracy"]
        assert found.class_accuracy[place] == pytest.approx(accuracy, abs=1e-9)
        assert found.class_count[place] == results["class_wise"][label]["count"]["Nref"]


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_are_those_of_sed_eval_on_random_labels(seed: int) -> None:
    random = np.random.default_rng(seed)
    right = [*LABELS, *(str(label) for label in random.choice(LABELS, 200, p=random.dirichlet(np.ones(10))))]
    decided = [label if random.random() < 0.6 else str(random.choice(LABELS)) for label in right]
    agree(LABELS, right, decided)


@pytest.mark.parametrize("fold", range(1, 6))
def test_accuracies_are_those_of_sed_eval_on_its_own_example(shared_data: Path, fold: int) -> None:
    def column(kind: str, at: int) -> dict[str, str]:
        lines = (shared_data / f"reference/sed_eval_scene/fold{fold}_{kind}.txt").read_text().splitlines()
        return {line.split("\t")[0]: line.split("\t")[at].strip() for line in lines if line}

    right, decided = column("reference", 1), column("estimated", -1)
    labels = tuple(sorted({*right.values(), *decided.values()}))
    agree(labels, list(right.values()), [decided[name] for name in right])
