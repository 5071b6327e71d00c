"""ONNX Runtime: one thread, no spinning, the provider chosen by name, and the truth about which one served."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_avsc.backends._engines import EngineCache
from edge_avsc.backends._providers import (
    PROVIDERS,
    engine_folder,
    graphs_for,
    has_built,
    max_batch,
    options_for,
    others_that_served,
)
from edge_avsc.backends._sessions import BoundSession, Session
from edge_avsc.backends.base import GraphRunner, Watch, check_tensor
from edge_avsc.bundle import GraphSpec, TensorSpec
from edge_avsc.errors import ModelError, nearest


def available_providers() -> tuple[str, ...]:
    """Return the execution providers that this build of ONNX Runtime has; ModelError where there is none."""
    return tuple(library().get_available_providers())


def saturates(cpuinfo: str) -> bool:
    """Tell by a ``/proc/cpuinfo`` whether products of unsigned and signed bytes saturate: on x86 without VNNI.

    True where it does not say so.
    """
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return flags is None or not {"avx512_vnni", "avx_vnni"} & set(flags[1].split())


def cpu_options(threads: int) -> Any:
    """Return the options of a session on so many CPU threads."""
    options = library().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Products that saturate make twice the error, measured with the golden inputs, and save a quarter of the time.
    # Where they do not, this would double a picture's time and change no bit.
    info = Path("/proc/cpuinfo")
    if saturates(info.read_text(encoding="utf-8") if info.is_file() else ""):
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class OnnxRuntimeBackend:
    """Loads graphs on one execution provider.

    provider: cpu, cuda, tensorrt or openvino. threads: of the CPU. watch: is told of builds. fused: False computes a
    quantized graph as it is written, each step in float, which is slow and nearly the same on every machine.
    Raises ModelError when there is no such provider, or this build of ONNX Runtime does not have it.
    """

    def __init__(
        self, provider: str = "cpu", threads: int = 1, watch: Watch | None = None, *, fused: bool = True
    ) -> None:
        self._ort = library()
        if provider not in PROVIDERS:
            raise ModelError(
                f"There is no provider '{provider}'; give one of {sorted(PROVIDERS)}.{nearest(provider, PROVIDERS)}"
            )
        self._name = provider
        self._threads = threads
        self._fused = fused
        self._watch = watch or Watch()
        self.provider = PROVIDERS[provider]
        self.graphs = graphs_for(provider)
        self.max_batch = max_batch(provider)
        if self.provider not in self._ort.get_available_providers():
            raise ModelError(
                f"{self.provider} is not in this build of ONNX Runtime; install the build that has it, "
                "or write 'provider: cpu'."
            )

    def ready(self, path: Path, spec: GraphSpec) -> bool:
        """Tell whether loading takes but a moment: TensorRT builds engines the first time."""
        return has_built(self._name, spec, self._ort.__version__)

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        """Load a graph and run it once.

        Raises ModelError when the file is no graph, or not the one that *spec* describes, or when another provider than
        the wanted one did the work: ONNX Runtime turns to the CPU without a word.
        """
        builds = not self.ready(path, spec)
        if builds:
            EngineCache(engine_folder(self._name, spec, self._ort.__version__)).check()
            self._watch.progress(f"{path.name} for {self.provider}", 0.0)
        with tempfile.TemporaryDirectory() as folder:
            options = self._options()
            if self._name != "cpu":
                options.enable_profiling = True
                options.profile_file_prefix = str(Path(folder) / "run")
            session = self._session(path, spec, options)
            if session.get_providers()[0] != self.provider:
                raise self._not_served("could not be started; install what it needs")
            _check_signature(path, "input", session.get_inputs(), spec.inputs)
            _check_signature(path, "output", session.get_outputs(), spec.outputs)
            runner = BoundSession(session, spec) if self._name in ("cuda", "tensorrt") else Session(session, spec)
            if self._name != "cpu":
                runner.run(_zeros(spec))
                profile = Path(session.end_profiling()).read_text(encoding="utf-8")
                others = others_that_served(profile, self.provider)
                if others:
                    raise self._not_served(f"left {path.name} to {', '.join(others)}; take another one")
        if builds:
            self._watch.progress(f"{path.name} for {self.provider}", 1.0)
        return runner

    def _options(self) -> Any:
        options = cpu_options(self._threads)
        options.log_severity_level = 3
        if not self._fused:
            options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options

    def _session(self, path: Path, spec: GraphSpec, options: Any) -> Any:
        told = options_for(self._name, spec, self._ort.__version__, self._threads)
        providers = [(self.provider, told)] + [PROVIDERS["cpu"]] * (self._name != "cpu")
        # What is amiss with a GPU's libraries it would print at length, on stdout too, and turn to the CPU.
        quiet = {} if self._name == "cpu" else {"enable_fallback": 0}
        if quiet:
            self._ort.set_default_logger_severity(4)
        try:
            return self._ort.InferenceSession(str(path), options, providers=providers, **quiet)
        except Exception as error:  # ONNX Runtime raises a family of its own without a common base
            why = _first_line(error)
            if self._name == "cpu":
                raise ModelError(f"{path} cannot be loaded by ONNX Runtime ({why}); restore the bundle.") from error
            raise self._not_served(f"could not load {path.name} ({why}); install what it needs") from error

    def _not_served(self, why: str) -> ModelError:
        return ModelError(f"{self.provider} {why}, or write 'provider: [{self._name}, cpu]'.")


def library() -> Any:
    """Return the module onnxruntime, told to report to nobody; ModelError where it is not installed."""
    # Official builds report to their maker otherwise: nothing of what a microphone and a camera feed may leave here.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelError("ONNX Runtime is not installed; install it with 'pip install onnxruntime'.") from error
    except ImportError as error:
        raise ModelError(
            f"ONNX Runtime does not load ({error}); install it anew: pip install --force-reinstall onnxruntime"
        ) from error
    return onnxruntime


def _zeros(spec: GraphSpec) -> dict[str, NDArray[np.float32]]:
    return {
        name: np.zeros([1 if isinstance(n, str) else n for n in tensor.shape], np.float32)
        for name, tensor in spec.inputs.items()
    }


def _check_signature(path: Path, kind: str, tensors: list[Any], specs: dict[str, TensorSpec]) -> None:
    names = sorted(tensor.name for tensor in tensors)
    if names != sorted(specs):
        raise ModelError(f"{path}: its {kind}s are {names}, expected {sorted(specs)}; restore the bundle.")
    for tensor in tensors:
        dtype = {"tensor(float)": "float32"}.get(tensor.type, tensor.type)
        expected = specs[tensor.name]
        check_tensor(str(path), tensor.name, tuple(tensor.shape), dtype, expected.shape, expected.dtype)


def _first_line(error: Exception) -> str:
    # Where in ONNX Runtime's own code it came from helps nobody.
    plain = re.sub(r"^/\S+:\d+ .*?\)\s+(?=\w)", "", str(error).strip())
    return plain.splitlines()[0][:200] if plain else type(error).__name__
