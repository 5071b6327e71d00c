"""What runs engines. Without a GPU a stand-in of CUDA shows in which order it is called, and no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_avsc.backends._cuda import Cuda
from edge_avsc.backends._engine import Engine as EngineRunner
from edge_avsc.backends._engine_store import EngineStore
from edge_avsc.backends._engines import EngineCache
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.tensorrt import TensorRtBackend
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.errors import ModelError


class Runtime:
    """The functions of ``cuda.bindings.runtime`` that are used; notes their names. fails: which return error 35."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815  # CUDA's names
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __init__(self, *fails: str) -> None:
        self.calls: list[str] = []
        self.fails = fails

    def cudaGetErrorString(self, code: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"CUDA driver version is insufficient"

    def __getattr__(self, function: str) -> Any:
        results: Mapping[str, Any] = {
            "cudaGetDeviceProperties": SimpleNamespace(name=b"Orin\0\0", major=8, minor=7),
            "cudaStreamCreate": 77,
            "cudaMalloc": 4096,
            "cudaStreamEndCapture": "graph",
            "cudaGraphInstantiate": "instance",
        }

        def call(*arguments: Any) -> tuple[Any, ...]:
            kind = f" {arguments[3]}" if function == "cudaMemcpyAsync" else ""
            self.calls.append(function + kind)
            if function in self.fails:
                return (35, None)
            return (0, results[function]) if function in results else (0,)

        return call


class Context:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.shapes: list[tuple[int, ...]] = []

    def set_tensor_address(self, name: str, address: int) -> None:
        assert address == 4096

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes.append(shape)

    def execute_async_v3(self, stream: int) -> bool:
        self._runtime.calls.append("execute")
        return stream == 77


class Engine:
    def __init__(self, runtime: Runtime, tensors: Mapping[str, tuple[int, ...]]) -> None:
        self._runtime = runtime
        self._tensors = tensors
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, n: int) -> str:
        return list(self._tensors)[n]

    def get_tensor_dtype(self, name: str) -> str:
        return "float"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name]

    def create_execution_context(self) -> Context:
        return Context(self._runtime)


def library(engine: Engine) -> TensorRtLibrary:
    class Logger:
        ERROR, INTERNAL_ERROR = 1, 0

        def __init__(self) -> None:
            pass

    module = SimpleNamespace(
        __version__="10.3.0",
        float32="float",
        ILogger=Logger,
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: engine),
    )
    return TensorRtLibrary("tensorrt", module)


@pytest.fixture
def audio(tiny_folder: Path) -> GraphSpec:
    return read_bundle(tiny_folder).graphs["cpu"].audio


def loaded(
    tmp_path: Path, audio: GraphSpec, runtime: Runtime, tensors: Mapping[str, tuple[int, ...]] | None = None
) -> Any:
    engine = Engine(runtime, tensors or {"log_mel": (-1, 37, 16), "audio_embedding": (-1, 8)})
    cache = EngineCache(tmp_path)
    store = EngineStore(library(engine), cache=cache)
    cache.write("audio", store.key(audio, "sm_87 Orin"), b"plan")
    backend = TensorRtBackend(library=library(engine), cuda=Cuda(runtime), cache=cache)
    assert backend.provider == "tensorrt 10.3.0 on Orin"
    assert backend.graphs == "trt"
    assert backend.ready(Path("audio.onnx"), audio)
    return backend.load(Path("audio.onnx"), audio)


def columns(count: int) -> dict[str, Any]:
    return {"log_mel": np.zeros((count, 37, 16), np.float32)}


def test_a_single_item_is_repeated_as_a_graph(tmp_path: Path, audio: GraphSpec) -> None:
    runtime = Runtime()
    runner = loaded(tmp_path, audio, runtime)
    runtime.calls.clear()
    assert runner.run(columns(1))["audio_embedding"].shape == (1, 8)
    assert runtime.calls == [
        "cudaMemcpyAsync 1",
        "execute",
        "cudaStreamSynchronize",
        "cudaStreamBeginCapture",
        "execute",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaMemcpyAsync 2",
        "cudaStreamSynchronize",
    ]
    runtime.calls.clear()
    runner.run(columns(1))
    assert runtime.calls == ["cudaMemcpyAsync 1", "cudaGraphLaunch", "cudaMemcpyAsync 2", "cudaStreamSynchronize"]


