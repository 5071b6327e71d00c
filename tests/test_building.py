from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from edge_avsc.backends.base import Watch
from edge_avsc.building import build
from edge_avsc.cli import main
from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ConfigError, ModelError


def test_what_is_built_here_is_loaded_and_checked(tiny_folder: Path) -> None:
    """ONNX Runtime's CPU has nothing to build; the road is the same."""
    lines = list(build(tiny_folder, "onnxruntime", [], provider="cpu", watch=Watch(), clock=MonotonicClock()))
    assert len(lines) == 1
    assert lines[0].startswith("CPUExecutionProvider: tiny is ready (")
    assert lines[0].endswith("the largest difference is 0.0000")


def test_onnx_runtime_builds_for_no_other_machine(tiny_folder: Path) -> None:
    lines = build(tiny_folder, "onnxruntime", ["sm_89"], watch=Watch(), clock=MonotonicClock())
    with pytest.raises(ConfigError, match="leave out --target"):
        next(lines)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")
def test_a_bundle_without_graphs_for_tensorrt_is_refused(tiny_folder: Path) -> None:
    lines = build(tiny_folder, "tensorrt_rtx", ["sm_89"], watch=Watch(), clock=MonotonicClock())
    with pytest.raises(ModelError, match="has no graphs for TensorRT"):
        next(lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "ampere"], "'ampere' is no GPU; write its compute capability, such as sm_89"),
        (["--backend", "onnxruntime", "--target", "89"], "leave out --target"),
        (["--backend", "trt"], "invalid choice: 'trt'"),
    ],
)
def test_bad_usage_is_told(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "edge_avsc.cli", "model", "build", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is here")
def test_without_tensorrt_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "build"]) == 4
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("edge-avsc: The Python package tensorrt is not installed; on a Jetson it comes with ")
    assert output.err.count("\n") == 1
