"""ONNX Runtime's execution providers: what each is told, and whether it did the work."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_avsc.backends._engines import EngineKey, cache_folder
from edge_avsc.backends.base import GraphKind
from edge_avsc.bundle import GraphSpec

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
GPU_BATCH = 16
OPTIONS = f"int8 batch 1 1 {GPU_BATCH}"
"""What the folder of an engine must know of the settings here; change it with them."""

_BUILT = {"tensorrt": "*.engine"}
"""What takes minutes to build; OpenVINO keeps something too, but needs only a second for it."""

_PRODUCTS = ("Conv", "MatMul", "Gemm")
"""Operators that hold these words do nearly all of a network's work."""


def graphs_for(provider: str) -> GraphKind:
    """Return which export a provider takes: TensorRT refuses the int32 biases of the other one."""
    return "trt" if provider == "tensorrt" else "cpu"


def max_batch(provider: str) -> int:
    """Return how many items are worth one call."""
    return GPU_BATCH if provider in ("cuda", "tensorrt") else 1


def engine_folder(provider: str, spec: GraphSpec, version: str) -> Path:
    """Return where a provider that builds keeps what it builds of a graph; its own file names know the device."""
    key = EngineKey(spec.sha256, f"onnxruntime {version}", provider, f"{sys.platform} {platform.machine()}", OPTIONS)
    return cache_folder() / provider / key.digest[:16]


def has_built(provider: str, spec: GraphSpec, version: str) -> bool:
    """Tell whether a provider has nothing to build for a graph any more."""
    return provider not in _BUILT or any(engine_folder(provider, spec, version).glob(_BUILT[provider]))


def options_for(provider: str, spec: GraphSpec, version: str, threads: int) -> dict[str, str]:
    """Return what a provider is told for one graph."""
    folder = str(engine_folder(provider, spec, version))
    if provider == "openvino":
        return {"device_type": "CPU", "num_of_threads": str(threads), "cache_dir": folder}
    if provider != "tensorrt":
        return {}
    return {
        "trt_int8_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        "trt_profile_min_shapes": _shapes(spec, 1),
        "trt_profile_opt_shapes": _shapes(spec, 1),
        "trt_profile_max_shapes": _shapes(spec, GPU_BATCH),
    }


def others_that_served(profile: str, wanted: str) -> list[str]:
    """Return which other providers multiplied matrices, by the profile of a run (JSON) and the *wanted* one's name."""
    nodes: Iterable[dict[str, Any]] = (event.get("args", {}) for event in json.loads(profile))
    return sorted(
        {
            node["provider"]
            for node in nodes
            if node.get("provider", wanted) != wanted and any(word in node.get("op_name", "") for word in _PRODUCTS)
        }
    )


def _shapes(spec: GraphSpec, batch: int) -> str:
    return ",".join(
        f"{name}:{'x'.join(str(n) for n in (batch, *tensor.shape[1:]))}" for name, tensor in spec.inputs.items()
    )
