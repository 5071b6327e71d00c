"""ONNX Runtime: one thread, no spinning, the provider chosen by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_avsc.backends.base import GraphRunner, check_inputs, check_tensor
from edge_avsc.bundle import GraphSpec, TensorSpec
from edge_avsc.errors import ModelError, nearest

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


def available_providers() -> tuple[str, ...]:
    """Return the execution providers that this build of ONNX Runtime has; ModelError where there is none."""
    return tuple(library().get_available_providers())


class OnnxRuntimeBackend:
    """Loads graphs on one execution provider; where it is not to be had, on the CPU, and says so in ``fallback``.

    fused: False computes a quantized graph as it is written, each step in float, which is slow and the same on every
    machine; fused int8 kernels lose a little more where the processor has no VNNI.
    """

    def __init__(self, provider: str = "cpu", threads: int = 1, *, fused: bool = True) -> None:
        onnxruntime = library()
        if provider not in PROVIDERS:
            raise ModelError(
                f"There is no provider '{provider}'; give one of {sorted(PROVIDERS)}.{nearest(provider, PROVIDERS)}"
            )
        self._ort = onnxruntime
        self._threads = threads
        self._fused = fused
        self._wanted = PROVIDERS[provider]
        self.fallback: str | None = None
        self.provider = self._wanted
        self.max_batch = 1 if self._wanted == PROVIDERS["cpu"] else 16
        if self._wanted not in onnxruntime.get_available_providers():
            self._fall_back("this build of ONNX Runtime does not have it")

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        """Load a graph; raises ModelError when the file is no graph, or not the one that *spec* describes."""
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if not self._fused:
            options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        providers = [self.provider, PROVIDERS["cpu"]] if self.provider != PROVIDERS["cpu"] else [self.provider]
        try:
            session = self._ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime raises a family of its own without a common base
            raise ModelError(
                f"{path} cannot be loaded by ONNX Runtime ({_first_line(error)}); restore the bundle."
            ) from error
        if session.get_providers()[0] != self.provider:
            self._fall_back("it could not be started")
        _check_signature(path, "input", session.get_inputs(), spec.inputs)
        _check_signature(path, "output", session.get_outputs(), spec.outputs)
        return _Session(session, spec)

    def _fall_back(self, why: str) -> None:
        self.provider = PROVIDERS["cpu"]
        self.max_batch = 1
        self.fallback = f"{self._wanted} was asked for but {why}; the CPU serves instead."


class _Session:
    def __init__(self, session: Any, spec: GraphSpec) -> None:
        self._session = session
        self._spec = spec
        self._outputs = list(spec.outputs)

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        check_inputs(self._spec, inputs)
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


def library() -> Any:
    """Return the module onnxruntime, told to report to nobody; ModelError where it is not installed."""
    # Official builds report to their maker otherwise: nothing of what a microphone and a camera feed may leave here.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError("ONNX Runtime is not installed; install it with 'pip install onnxruntime'.") from error
    return onnxruntime


def _check_signature(path: Path, kind: str, tensors: list[Any], specs: dict[str, TensorSpec]) -> None:
    names = sorted(tensor.name for tensor in tensors)
    if names != sorted(specs):
        raise ModelError(f"{path}: its {kind}s are {names}, expected {sorted(specs)}; restore the bundle.")
    for tensor in tensors:
        dtype = {"tensor(float)": "float32"}.get(tensor.type, tensor.type)
        expected = specs[tensor.name]
        check_tensor(str(path), tensor.name, tuple(tensor.shape), dtype, expected.shape, expected.dtype)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
