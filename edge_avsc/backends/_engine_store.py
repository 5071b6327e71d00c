"""Engines of one library: taken from the cache, or built."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from edge_avsc.backends._engines import BrokenEngineError, EngineCache, EngineKey, cache_folder
from edge_avsc.backends._tensorrt_builder import OPTIONS, Builder
from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.backends.base import Watch
from edge_avsc.bundle import GraphSpec


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


def _part(path: Path) -> str:
    return path.name.removesuffix(".onnx")
