"""Real builds with TensorRT for RTX, which needs no GPU for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edge_avsc.backends._cuda import Cuda
from edge_avsc.backends._engine_store import EngineStore
from edge_avsc.backends._engines import EngineCache
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.base import Watch
from edge_avsc.backends.tensorrt import TensorRtBackend
from edge_avsc.building import build
from edge_avsc.bundle import Bundle, GraphSpec, read_bundle
from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ModelError
from edge_avsc.model import find_bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (x86-64: pip install tensorrt-rtx-cu13)")

TARGETS = ["sm_80", "sm_86", "sm_89", "sm_120"]


@pytest.fixture(scope="session")
def folder() -> Path:
    return find_bundle("avsc-lite")


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Bundle:
    return read_bundle(folder)


@pytest.fixture
def audio(bundle: Bundle) -> GraphSpec:
    return bundle.graphs["trt"].audio


def store(cache: Path, watch: Watch | None = None) -> EngineStore:
    return EngineStore(TensorRtLibrary("tensorrt_rtx"), watch, EngineCache(cache))


def test_the_shipped_graphs_are_built_for_gpus_that_are_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "edge_avsc.cli", "model", "build", "--backend", "tensorrt_rtx"]
    for target in TARGETS:
        command += ["--target", target]
    environment = {**os.environ, "EDGE_AVSC_CACHE": str(tmp_path)}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    with capsys.disabled():
        print(f"\n{built.stdout}", end="")
    lines = [line.split() for line in built.stdout.splitlines()]
    assert [line[0] for line in lines] == [target for target in TARGETS for _ in range(3)]
    assert all(line[4:6] == ["built", "in"] and float(line[2]) > 0.1 for line in lines)
    assert built.stderr.count("building ") == len(lines)
    assert {Path(line[-1]) for line in lines} == set(tmp_path.iterdir())
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.count("was there") == len(lines)


def test_a_build_tells_how_far_it_is(tmp_path: Path, folder: Path, audio: GraphSpec) -> None:
    told: list[float] = []
    watch = Watch(progress=lambda what, share: told.append(share))
    store(tmp_path, watch).plan(folder / audio.path, audio, "sm_89", "sm_89")
    assert told == sorted(told)
    assert told[0] < 0.5
    assert told[-1] == 1.0
    assert len(set(told)) > 20


def test_a_build_can_be_cancelled(tmp_path: Path, folder: Path, audio: GraphSpec) -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 5

    with pytest.raises(ModelError, match="it was cancelled"):
        store(tmp_path, Watch(cancelled=cancelled)).plan(folder / audio.path, audio, "sm_89", "sm_89")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [0, 40, 5000])
def test_a_broken_engine_is_built_anew_and_that_is_said(
    tmp_path: Path, folder: Path, audio: GraphSpec, length: int
) -> None:
    said: list[str] = []
    kept = store(tmp_path, Watch(say=said.append))
    path = folder / audio.path
    plan = kept.plan(path, audio, "sm_89", "sm_89")
    assert said == []
    engine = kept.path(path, audio, "sm_89")
    engine.write_bytes(engine.read_bytes()[:length])
    assert not kept.holds(path, audio, "sm_89")
    assert len(kept.plan(path, audio, "sm_89", "sm_89")) == pytest.approx(len(plan), rel=0.05)
    assert len(said) == 1
    assert said[0].startswith(f"{engine} is ")
    assert said[0].endswith("; the engine is built anew.")
    assert kept.holds(path, audio, "sm_89")


@pytest.mark.parametrize("length", [0, 5, 100_000])
def test_a_graph_that_is_none_is_refused_by_name(tmp_path: Path, folder: Path, audio: GraphSpec, length: int) -> None:
    path = tmp_path / "audio.trt.onnx"
    path.write_bytes((folder / audio.path).read_bytes()[:length])
    with pytest.raises(ModelError, match=r"audio\.trt\.onnx(: its inputs are \[\]| is not understood by tensorrt_rtx)"):
        store(tmp_path / "cache").plan(path, audio, "sm_89", "sm_89")


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path, folder: Path, bundle: Bundle) -> None:
    graphs = bundle.graphs["trt"]
    with pytest.raises(ModelError, match=r"its inputs are \['picture'\], expected \['log_mel'\]"):
        store(tmp_path).plan(folder / graphs.image.path, graphs.audio, "sm_89", "sm_89")


def test_nothing_is_built_for_a_cache_that_cannot_be_written(folder: Path, audio: GraphSpec) -> None:
    told: list[float] = []
    watch = Watch(progress=lambda what, share: told.append(share))
    with pytest.raises(ModelError, match=r"/proc/engines cannot be written"):
        store(Path("/proc/engines"), watch).plan(folder / audio.path, audio, "sm_89", "sm_89")
    assert told == []


def test_a_gpu_that_it_does_not_build_for_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    lines = build("avsc-lite", "tensorrt_rtx", ["sm_89", "sm_90"], watch=Watch(), clock=MonotonicClock())
    with pytest.raises(ModelError, match=r"does not build for sm_90; it builds for .*sm_89"):
        next(lines)


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU here, which would take the engine")
def test_an_engine_that_the_machine_refuses_is_built_once_more_and_then_given_up(
    tmp_path: Path, folder: Path, audio: GraphSpec
) -> None:
    """Without a GPU the real library takes no engine at all, not even the one that it has just built."""
    said: list[str] = []
    cuda = cast(Cuda, SimpleNamespace(gpu=SimpleNamespace(name="RTX 4090", capability="sm_89")))
    backend = TensorRtBackend("tensorrt_rtx", watch=Watch(say=said.append), cuda=cuda, cache=EngineCache(tmp_path))
    assert not backend.ready(folder / audio.path, audio)
    with pytest.raises(ModelError, match=r"refuses the engine of audio\.trt\.onnx that it has just built .*driver"):
        backend.load(folder / audio.path, audio)
    assert len(said) == 1
    assert "is refused by tensorrt_rtx" in said[0]
    assert backend.ready(folder / audio.path, audio)
