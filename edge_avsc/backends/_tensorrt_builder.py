"""An ONNX graph of a bundle becomes a TensorRT engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_avsc.backends._progress import BuildProgress, Report, monitor
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.bundle import GraphSpec
from edge_avsc.errors import ModelError

MAX_BATCH = 16
OPTIONS = f"batch 1 1 {MAX_BATCH}"
"""What the key of an engine must say of the settings here; change it with them."""


class Builder:
    """Builds engines with one library. report: see Report. cancelled: is asked at each step; true ends the build."""

    def __init__(self, library: TensorRtLibrary, report: Report, cancelled: Callable[[], bool]) -> None:
        self._library = library
        self._report = report
        self._cancelled = cancelled

    def build(self, path: Path, spec: GraphSpec, target: str, timing: bytes) -> tuple[bytes, bytes]:
        """Return the engine of a graph and what was measured of kernels.

        target: the GPU, as ``sm_89``. timing: what was measured before, or nothing. Raises ModelError when the graph is
        not understood, or the build fails or is cancelled.
        """
        trt = self._library.module
        log = logger(trt)
        try:
            builder = trt.Builder(log)
        except TypeError:  # pybind11's word for a constructor that returned nothing
            raise ModelError(
                f"{self._library.name} cannot start here ({log.said()}); check the driver of the GPU."
            ) from None
        network = self._library.network(builder)
        parser = trt.OnnxParser(network, log)
        if not parser.parse(path.read_bytes()):
            why = parser.get_error(0).desc() if parser.num_errors else log.said()
            raise ModelError(f"{path} is not understood by {self._library.name} {self._library.version} ({why}).")
        config = builder.create_builder_config()
        self._library.configure(config, target)
        config.add_optimization_profile(_profile(builder, path, network, spec))
        progress = monitor(trt, BuildProgress(f"{path.name} for {target}", self._report), self._cancelled)
        if progress is not None:
            config.progress_monitor = progress
        if self._library.has_timing_cache():
            # What is broken, or of another driver, is not taken.
            for measured in (timing, b""):
                cache = config.create_timing_cache(measured)
                if cache is not None and config.set_timing_cache(cache, False):
                    break
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            why = "it was cancelled" if self._cancelled() else log.said()
            raise ModelError(f"No engine of {path.name} could be built for {target} ({why}).")
        self._report(f"{path.name} for {target}", 1.0)
        measured = bytes(config.get_timing_cache().serialize()) if self._library.has_timing_cache() else b""
        return bytes(plan), measured


def logger(trt: Any) -> Any:
    """Return a logger that prints nothing and keeps the last errors; ``said()`` returns them as one line."""

    class _Log(trt.ILogger):  # type: ignore[misc]  # the base class comes at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors = [*self.errors[-1:], " ".join(message.split())]

        def said(self) -> str:
            return self.errors[0][:300] if self.errors else "it does not say why"

    return _Log()


def _profile(builder: Any, path: Path, network: Any, spec: GraphSpec) -> Any:
    """Return the shapes: from one item, which is also the most usual, to MAX_BATCH."""
    profile = builder.create_optimization_profile()
    names = {network.get_input(n).name for n in range(network.num_inputs)}
    if names != set(spec.inputs):
        raise ModelError(f"{path}: its inputs are {sorted(names)}, expected {sorted(spec.inputs)}; restore the bundle.")
    for name, tensor in spec.inputs.items():
        item = tuple(tensor.shape[1:])
        profile.set_shape(name, (1, *item), (1, *item), (MAX_BATCH, *item))
    return profile
