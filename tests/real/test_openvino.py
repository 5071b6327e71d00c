"""A provider of ONNX Runtime that is not the CPU's own, on a machine without a GPU: OpenVINO, by hand with -m long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.long]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build of ONNX Runtime that has it; it has the name of the other one, so it comes before it on the path."""
    folder = tmp_path_factory.mktemp("openvino")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, "onnxruntime-openvino"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"onnxruntime-openvino cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder


def edge_avsc(packages: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(packages), "EDGE_AVSC_CACHE": str(cache)}
    command = [sys.executable, "-m", "edge_avsc.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_computes_what_it_should(packages: Path, tmp_path: Path) -> None:
    done = edge_avsc(packages, tmp_path, "model", "build", "--backend", "onnxruntime", "--provider", "openvino")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OpenVINOExecutionProvider: avsc-lite is ready (")
    assert list(tmp_path.rglob("*.blob"))


def test_a_live_run_is_served_by_it(packages: Path, tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text(
        "provider: openvino\nstreams: {lobby: {media: 'test://demo?duration=4'}}\n"
        "sinks: {console: null, jsonl: {path: '-'}}\n"
    )
    done = edge_avsc(packages, tmp_path / "cache", "run", "--config", str(config))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert not [line for line in lines if line.get("event") in ("fallback", "building")]
    assert [line for line in lines if line["type"] == "estimate"]
