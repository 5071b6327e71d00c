from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

import torch

from edge_avsc.training.schedule import Run, run_length


def learn(path: Path, steps: int, began_with: str) -> None:
    model = torch.nn.Linear(1, 1)
    run = Run(model, torch.optim.SGD(model.parameters()), path, steps=steps, minutes=60, began_with=began_with)
    while run.done() < 1:
        run.learn(model(torch.ones(1, 1)).sum())
    run.finish()


def test_a_run_that_is_taken_up_again_says_what_it_began_with_at_first(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    learn(path, 3, "nothing")
    learn(path, 5, "something else")
    assert (run_length(path)["steps"], run_length(path)["began_with"]) == (5, "nothing")


def test_a_finished_run_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    learn(path, 3, "nothing")
    before = path.stat().st_mtime_ns
    learn(path, 3, "nothing")
    assert path.stat().st_mtime_ns == before
