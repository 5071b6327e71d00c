import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from edge_avsc.training import team
from edge_avsc.training.schedule import load_average, run_length

LEARNER = """
import sys
from pathlib import Path
import torch
from edge_avsc.training import team
from edge_avsc.training.schedule import Run

team.gather()
folder, inputs, wanted = Path(sys.argv[1]), torch.arange(8.0)[:, None] / 8, torch.arange(8.0)[:, None] ** 2 / 64
with team.leader_first():
    (folder / "seen").open("a").write(f"{team.RANK}")
model = torch.nn.Linear(1, 1)
torch.nn.init.ones_(model.weight), torch.nn.init.zeros_(model.bias)
run = Run(model, torch.optim.SGD(model.parameters(), lr=0.3), folder / "run.pt", steps=50, minutes=60)
rows = team.share(list(range(8)))
while run.done() < 1:
    run.learn((model(inputs[rows]) - wanted[rows]).square().mean())
run.finish()
(folder / f"done_{team.RANK}").write_text(repr([float(one.detach()) for one in model.parameters()]))
"""


def learn(folder: Path, processes: int) -> list[float]:
    """Return weight and bias that so many processes learnt together."""
    folder.mkdir()
    script = folder / "learner.py"
    script.write_text(LEARNER)
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [sys.executable, *(together if processes > 1 else []), str(script), str(folder)]
    subprocess.run(start, check=True, capture_output=True, timeout=120)
    model = torch.nn.Linear(1, 1)
    load_average(model, folder / "run.pt")
    return [float(one) for one in model.state_dict().values()]


def test_two_processes_learn_what_one_learns_from_all_and_only_the_first_saves(tmp_path: Path) -> None:
    alone, together = (learn(tmp_path / str(count), count) for count in (1, 2))
    assert together == pytest.approx(alone, abs=1e-5)
    assert (tmp_path / "2/seen").read_text() == "01"
    said = [(tmp_path / f"2/done_{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert run_length(tmp_path / "2/run.pt")["processes"] == 2
    assert "processes" not in run_length(tmp_path / "1/run.pt")


def test_alone_all_the_work_is_ones_own() -> None:
    team.gather()
    assert team.share([1, 2, 3]) == [1, 2, 3]
    assert team.largest(0.25) == 0.25
