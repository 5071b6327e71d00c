"""What runs a graph of a bundle, and how to open it by name. Leaves: none knows another."""

from __future__ import annotations

from edge_avsc.backends.base import Backend, Watch
from edge_avsc.errors import ModelError, nearest

BACKENDS = ("onnxruntime", "tensorrt", "tensorrt_rtx")


def open_backend(name: str, provider: str = "cpu", *, threads: int = 1, watch: Watch | None = None) -> Backend:
    """Return a backend that loads graphs.

    name: one of BACKENDS. provider: ONNX Runtime's, cpu, cuda, tensorrt or openvino. threads: of the CPU.
    watch: is told of builds. Raises ModelError when there is no such thing, or this machine lacks what it needs.
    """
    if name == "onnxruntime":
        from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(provider, threads, watch)
    if name not in BACKENDS:
        raise ModelError(f"There is no backend '{name}'; give one of {sorted(BACKENDS)}.{nearest(name, BACKENDS)}")
    from edge_avsc.backends.tensorrt import TensorRtBackend

    return TensorRtBackend(name, watch=watch)
