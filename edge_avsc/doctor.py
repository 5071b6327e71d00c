"""What ``edge-avsc doctor`` finds: packages, model, sources and disk, each with its mend where something is wrong."""

from __future__ import annotations

import contextlib
import importlib
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from edge_avsc.clock import Clock
from edge_avsc.config import AppConfig
from edge_avsc.errors import DeviceError, EdgeAvscError, ModelError
from edge_avsc.findings import Finding, stream_findings
from edge_avsc.machine import Machine, read_machine
from edge_avsc.types import NS_PER_MS

if TYPE_CHECKING:
    from edge_avsc.backends.base import Watch
    from edge_avsc.model import SceneModel
    from edge_avsc.sources import LiveSource

PACKAGES = {
    "numpy": "numpy",
    "av": "av",
    "soxr": "soxr",
    "cv2": "opencv-python-headless",
    "onnxruntime": "onnxruntime",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "rich": "rich",
}
"""What is imported, and what installs it."""

_INSTALL = "install what the packages above lack."

RUNS = 30
BUSY = 0.7
LINE_BYTES = 820
DAYS = 7.0


def examine(
    config: AppConfig,
    *,
    seconds: float,
    clock: Clock,
    watch: Watch | None = None,
    open_source: Callable[..., LiveSource] | None = None,
) -> Iterator[Finding]:
    """Yield what is found, as it is found.

    seconds: how long the sources are listened to and looked at, all at once. watch: is told of engines that are built.
    """
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from packages()
    yield from _portaudio()
    yield machine_finding(read_machine())
    try:
        yield from _model(config, clock, watch)
    except (ModelError, ImportError) as error:
        yield Finding.failure("model", error if isinstance(error, ModelError) else ModelError(f"{error}; {_INSTALL}"))
    hop = f"a window every {config.hop_s:g} s"
    yield Finding("configuration", f"streams {', '.join(config.streams)}; {hop}")
    try:
        yield from _sources(config, seconds, clock, open_source)
    except ImportError as error:
        yield Finding.failure("sources", DeviceError(f"{error}; {_INSTALL}"))
    yield from _disk(config)


def packages(wanted: Mapping[str, str] = PACKAGES) -> Iterator[Finding]:
    """Yield each package that is missing or does not load, and one line of the others; *wanted* as PACKAGES."""
    known = metadata.packages_distributions()
    versions = []
    for name, package in wanted.items():
        try:
            # Only an import shows whether a package also works; for the doctor that is no heavy library's second door.
            module = importlib.import_module(name)
        except Exception as error:
            why = "is missing" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
            yield Finding(package, f"the package {why}.", f"Install it with: pip install --force-reinstall {package}")
            continue
        distributions = known.get(name)
        version = metadata.version(distributions[0]) if distributions else getattr(module, "__version__", "?")
        versions.append(f"{name} {version}")
    yield Finding("packages", ", ".join(versions))


def machine_finding(machine: Machine) -> Finding:
    """Return the finding of how the machine is."""
    mend = "Give it a cooler place, a fan, or a stronger power supply." if machine.slowed_by else ""
    return Finding("machine", str(machine), mend)


def _portaudio() -> Iterator[Finding]:
    from edge_avsc.sources.microphone import portaudio_version

    try:
        version = portaudio_version()
    except DeviceError as error:
        # It matters to microphones alone: where one is configured, that will fail.
        yield Finding.of("PortAudio", str(error))
    else:
        yield Finding("PortAudio", version)


def _model(config: AppConfig, clock: Clock, watch: Watch | None) -> Iterator[Finding]:
    from edge_avsc.backends.onnxruntime import available_providers
    from edge_avsc.golden import verify
    from edge_avsc.model import SceneModel

    model = SceneModel.load(config.model, backend=config.backend, provider=config.provider, watch=watch)
    yield Finding("ONNX Runtime", f"has {', '.join(available_providers())}; {model.backend.provider} serves.")
    if model.fallback:
        mend = "Install the build of ONNX Runtime that has it and what it needs, or write 'provider: cpu'."
        yield Finding("provider", model.fallback, mend)
    for line in verify(config.model):
        yield Finding("model", line)
    yield _speed(config, model, clock)


def _speed(config: AppConfig, model: SceneModel, clock: Clock) -> Finding:
    audio, image = model.bundle.audio, model.bundle.image
    chance = np.random.default_rng(1)
    columns = chance.normal(size=(audio.columns, audio.column_size)).astype(np.float32)
    picture = chance.integers(0, 256, (1, image.size_px, image.size_px, 3), np.uint8)
    sound_embedding, image_embedding = model.embed_sound(columns), model.embed_pictures(picture)
    sound_ms = median_ms(lambda: model.embed_sound(columns), clock)
    image_ms = median_ms(lambda: model.embed_pictures(picture), clock)
    fusion_ms = median_ms(lambda: model.fuse(sound_embedding, image_embedding), clock)
    per_s_ms = len(config.streams) * (image.frames_per_s * image_ms + (sound_ms + fusion_ms) / config.hop_s)
    times = f"sound {sound_ms:.2f} ms, picture {image_ms:.2f} ms, fusion {fusion_ms:.2f} ms (medians of {RUNS})"
    finding = f"{times}: {per_s_ms / 10:.1f} % of one core for all streams"
    mend = "Write a longer hop_s, or have fewer streams." if per_s_ms > 1000 * BUSY else ""
    return Finding("speed", finding, mend)


def median_ms(run: Callable[[], object], clock: Clock) -> float:
    """Return how long *run* takes in milliseconds, the median of RUNS."""
    durations_ns = []
    for _ in range(RUNS):
        began_ns = clock.now_ns()
        run()
        durations_ns.append(clock.now_ns() - began_ns)
    return median(durations_ns) / NS_PER_MS


def _sources(
    config: AppConfig, seconds: float, clock: Clock, open_source: Callable[..., LiveSource] | None
) -> Iterator[Finding]:
    """Open all sources at once, as a live run does: two may want one device, or share a bus that carries only one."""
    from edge_avsc.sources import open_live
    from edge_avsc.survey import Survey

    surveys = []
    with contextlib.ExitStack() as opened:
        for name, stream in config.streams.items():
            try:
                survey = Survey(name, stream, clock=clock, open_source=open_source or open_live)
            except EdgeAvscError as error:
                yield Finding.failure(name, error)
            else:
                surveys.append(opened.enter_context(survey))
        while not all(survey.done(seconds) for survey in surveys):
            for survey in surveys:
                survey.step()
    for survey in surveys:
        yield from stream_findings(survey)


def _disk(config: AppConfig) -> Iterator[Finding]:
    from edge_avsc.sinks.jsonl import JsonlSink

    jsonl = config.sinks.jsonl
    if jsonl is None or jsonl.path == "-":
        return
    path, what = Path(jsonl.path), "JSON lines"
    is_new = not path.exists()
    if not is_new and not path.is_file():
        yield Finding(what, f"{path} is no ordinary file: its space is not known")
        return
    try:
        # Only opening shows whether it may be written and holds lines of ours.
        with JsonlSink(path, append=True, timed=False):
            pass
    except EdgeAvscError as error:
        yield Finding.failure(what, error)
        return
    if is_new:
        path.unlink()
    free = shutil.disk_usage(path.parent).free
    days = free / (LINE_BYTES * len(config.streams) * 86_400 / config.hop_s)
    finding = f"{path}, {free / 1e9:.1f} GB free, which lasts for {days:.0f} days"
    yield Finding(what, finding, "Free some space, or let logrotate shorten the file." if days < DAYS else "")
