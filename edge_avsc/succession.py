"""A run that begins at once on the CPU, while the model that was asked for is made ready for a GPU."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Watch
from edge_avsc.bundle import read_bundle
from edge_avsc.config import AppConfig
from edge_avsc.errors import ModelError
from edge_avsc.model import SceneModel, find_bundle


class Successor:
    """Loads a model in a thread of its own. load: is given a Watch, to be told of builds and to be cancelled."""

    def __init__(self, load: Callable[[Watch], SceneModel]) -> None:
        self._load = load
        self._said: deque[str] = deque()
        self._model: SceneModel | None = None
        self._failure: BaseException | None = None
        self._stop: threading.Event | None = None

    def start(self, stop: threading.Event) -> None:
        """Begin; a build ends early once *stop* is set."""
        self._stop = stop
        threading.Thread(target=self._run, name="successor", daemon=True).start()

    def said(self) -> list[str]:
        """Return the sentences that people should read, each once."""
        return [self._said.popleft() for _ in range(len(self._said))]

    def take(self) -> SceneModel | None:
        """Return the model once, when it is ready. Raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        model, self._model = self._model, None
        return model

    def _run(self) -> None:
        assert self._stop is not None
        try:
            self._model = self._load(Watch(say=self._said.append, cancelled=self._stop.is_set))
        except BaseException as error:
            if not self._stop.is_set():
                self._failure = error


def begin(config: AppConfig, watch: Watch) -> tuple[SceneModel, Successor | None]:
    """Return the model that serves first, and the one to come where an engine must be built, which takes minutes.

    watch: is told when an engine that was there turns out to be none. Raises ModelError at once when what the
    configuration asks for is not there.
    """

    def load(watch: Watch) -> SceneModel:
        return SceneModel.load(config.model, backend=config.backend, provider=config.provider, watch=watch)

    if needs_building(config):
        return SceneModel.load(config.model), Successor(load)
    return load(watch), None


def needs_building(config: AppConfig) -> bool:
    """Tell whether the backend that will serve has to build something first."""
    folder = find_bundle(config.model)
    bundle = read_bundle(folder)
    for provider in config.provider:
        try:
            backend = open_backend(config.backend, provider)
        except ModelError:
            continue
        graphs = bundle.graphs.get(backend.graphs)
        parts = (graphs.audio, graphs.image, graphs.fusion) if graphs else ()
        return not all(backend.ready(folder / part.path, part) for part in parts)
    return False
