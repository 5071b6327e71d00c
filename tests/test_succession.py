from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.backends._providers import PROVIDERS
from edge_avsc.backends.base import GraphRunner, Watch
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend, available_providers
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.config import parse_config
from edge_avsc.errors import ModelError
from edge_avsc.model import SceneModel
from edge_avsc.succession import Successor, begin, build_apart


class SlowToBuild(OnnxRuntimeBackend):
    """A backend that has to build first, which takes until *built* is set."""

    def __init__(self, built: threading.Event, watch: Watch) -> None:
        super().__init__()
        self._built = built
        self._looking = watch

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        self._looking.say(f"{path.name} is being built.")
        while not self._built.wait(0.01):
            if self._looking.cancelled():
                raise ModelError("It was cancelled.")
        return super().load(path, spec)


def slow(folder: Path, built: threading.Event) -> Callable[[Watch], SceneModel]:
    return lambda watch: SceneModel(folder, read_bundle(folder), SlowToBuild(built, watch))


def taken(successor: Successor) -> SceneModel:
    """Ask until it is there, as a live run does; the test's own time limit is the suite's."""
    waiting = threading.Event()
    for _ in range(1000):
        model = successor.take()
        if model is not None:
            return model
        waiting.wait(0.01)
    raise AssertionError("the successor never came")


def test_a_model_comes_when_it_is_built_and_says_so_meanwhile(tiny_folder: Path) -> None:
    built = threading.Event()
    successor = Successor(slow(tiny_folder, built))
    successor.start(threading.Event())
    assert successor.take() is None
    built.set()
    assert isinstance(taken(successor).backend, SlowToBuild)
    assert successor.said() == [f"{part}.onnx is being built." for part in ("audio", "image", "fusion")]
    assert successor.said() == []
    assert successor.take() is None


def test_what_goes_wrong_is_raised_where_it_is_asked_for() -> None:
    def refuse(watch: Watch) -> SceneModel:
        raise ModelError("There is no GPU; buy one.")

    successor = Successor(refuse)
    successor.start(threading.Event())
    with pytest.raises(ModelError, match="buy one"):
        taken(successor)


def test_a_stop_ends_the_build(tiny_folder: Path) -> None:
    stop, over = threading.Event(), threading.Event()

    def load(watch: Watch) -> SceneModel:
        try:
            return slow(tiny_folder, threading.Event())(watch)
        finally:
            over.set()

    successor = Successor(load)
    successor.start(stop)
    stop.set()
    assert over.wait(10)
    assert successor.take() is None


def test_where_nothing_is_built_the_model_serves_at_once(tiny_folder: Path) -> None:
    model, successor = begin(parse_config(f"model: {tiny_folder}"), Watch())
    assert successor is None
    assert model.backend.provider == "CPUExecutionProvider"
    assert model.embed_sound(np.zeros((37, 16), np.float32)).shape == (8,)


def test_where_something_is_built_the_cpu_serves_first(tiny_folder: Path) -> None:
    class NothingBuilt(OnnxRuntimeBackend):
        def ready(self, path: Path, spec: GraphSpec) -> bool:
            return spec.path == "audio.onnx"

    asked: list[tuple[str, str]] = []

    def opened(name: str, provider: str) -> OnnxRuntimeBackend:
        asked.append((name, provider))
        return NothingBuilt()

    model, successor = begin(parse_config(f"model: {tiny_folder}"), Watch(), opened)
    assert asked == [("onnxruntime", "cpu")]
    assert model.backend.provider == "CPUExecutionProvider"
    assert successor is not None
    successor.start(threading.Event())
    # The process that builds finds that the CPU has nothing to build, and says so with 0.
    assert taken(successor).check_parity() < 0.001


def test_a_list_allows_to_fall_back_when_the_build_fails(tiny_folder: Path) -> None:
    class NothingBuilt(OnnxRuntimeBackend):
        def ready(self, path: Path, spec: GraphSpec) -> bool:
            return False

    absent = next(name for name, known in PROVIDERS.items() if known not in available_providers())
    config = parse_config(f"{{model: '{tiny_folder}', provider: [{absent}, cpu]}}")
    _, successor = begin(config, Watch(), lambda name, provider: NothingBuilt())
    assert successor is not None
    successor.start(threading.Event())
    assert taken(successor).fallback == (
        f"{PROVIDERS[absent]} is not in this build of ONNX Runtime; CPUExecutionProvider serves instead."
    )


def test_the_process_that_builds_says_why_it_fails(tiny_folder: Path) -> None:
    absent = next(name for name, known in PROVIDERS.items() if known not in available_providers())
    with pytest.raises(ModelError, match=rf"^{PROVIDERS[absent]} is not in this build of ONNX Runtime; install"):
        build_apart(str(tiny_folder), "onnxruntime", absent, cancelled=lambda: False)


def test_the_process_that_builds_ends_with_the_run(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="ended by signal 9"):
        build_apart(str(tiny_folder), "onnxruntime", "cpu", cancelled=lambda: True)


def test_what_is_not_there_is_an_error_at_once(tiny_folder: Path) -> None:
    absent = next(name for name, known in PROVIDERS.items() if known not in available_providers())
    config = parse_config(f"{{model: '{tiny_folder}', provider: {absent}}}")
    with pytest.raises(ModelError, match="is not in this build"):
        begin(config, Watch())
    allowed = parse_config(f"{{model: '{tiny_folder}', provider: [{absent}, cpu]}}")
    model, successor = begin(allowed, Watch())
    assert successor is None
    assert model.fallback is not None
