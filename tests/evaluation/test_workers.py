from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_avsc.errors import ModelError
from edge_avsc.evaluation.datasets import read_dataset
from edge_avsc.evaluation.workers import score_clips
from evaluation.deadly import DeadlyPath


def test_a_clip_that_crashes_its_process_costs_no_other(tau: Path, tiny_folder: Path) -> None:
    rows = list(read_dataset(tau).rows)
    rows[1] = replace(rows[1], name="deadly.wav", audio=DeadlyPath(rows[1].audio or ""))
    scored = {one.row.name: one for one in score_clips(tiny_folder, rows, 2)}
    assert len(scored) == len(rows)
    problem = scored.pop("deadly.wav").problem
    assert problem is not None
    assert "crashes the process" in problem
    assert all(one.scores is not None and one.problem is None for one in scored.values())


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_bundle_is_told_at_once(jobs: int, tau: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        next(score_clips(tmp_path, read_dataset(tau).rows, jobs))