def test_several_items_are_launched_each_time(tmp_path: Path, audio: GraphSpec) -> None:
    runtime = Runtime()
    runner = loaded(tmp_path, audio, runtime)
    for count in (3, 16):
        runtime.calls.clear()
        assert runner.run(columns(count))["audio_embedding"].shape == (count, 8)
        assert runtime.calls == ["cudaMemcpyAsync 1", "execute", "cudaMemcpyAsync 2", "cudaStreamSynchronize"]


def test_what_cannot_be_captured_is_launched_each_time(tmp_path: Path, audio: GraphSpec) -> None:
    runtime = Runtime("cudaStreamEndCapture")
    runner = loaded(tmp_path, audio, runtime)
    for _ in range(3):
        runtime.calls.clear()
        runner.run(columns(1))
        assert runtime.calls.count("execute") >= 1
    assert "cudaStreamBeginCapture" not in runtime.calls


def test_wrong_input_is_refused_before_the_gpu_sees_it(tmp_path: Path, audio: GraphSpec) -> None:
    runtime = Runtime()
    runner = loaded(tmp_path, audio, runtime)
    runtime.calls.clear()
    for count in (0, 17):
        with pytest.raises(ModelError, match="takes 1 to 16 items"):
            runner.run(columns(count))
    with pytest.raises(ModelError, match="takes the inputs"):
        runner.run({"picture": np.zeros((1, 3), np.float32)})
    assert runtime.calls == []


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({"log_mel": (-1, 37, 16)}, r"has the tensors \['log_mel'\], expected"),
        ({"log_mel": (-1, 36, 16), "audio_embedding": (-1, 8)}, "'log_mel' is float32"),
    ],
)
def test_an_engine_that_is_not_the_described_one_is_refused(
    tmp_path: Path, audio: GraphSpec, tensors: Mapping[str, tuple[int, ...]], named: str
) -> None:
    with pytest.raises(ModelError, match=named):
        loaded(tmp_path, audio, Runtime(), tensors)


def test_a_gpu_without_memory_is_told(tmp_path: Path, audio: GraphSpec) -> None:
    class Full(Engine):
        def create_execution_context(self) -> None:  # type: ignore[override]  # what TensorRT itself does then
            return None

    runtime = Runtime()
    engine = Full(runtime, {"log_mel": (-1, 37, 16), "audio_embedding": (-1, 8)})
    with pytest.raises(ModelError, match="finds no memory on Orin; free some"):
        EngineRunner(library(engine), engine, audio, Cuda(runtime))


def test_an_error_of_cuda_is_one_sentence(tmp_path: Path, audio: GraphSpec) -> None:
    runner = loaded(tmp_path, audio, Runtime("cudaStreamSynchronize"))
    with pytest.raises(ModelError, match="CUDA driver version is insufficient"):
        runner.run(columns(2))


def test_a_machine_without_a_gpu_is_told_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"^There is no GPU .*insufficient.*nvidia-smi, .*'backend: onnxruntime'\.$"):
        Cuda(Runtime("cudaGetDeviceProperties"))


def test_a_library_of_cuda_that_is_not_there_is_told_too() -> None:
    def missing(device: int) -> None:
        raise RuntimeError("Failed to dlopen libcudart.so.12")

    with pytest.raises(ModelError, match=r"^There is no GPU .*Failed to dlopen libcudart"):
        Cuda(SimpleNamespace(cudaGetDeviceProperties=missing))


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU here")
def test_the_real_cuda_says_so_too() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    with pytest.raises(ModelError, match=r"^There is no GPU that CUDA can use \(.+\); check the driver"):
        Cuda()
