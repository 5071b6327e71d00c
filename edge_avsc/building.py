"""``edge-avsc model build``: the engines of a bundle ahead of time, for this machine's GPU or for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Watch
from edge_avsc.bundle import Bundle, GraphSpec, read_bundle
from edge_avsc.clock import Clock
from edge_avsc.errors import ConfigError, ModelError
from edge_avsc.model import SceneModel, find_bundle
from edge_avsc.types import NS_PER_S


def build(
    model: str | Path, backend: str, targets: Sequence[str], *, provider: str = "tensorrt", watch: Watch, clock: Clock
) -> Iterator[str]:
    """Build what *backend* needs and yield a line of each engine.

    targets: GPUs such as ``sm_89``, which need not be here; none means the one of this machine, where the engines are
    also loaded and score the golden inputs. provider: ONNX Runtime's.
    Raises ModelError when something is missing, ConfigError when the backend cannot build for other machines.
    """
    folder = find_bundle(model)
    bundle = read_bundle(folder)
    if targets and backend == "onnxruntime":
        raise ConfigError("ONNX Runtime builds only on the GPU that it runs on; leave out --target.")
    if targets:
        yield from _ahead(folder, bundle, backend, targets, watch, clock)
        return
    began_ns = clock.now_ns()
    opened = open_backend(backend, provider, watch=watch)
    loaded = SceneModel(folder, bundle, opened)
    worst = loaded.check_parity()
    took_s = (clock.now_ns() - began_ns) / NS_PER_S
    yield f"{opened.provider}: {bundle.name} is ready ({took_s:.1f} s); the largest difference is {worst:.4f}"


def _ahead(
    folder: Path, bundle: Bundle, backend: str, targets: Sequence[str], watch: Watch, clock: Clock
) -> Iterator[str]:
    from edge_avsc.backends._engine_store import EngineStore
    from edge_avsc.backends._tensorrt_library import TensorRtLibrary

    library = TensorRtLibrary(backend)
    for target in targets:
        library.check_target(target)
    store = EngineStore(library, watch)
    for target in targets:
        for path, spec in _parts(folder, bundle):
            there = store.holds(path, spec, target)
            began_ns = clock.now_ns()
            size = len(store.plan(path, spec, target, target))
            took = "was there" if there else f"built in {(clock.now_ns() - began_ns) / NS_PER_S:.2f} s"
            yield f"{target:7} {path.name:20} {size / 1e6:6.2f} MB  {took:16} {store.path(path, spec, target)}"


def _parts(folder: Path, bundle: Bundle) -> list[tuple[Path, GraphSpec]]:
    graphs = bundle.graphs.get("trt")
    if graphs is None:
        raise ModelError(f"{folder} has no graphs for TensorRT, only for {sorted(bundle.graphs)}.")
    return [(folder / part.path, part) for part in (graphs.audio, graphs.image, graphs.fusion)]
