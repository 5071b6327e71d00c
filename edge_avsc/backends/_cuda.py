"""As much of CUDA as an engine needs: one GPU, one stream, buffers, and graphs that repeat a launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy import float32
from numpy.typing import NDArray

from edge_avsc.errors import ModelError


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU by its name and its compute capability, as ``sm_87``."""

    name: str
    capability: str


class Cuda:
    """The first GPU, through ``cuda-python``; *runtime* stands in for its module, for tests.

    Raises ModelError when the package is not installed or there is no GPU.
    """

    def __init__(self, runtime: Any = None) -> None:
        self._runtime = runtime or _imported()
        try:
            properties = self._call("cudaGetDeviceProperties", 0)
        except ModelError as error:
            raise ModelError(
                f"There is no GPU that CUDA can use ({error}); check the driver with nvidia-smi, "
                "or write 'backend: onnxruntime'."
            ) from None
        name = properties.name
        self.gpu = Gpu(
            name.decode().strip("\0") if isinstance(name, bytes) else str(name),
            f"sm_{properties.major}{properties.minor}",
        )
        self.stream = self._call("cudaStreamCreate")

    def allocate(self, size: int) -> int:
        """Return the address of *size* bytes on the GPU; they are kept until the process ends."""
        return int(self._call("cudaMalloc", size))

    def upload(self, address: int, array: NDArray[float32]) -> None:
        """Copy a contiguous array to the GPU, in the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self.stream)

    def download(self, array: NDArray[float32], address: int) -> None:
        """Copy from the GPU into a contiguous array, in the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self.stream)

    def synchronise(self) -> None:
        """Wait for all that is in the stream."""
        self._call("cudaStreamSynchronize", self.stream)

    def capture(self, enqueue: Callable[[], bool]) -> Any:
        """Return a graph of what *enqueue* puts into the stream, or None when that cannot be repeated."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        held = enqueue()
        try:
            graph = self._call("cudaStreamEndCapture", self.stream)
            return self._call("cudaGraphInstantiate", graph, 0) if held else None
        except ModelError:
            return None

    def launch(self, graph: Any) -> None:
        """Put a captured graph into the stream."""
        self._call("cudaGraphLaunch", graph, self.stream)

    def _call(self, function: str, *arguments: Any) -> Any:
        try:
            code, *results = getattr(self._runtime, function)(*arguments)
        except RuntimeError as error:  # cuda-python's word for a library that is not there, or lacks a function
            raise ModelError(f"{function}: {error}") from error
        if int(code) != 0:
            words = self._runtime.cudaGetErrorString(code)[1]
            raise ModelError(words.decode() if isinstance(words, bytes) else str(words))
        return results[0] if results else None


def _imported() -> Any:
    try:
        try:
            from cuda.bindings import runtime
        except ImportError:
            from cuda import cudart as runtime  # cuda-python before 12.6
    except ImportError as error:
        raise ModelError(
            f"TensorRT needs the Python package cuda-python ({error}); install it with 'pip install cuda-python'."
        ) from error
    return runtime
