"""TensorRT, and TensorRT for RTX: engines of the bundle's S8S8 graphs, built once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_avsc.backends._cuda import Cuda
from edge_avsc.backends._engine import Engine
from edge_avsc.backends._engine_store import EngineStore
from edge_avsc.backends._engines import EngineCache
from edge_avsc.backends._tensorrt_builder import MAX_BATCH, logger
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.base import GraphKind, GraphRunner, Watch
from edge_avsc.bundle import GraphSpec
from edge_avsc.errors import ModelError


class TensorRtBackend:
    """Runs engines on the GPU of this machine.

    name: ``tensorrt`` or ``tensorrt_rtx``. watch: is told of builds. library, cuda, cache: stand-ins, for tests.
    Raises ModelError when the library or the GPU is not there.
    """

    graphs: GraphKind = "trt"
    max_batch = MAX_BATCH

    def __init__(
        self,
        name: str = "tensorrt",
        *,
        watch: Watch | None = None,
        library: TensorRtLibrary | None = None,
        cuda: Cuda | None = None,
        cache: EngineCache | None = None,
    ) -> None:
        self._library = library or TensorRtLibrary(name)
        self._cuda = cuda or Cuda()
        gpu = self._cuda.gpu
        self.provider = f"{self._library.name} {self._library.version} on {gpu.name}"
        self._store = EngineStore(self._library, watch, cache)
        self._target = gpu.capability
        # Engines of TensorRT for RTX run on any GPU of the capability; others were timed on this very kind.
        self._device = gpu.capability if self._library.for_rtx else f"{gpu.capability} {gpu.name}"
        self._log = logger(self._library.module)
        self._runtime = self._library.module.Runtime(self._log)

    def ready(self, path: Path, spec: GraphSpec) -> bool:
        """Tell whether the engine of a graph is there already."""
        return self._store.holds(path, spec, self._device)

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        """Load the engine of a graph, built first where it is not in the cache; ModelError when that fails."""
        engine = self._deserialised(self._store.plan(path, spec, self._target, self._device))
        if engine is None:
            kept = self._store.path(path, spec, self._device)
            anew = f"{kept} is refused by {self._library.name} ({self._log.said()})"
            engine = self._deserialised(self._store.plan(path, spec, self._target, self._device, anew=anew))
        if engine is None:
            raise ModelError(
                f"{self._library.name} refuses the engine of {path.name} that it has just built ({self._log.said()}); "
                "check the driver of the GPU."
            )
        return Engine(self._library, engine, spec, self._cuda)

    def _deserialised(self, plan: bytes) -> Any:
        return self._runtime.deserialize_cuda_engine(plan)
