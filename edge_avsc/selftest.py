"""``edge-avsc doctor --selftest``: everything that can run a model on this machine, tried, checked and timed."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Backend, Watch
from edge_avsc.bundle import read_bundle
from edge_avsc.clock import Clock
from edge_avsc.config import hop_ns
from edge_avsc.doctor import RUNS, machine_finding, median_ms, packages
from edge_avsc.errors import ModelError
from edge_avsc.findings import Finding
from edge_avsc.machine import read_machine
from edge_avsc.model import SceneModel, find_bundle
from edge_avsc.player import Player
from edge_avsc.replay import recordings
from edge_avsc.types import NS_PER_S, SceneEstimate

ROADS = (
    ("onnxruntime", "cpu"),
    ("onnxruntime", "openvino"),
    ("onnxruntime", "cuda"),
    ("onnxruntime", "tensorrt"),
    ("tensorrt", ""),
    ("tensorrt_rtx", ""),
)
"""Each backend, with each provider of ONNX Runtime."""

BATCHES = (1, 8, 16)
DEMO = "test://demo?duration=6"


def selftest(
    model: str | Path, *, clock: Clock, watch: Watch, opened: Callable[..., Backend] = open_backend
) -> Iterator[Finding]:
    """Yield a report for a bug: the machine, each backend that is here, and the whole road once.

    model: a bundle. watch: is told of builds. opened: opens a backend; for tests. What is not installed is said and is
    no fault; what is there and does not compute what it should has exit code 4.
    """
    yield Finding("machine", f"{machine_name()}, Python {platform.python_version()}, {platform.platform()}")
    yield machine_finding(read_machine())
    yield from packages()
    folder = find_bundle(model)
    bundle = read_bundle(folder)
    for name, provider in ROADS:
        what = f"{name} {provider}".strip()
        try:
            backend = opened(name, provider or "cpu", watch=watch)
        except ModelError as error:
            yield Finding(what, f"is not here: {error}")
            continue
        try:
            began_ns = clock.now_ns()
            loaded = SceneModel(folder, bundle, backend)
            took_s = (clock.now_ns() - began_ns) / NS_PER_S
            worst = loaded.check_parity()
            yield Finding(what, f"{backend.provider}, ready in {took_s:.1f} s, largest difference {worst:.4f}")
            yield Finding(f"{what} speed", _speed(loaded, clock))
        except ModelError as error:
            yield Finding.failure(what, error)
    try:
        yield _demonstration(SceneModel.load(folder), clock)
    except ModelError as error:
        yield Finding.failure("demonstration", error)


def _speed(model: SceneModel, clock: Clock) -> str:
    audio, image = model.bundle.audio, model.bundle.image
    chance = np.random.default_rng(1)
    columns = chance.normal(size=(audio.columns, audio.n_mels)).astype(np.float32)
    pictures = chance.normal(size=(max(BATCHES), 3, image.size_px, image.size_px)).astype(np.float32)
    sound, seen = model.embed_sound(columns), model.encode_pictures(pictures[:1])
    said = [f"sound {median_ms(lambda: model.embed_sound(columns), clock):.2f} ms"]
    for batch in (batch for batch in BATCHES if batch <= model.backend.max_batch):
        ms = median_ms(lambda batch=batch: model.encode_pictures(pictures[:batch]), clock)  # type: ignore[misc]
        said.append(f"{batch} picture{'s' * (batch > 1)} {ms:.2f} ms")
    said.append(f"fusion {median_ms(lambda: model.fuse(sound, seen), clock):.2f} ms")
    return f"{', '.join(said)} (medians of {RUNS})"


def _demonstration(model: SceneModel, clock: Clock) -> Finding:
    began_ns = clock.now_ns()
    ((name, stream),) = recordings(DEMO)
    estimates = [one for one in Player(model, hop_ns(0.5)).play(name, stream) if isinstance(one, SceneEstimate)]
    took_s = (clock.now_ns() - began_ns) / NS_PER_S
    skews = [one.av_skew_ms for one in estimates if one.av_skew_ms is not None]
    skew = f"skew {skews[-1]:+.1f} ms" if skews else "no skew measured"
    return Finding("demonstration", f"{len(estimates)} windows of {DEMO} in {took_s:.1f} s, {skew}")


def machine_name() -> str:
    """Return what the machine is: a board's own name, or the processor's."""
    board, processors = Path("/proc/device-tree/model"), Path("/proc/cpuinfo")
    if board.is_file():
        return board.read_text(errors="replace").strip("\0\n ")
    lines = processors.read_text(errors="replace").splitlines() if processors.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
