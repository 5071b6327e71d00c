"""A run that begins at once on the CPU, while the model that was asked for is made ready for a GPU."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable

from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Backend, Watch
from edge_avsc.bundle import read_bundle
from edge_avsc.config import AppConfig
from edge_avsc.errors import ModelError
from edge_avsc.model import SceneModel, find_bundle, instead

NICE = 10
POLL_S = 0.2


class Successor:
    """Loads a model in a thread of its own. load: is given a Watch, to be told of builds and to be cancelled."""

    def __init__(self, load: Callable[[Watch], SceneModel]) -> None:
        self._load = load
        self._said: deque[str] = deque()
        self._model: SceneModel | None = None
        self._failure: BaseException | None = None
        self._stop: threading.Event | None = None
        self._thread = threading.Thread(target=self._run, name="successor", daemon=True)

    def start(self, stop: threading.Event) -> None:
        """Begin; a build ends early once *stop* is set."""
        self._stop = stop
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait, once *stop* is set, until the build has ended too, but not for ever: a driver may hang."""
        self._thread.join(timeout_s)

    def said(self) -> list[str]:
        """Return the sentences that people should read, each once."""
        return [self._said.popleft() for _ in range(len(self._said))]

    def take(self) -> SceneModel | None:
        """Return the model once, when it is ready. Raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        model = self._model
        if model is not None:
            self._model = None
        return model

    def _run(self) -> None:
        assert self._stop is not None
        try:
            self._model = self._load(Watch(say=self._said.append, cancelled=self._stop.is_set))
        except BaseException as error:
            if not self._stop.is_set():
                self._failure = error


def begin(
    config: AppConfig,
    watch: Watch,
    opened: Callable[..., Backend] = open_backend,
) -> tuple[SceneModel, Successor | None]:
    """Return the model that serves first, and the one to come where an engine must be built, which takes minutes.

    watch: is told when an engine that was there turns out to be none. opened: opens a backend to ask what it has; for
    tests. Raises ModelError at once when what the configuration asks for is not there.
    """

    def load(watch: Watch) -> SceneModel:
        return SceneModel.load(config.model, backend=config.backend, provider=config.provider, watch=watch)

    provider = _that_builds(config, opened)
    if provider is None:
        return load(watch), None

    def build_and_load(watch: Watch) -> SceneModel:
        try:
            build_apart(config.model, config.backend, provider, cancelled=watch.cancelled)
        except ModelError as error:
            later = config.provider[config.provider.index(provider) + 1 :]
            if config.backend != "onnxruntime" or not later or watch.cancelled():
                raise
            loaded = SceneModel.load(config.model, provider=later, watch=watch)
            loaded.fallback = instead([str(error)], loaded.backend.provider)
            return loaded
        return load(watch)

    return SceneModel.load(config.model), Successor(build_and_load)


def _that_builds(config: AppConfig, opened: Callable[..., Backend]) -> str | None:
    """Return the provider that will serve, if it has to build something first."""
    folder = find_bundle(config.model)
    bundle = read_bundle(folder)
    for provider in config.provider:
        try:
            backend = opened(config.backend, provider)
        except ModelError:
            continue
        graphs = bundle.graphs.get(backend.graphs)
        parts = (graphs.audio, graphs.image, graphs.fusion) if graphs else ()
        return None if all(backend.ready(folder / part.path, part) for part in parts) else provider
    return None


def build_apart(model: str, backend: str, provider: str, *, cancelled: Callable[[], bool]) -> None:
    """Build the engines of a bundle in a process of its own, which has the time that labels leave over.

    ONNX Runtime lets nothing else of Python run while it builds, and who builds may need more memory than there is.
    cancelled: is asked now and then; true ends it. Raises ModelError with what the process said when it fails.
    """
    options = ["--backend", backend, "--provider", provider]
    command = [sys.executable, "-m", "edge_avsc.cli", "model", "build", str(find_bundle(model)), *options]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        try:
            with contextlib.suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
            while not cancelled():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_S)
                    break
        finally:
            process.kill()
            code = process.wait()
        if code:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise ModelError(_why(code, lines[-1] if lines else ""))


def _why(code: int, last: str) -> str:
    if code < 0:
        return (
            f"The process that builds engines was ended by signal {-code}; free some memory, or build them ahead of "
            "time with 'edge-avsc model build'."
        )
    return last.removeprefix("edge-avsc: ") or "The engines could not be built; try 'edge-avsc model build'."
