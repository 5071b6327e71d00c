"""What the verbs of the command line do; each imports what it needs, so that ``--help`` starts at once."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edge_avsc import __version__, studies
from edge_avsc.errors import ConfigError, complain

if TYPE_CHECKING:
    from edge_avsc.backends.base import Watch
    from edge_avsc.config import AppConfig, StreamConfig
    from edge_avsc.health import Health
    from edge_avsc.pipeline import Output
    from edge_avsc.player import Player
    from edge_avsc.sinks.base import Sink
    from edge_avsc.sinks.console import LiveConsole
    from edge_avsc.sinks.plain import PlainConsole


def _replay(args: argparse.Namespace) -> int:
    from edge_avsc.config import hop_ns
    from edge_avsc.model import SceneModel
    from edge_avsc.player import Player

    config = _replay_config(args)
    with _watched() as watch:
        model = SceneModel.load(config.model, backend=config.backend, provider=config.provider, watch=watch)
    player = Player(model, hop_ns(config.hop_s), speed=args.speed, smoothing=config.smoothing)
    worst = 0
    with contextlib.ExitStack() as open_sinks:
        utc = player.utc if player.paced else None
        sinks, console = _open_sinks(config, open_sinks, utc, player.health, append=False)
        for name, stream in _recordings(args, config):
            try:
                _play(player, name, stream, sinks)
            except ConfigError as error:
                if args.debug:
                    raise
                # One broken recording must not cost the labels of the others.
                complain(error)
                worst = error.exit_code
    if console:
        console.summary()
    return worst


def _replay_config(args: argparse.Namespace) -> AppConfig:
    from edge_avsc.config import AppConfig, JsonlConfig, load_config

    config = load_config(args.config) if args.config else AppConfig()
    changes: dict[str, object] = {}
    if args.model is not None:
        changes["model"] = args.model
    if args.hop_s is not None:
        changes["hop_s"] = args.hop_s
    if args.jsonl is not None:
        changes["sinks"] = config.sinks.model_copy(update={"jsonl": JsonlConfig(path=args.jsonl)})
    return config.model_copy(update=changes)


def _recordings(args: argparse.Namespace, config: AppConfig) -> list[tuple[str, StreamConfig]]:
    from edge_avsc.replay import recordings
    from edge_avsc.sources import DEMO

    given = recordings(*args.files, audio=args.audio, video=args.video)
    return given or list(config.streams.items()) or recordings(DEMO)


def _open_sinks(
    config: AppConfig,
    opened: contextlib.ExitStack,
    utc: Callable[[int], str] | None,
    health: Health,
    *,
    append: bool,
) -> tuple[list[Sink], PlainConsole | LiveConsole | None]:
    from edge_avsc.sinks.console import make_console
    from edge_avsc.sinks.jsonl import JsonlSink

    sinks: list[Sink] = []
    jsonl = config.sinks.jsonl
    console: PlainConsole | LiveConsole | None = None
    if jsonl:
        sinks.append(opened.enter_context(JsonlSink(jsonl.path, append=append, timed=utc is not None, utc=utc)))
    # JSON lines on stdout are for a program; a view for people in the same terminal would tear them apart.
    if config.sinks.console and not (jsonl and jsonl.path == "-"):
        changes_only = config.sinks.console.changes_only
        console = make_console(sys.stdout, changes_only=changes_only, counters=health.counters)
        opened.enter_context(console)
        sinks.append(console)
    return sinks, console


def _play(player: Player, name: str, stream: StreamConfig, sinks: list[Sink]) -> None:
    estimates = 0
    for output in player.play(name, stream):
        estimates += _send(output, sinks)
    if not estimates:
        complain(f"{name} is shorter than a window of 1 s, so there is nothing to label.")


def _send(output: Output, sinks: list[Sink]) -> bool:
    """Pass an output to all sinks; return whether it was an estimate."""
    from edge_avsc.types import SceneEstimate

    for sink in sinks:
        if isinstance(output, SceneEstimate):
            sink.write(output)
        else:
            sink.event(output)
    return isinstance(output, SceneEstimate)


def _run(args: argparse.Namespace) -> int:
    import signal
    import threading

    from edge_avsc.clock import MonotonicClock, UtcAnchor
    from edge_avsc.live import Monitor
    from edge_avsc.notify import ServiceNotice
    from edge_avsc.succession import begin

    config = _live_config(args.config)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    clock = MonotonicClock()
    with _watched() as watch:
        model, successor = begin(config, watch)
    notice = ServiceNotice(clock)
    monitor = Monitor(config, model, clock=clock, stop=stop, successor=successor, beat=notice.alive)
    with contextlib.ExitStack() as opened:
        sinks, console = _open_sinks(config, opened, UtcAnchor.now(clock).iso, monitor.health, append=True)
        opened.callback(notice.stopping)
        for output in monitor.outputs():
            if _send(output, sinks):
                notice.ready()
    if console:
        console.summary()
    return 0


def _live_config(path: str | None) -> AppConfig:
    from edge_avsc.config import AppConfig, SourceConfig, StreamConfig, load_config

    if path is None:
        default = StreamConfig(audio=SourceConfig(uri="default"), video=SourceConfig(uri="default"))
        return AppConfig(streams={"live": default})
    config = load_config(path)
    if not config.streams:
        raise ConfigError(f"{path} names no streams; add e.g. 'streams: {{live: {{audio: default, video: default}}}}'.")
    return config


def _devices(args: argparse.Namespace) -> int:
    from edge_avsc.sources import list_devices

    for line in list_devices():
        print(line)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.doctor import examine

    config, clock, worst = _live_config(args.config), MonotonicClock(), 0
    with _watched() as watch:
        if args.selftest:
            from edge_avsc.selftest import selftest

            print(f"edge-avsc {__version__} self-test: paste all of it into a report of a bug")
            findings = selftest(config.model, clock=clock, watch=watch)
        else:
            findings = examine(config, seconds=args.seconds, clock=clock, watch=watch)
        for finding in findings:
            print(finding, flush=True)
            worst = max(worst, finding.exit_code)
    return worst


def _sync(args: argparse.Namespace) -> int:
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.sync import measure

    for line in measure(_live_config(args.config), args.stream, seconds=args.seconds, clock=MonotonicClock()):
        print(line, flush=True)
    return 0


def _schema(args: argparse.Namespace) -> int:
    from edge_avsc.config import config_schema

    print(json.dumps(config_schema(), indent=2))
    return 0


def _model(args: argparse.Namespace) -> int:
    from edge_avsc.building import build
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.golden import describe, verify

    with _watched() as watch:
        if args.action == "build":
            clock = MonotonicClock()
            lines = build(args.model, args.backend, args.target, provider=args.provider, watch=watch, clock=clock)
        else:
            lines = describe(args.model) if args.action == "info" else verify(args.model)
        for line in lines:
            print(line, flush=True)
    return 0


@contextlib.contextmanager
def _watched() -> Iterator[Watch]:
    """Show on stderr what is built meanwhile."""
    from edge_avsc.backends.base import Watch
    from edge_avsc.sinks.progress import BuildView

    with BuildView(sys.stderr) as view:
        yield Watch(progress=view.progress, say=view.say)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "replay": _replay,
    "run": _run,
    "devices": _devices,
    "doctor": _doctor,
    "sync": _sync,
    "schema": _schema,
    "model": _model,
    "evaluate": studies.evaluate_dataset,
    "compare": studies.compare_outputs,
    "train": studies.train_recipe,
}
"""Each takes the arguments, and returns the exit code."""
