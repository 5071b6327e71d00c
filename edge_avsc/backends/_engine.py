"""An engine that runs: its buffers on the GPU, and what is launched there."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.backends._cuda import Cuda
from edge_avsc.backends._tensorrt_builder import MAX_BATCH
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.base import check_inputs, check_tensor
from edge_avsc.bundle import GraphSpec, TensorSpec
from edge_avsc.errors import ModelError


class Engine:
    """An engine with its buffers; single items, the usual case, are repeated as a CUDA graph where that is possible."""

    def __init__(self, library: TensorRtLibrary, engine: Any, spec: GraphSpec, cuda: Cuda) -> None:
        _check_tensors(library.module, engine, spec)
        self._library = library
        self._spec = spec
        self._cuda = cuda
        # A graph holds for the shapes that it was captured with: single items have a context of their own.
        self._single, self._several = engine.create_execution_context(), engine.create_execution_context()
        if self._single is None or self._several is None:
            raise ModelError(f"{spec.path} finds no memory on {cuda.gpu.name}; free some, or take another backend.")
        self._graph: Any = None
        self._captured = False
        self._tensors = {**spec.inputs, **spec.outputs}
        self._addresses = {name: cuda.allocate(4 * MAX_BATCH * _size(one)) for name, one in self._tensors.items()}
        for context in (self._single, self._several):
            for name, address in self._addresses.items():
                context.set_tensor_address(name, address)

    def run(self, inputs: Mapping[str, NDArray[float32]]) -> dict[str, NDArray[float32]]:
        """Return the outputs by name; ModelError when the inputs are not those of the graph, or the GPU fails."""
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
