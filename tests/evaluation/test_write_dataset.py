"""The tool that writes a dataset out of the demonstration's scenes."""

from __future__ import annotations

import io
from pathlib import Path

from edge_avsc.evaluation.datasets import read_dataset
from edge_avsc.evaluation.flaws import flaws
from edge_avsc.evaluation.scoring import ClipScorer
from edge_avsc.model import SceneModel
from edge_avsc.training.classes import LABELS
from taken import tool


def test_it_writes_whole_clips_of_four_classes(tmp_path: Path, tiny_model: SceneModel) -> None:
    arguments = ["--clips", "18", "--drawn", "5", "--duration", "2", "--size", "64x36", "--fps", "10"]
    assert tool("write_dataset").main([str(tmp_path), *arguments]) == 0
    dataset = read_dataset(tmp_path)
    assert len(dataset.rows) == 18
    assert len({row.scene_label for row in dataset.rows}) == 4
    assert len({row.location for row in dataset.rows}) == 4 + 2
    assert list(flaws(dataset, io.StringIO(), LABELS)) == []
    scores = [ClipScorer(tiny_model).score(row).windows for row in dataset.rows[:8]]
    assert {len(windows) for windows in scores} == {2}
    # The four that are drawn differ; what comes after are the same again, under other names.
    assert len({windows.tobytes() for windows in scores}) == 4
    assert scores[0].tobytes() == scores[4].tobytes()
