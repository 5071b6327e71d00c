"""What the tools say of a path that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="the tools are not part of an installation")

WRONG = {
    "bench_evaluate nowhere": "There is no dataset folder nowhere",
    "bench_evaluate . --turns 0": "'0' is no whole number from 1 on",
    "write_dataset nowhere --ten 0": "'0' is no whole number from 1 on",
    "bench_replay nowhere.mp4": "There is no file nowhere.mp4",
    "compare_processors --processor haswell nowhere.mp4": "There is no file nowhere.mp4",
    "draw_terminal nowhere.mp4": "There is no file nowhere.mp4",
    "draw_terminal --run nowhere.yaml": "There is no configuration file nowhere.yaml",
    "try_dockerfile --file nowhere": "There is no file nowhere",
    "write_dataset /dev/null/x --ten 1": "/dev/null/x/audio cannot be used (Not a directory)",
    "write_demo nowhere/x.mp4": "There is no folder nowhere",
    "write_label_statistics nowhere.mp4": "There is no file or folder nowhere.mp4",
}


def said(*command: str) -> str:
    """Return the last line that a tool says; it ends with exit code 2, and without a traceback."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    tool = [sys.executable, str(ROOT / "tools" / f"{command[0]}.py"), *command[1:]]
    done = subprocess.run(tool, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", WRONG)
def test_a_path_that_is_not_there_is_told_in_one_sentence(command: str) -> None:
    assert WRONG[command] in said(*command.split())


def test_a_folder_without_the_data_is_told_before_training_begins() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; 'pip install torch' lets this test run")
    assert "nowhere has no folder 'images'" in said("train_avsc_lite", "--data", "nowhere")
    assert "name it by --from-bundle" in said("train_avsc_lite", "--picture-runs", "0")
