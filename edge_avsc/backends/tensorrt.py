"""TensorRT, and TensorRT for RTX: engines of the bundle's S8S8 graphs, built once and kept."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.backends._cuda import Cuda
from edge_avsc.backends._engines import BrokenEngineError, EngineCache, EngineKey, cache_folder
from edge_avsc.backends._tensorrt_builder import MAX_BATCH, OPTIONS, Builder, logger
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.base import GraphKind, GraphRunner, Watch, check_inputs, check_tensor
from edge_avsc.bundle import GraphSpec, TensorSpec
from edge_avsc.errors import ModelError


class EngineStore:
    """Engines of one library: what is not in the cache, or is broken there, is built.

    cache: where engines are kept; the user's cache folder unless it is given.
    """

    def __init__(self, library: TensorRtLibrary, watch: Watch | None = None, cache: EngineCache | None = None) -> None:
        self.library = library
        self._watch = watch or Watch()
        self._cache = cache or EngineCache(cache_folder())

    def holds(self, path: Path, spec: GraphSpec, device: str) -> bool:
        """Tell whether the engine is there and whole."""
        try:
            return self._cache.read(_part(path), self.key(spec, device)) is not None
        except BrokenEngineError:
            return False

    def plan(self, path: Path, spec: GraphSpec, target: str, device: str, *, anew: str = "") -> bytes:
        """Return the engine of a graph. anew: why one that is there must be built again. ModelError when it fails.

        target: the GPU, as ``sm_89``. device: what of the GPU the engine depends on.
        """
        part, key = _part(path), self.key(spec, device)
        try:
            kept = None if anew else self._cache.read(part, key)
        except BrokenEngineError as error:
            kept, anew = None, str(error)
        if kept is not None:
            return kept
        if anew:
            self._watch.say(f"{anew}; the engine is built anew.")
        self._cache.check()
        library = f"{self.library.name} {self.library.version}"
        builder = Builder(self.library, self._watch.progress, self._watch.cancelled)
        plan, measured = builder.build(path, spec, target, self._cache.timing(library, device))
        self._cache.write(part, key, plan)
        if measured:
            self._cache.write_timing(library, device, measured)
        return plan

    def key(self, spec: GraphSpec, device: str) -> EngineKey:
        """Return all that the engine of a graph depends on."""
        return EngineKey(
            graph=spec.sha256,
            library=f"{self.library.name} {self.library.version}",
            device=device,
            platform=f"{sys.platform} {platform.machine()}",
            options=OPTIONS,
        )

    def path(self, path: Path, spec: GraphSpec, device: str) -> Path:
        """Return the file that holds, or will hold, the engine."""
        return self._cache.path(_part(path), self.key(spec, device))


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
        return _Engine(self._library, engine, spec, self._cuda)

    def _deserialised(self, plan: bytes) -> Any:
        return self._runtime.deserialize_cuda_engine(plan)


class _Engine:
    """An engine with its buffers; single items, the usual case, are repeated as a CUDA graph where that is possible."""

    def __init__(self, library: TensorRtLibrary, engine: Any, spec: GraphSpec, cuda: Cuda) -> None:
        _check_tensors(library.module, engine, spec)
        self._library = library
        self._spec = spec
        self._cuda = cuda
        # A graph holds for the shapes that it was captured with: single items have a context of their own.
        self._single, self._several = engine.create_execution_context(), engine.create_execution_context()
        self._graph: Any = None
        self._captured = False
        self._tensors = {**spec.inputs, **spec.outputs}
        self._addresses = {name: cuda.allocate(4 * MAX_BATCH * _size(one)) for name, one in self._tensors.items()}
        for context in (self._single, self._several):
            for name, address in self._addresses.items():
                context.set_tensor_address(name, address)

    def run(self, inputs: Mapping[str, NDArray[float32]]) -> dict[str, NDArray[float32]]:
        check_inputs(self._spec, inputs)
        batch = len(next(iter(inputs.values())))
        if not 1 <= batch <= MAX_BATCH or any(len(one) != batch for one in inputs.values()):
            raise ModelError(f"{self._spec.path} takes 1 to {MAX_BATCH} items at once, the same number of each input.")
        outputs = {
            name: np.empty((batch, *(int(n) for n in one.shape[1:])), float32)
            for name, one in self._spec.outputs.items()
        }
        # What is copied must stay where it is until the copy is done.
        kept = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        for name, array in kept.items():
            self._cuda.upload(self._addresses[name], array)
        if batch == 1:
            self._run_single()
        else:
            self._enqueue(self._several, batch)
        for name, array in outputs.items():
            self._cuda.download(array, self._addresses[name])
        self._cuda.synchronise()
        return outputs

    def _run_single(self) -> None:
        if self._graph is not None:
            self._cuda.launch(self._graph)
            return
        self._enqueue(self._single, 1)
        if not self._captured:
            # The first run does what cannot be repeated, such as loading kernels; it must be over before.
            self._captured = True
            self._cuda.synchronise()
            if self._library.capturable(self._single, self._cuda.stream):
                self._graph = self._cuda.capture(lambda: self._launched(self._single))

    def _enqueue(self, context: Any, batch: int) -> None:
        for name, tensor in self._spec.inputs.items():
            context.set_input_shape(name, (batch, *tensor.shape[1:]))
        if not self._launched(context):
            raise ModelError(
                f"{self._library.name} could not run {self._spec.path}; see 'edge-avsc doctor --selftest'."
            )

    def _launched(self, context: Any) -> bool:
        return bool(context.execute_async_v3(int(self._cuda.stream)))


def _check_tensors(trt: Any, engine: Any, spec: GraphSpec) -> None:
    names = {engine.get_tensor_name(n) for n in range(engine.num_io_tensors)}
    wanted = {**spec.inputs, **spec.outputs}
    if names != set(wanted):
        raise ModelError(f"The engine of {spec.path} has the tensors {sorted(names)}, expected {sorted(wanted)}.")
    for name, tensor in wanted.items():
        dtype = {trt.float32: "float32"}.get(engine.get_tensor_dtype(name), str(engine.get_tensor_dtype(name)))
        check_tensor(spec.path, name, tuple(engine.get_tensor_shape(name)), dtype, tensor.shape, tensor.dtype)


def _size(tensor: TensorSpec) -> int:
    return prod(int(n) for n in tensor.shape[1:])


def _part(path: Path) -> str:
    return path.name.removesuffix(".onnx")
