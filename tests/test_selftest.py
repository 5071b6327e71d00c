from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_avsc
from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Backend, Watch
from edge_avsc.cli import main
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import load_config
from edge_avsc.errors import ModelError
from edge_avsc.findings import Finding
from edge_avsc.selftest import ROADS, selftest

PACKAGE = Path(edge_avsc.__file__).parent
# A checkout has the examples beside the package, an installed wheel inside it.
CONFIGS = next(path for path in (PACKAGE.parent / "configs", PACKAGE / "configs") if path.is_dir())


def only_the_cpu(name: str, provider: str, **more: Any) -> Backend:
    if (name, provider) != ("onnxruntime", "cpu"):
        raise ModelError(f"{name} {provider} is not installed; install it.")
    return open_backend(name, provider, **more)


def reported(folder: Path) -> dict[str, Finding]:
    findings = selftest(folder, clock=MonotonicClock(), watch=Watch(), opened=only_the_cpu)
    return {finding.what: finding for finding in findings}


def test_each_road_is_tried_and_what_is_not_here_is_no_fault(tiny_folder: Path) -> None:
    found = reported(tiny_folder)
    assert {f"{name} {provider}".strip() for name, provider in ROADS} <= set(found)
    assert found["onnxruntime cpu"].finding.startswith("CPUExecutionProvider, ready in ")
    assert "largest difference 0.0000" in found["onnxruntime cpu"].finding
    assert "1 picture " in found["onnxruntime cpu speed"].finding
    assert found["tensorrt"].finding.startswith("is not here: tensorrt cpu is not installed")
    assert found["demonstration"].finding.startswith("11 windows of test://demo")
    assert "skew +" in found["demonstration"].finding or "skew -" in found["demonstration"].finding
    assert all(finding.exit_code == 0 for finding in found.values())


def test_what_computes_something_else_fails(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))
    with np.load(folder / "golden_outputs.npz") as arrays:
        changed = {name: array * 0.5 for name, array in arrays.items()}
    np.savez(folder / "golden_outputs.npz", **changed)
    failed = {what: finding for what, finding in reported(folder).items() if finding.exit_code}
    assert list(failed) == ["onnxruntime cpu", "demonstration"]
    assert all(finding.exit_code == 4 and "tolerance" in finding.finding for finding in failed.values())


def test_the_report_can_be_had_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--selftest"]) in (0, 4)
    out = capsys.readouterr().out
    assert out.startswith("edge-avsc ")
    for what in ("machine", "packages", "onnxruntime cpu", "onnxruntime cpu speed", "tensorrt", "demonstration"):
        assert f" {what}: " in out


def test_the_configuration_for_a_jetson_is_right_everywhere() -> None:
    config = load_config(CONFIGS / "jetson.yaml")
    assert config.backend == "tensorrt"
    assert config.streams["lobby"].video is not None
    assert config.streams["lobby"].video.uri == "csi://0"


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is here")
@pytest.mark.parametrize("verb", [["run"], ["replay", "test://demo?duration=2"]])
def test_without_tensorrt_it_ends_with_one_sentence(verb: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_avsc.cli", *verb, "--config", str(CONFIGS / "jetson.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("edge-avsc: The Python package tensorrt is not installed; on a Jetson it comes with ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "labels.jsonl").exists()
