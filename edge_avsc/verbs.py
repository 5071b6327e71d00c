"""What the verbs of the command line do; each imports what it needs, so that ``--help`` starts at once."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edge_avsc import verbs_about as about
from edge_avsc.errors import ConfigError, EdgeAvscError, without_secrets

if TYPE_CHECKING:
    from edge_avsc.config import AppConfig, StreamConfig
    from edge_avsc.evaluation.datasets import Dataset
    from edge_avsc.health import Health
    from edge_avsc.pipeline import Output
    from edge_avsc.player import Player
    from edge_avsc.sinks.base import Sink
    from edge_avsc.sinks.console import LiveConsole
    from edge_avsc.sinks.plain import PlainConsole


def complain(what: EdgeAvscError | str) -> None:
    """Say on stderr what is wrong; no password gets into a log."""
    print(f"edge-avsc: {without_secrets(str(what))}", file=sys.stderr)


def _replay(args: argparse.Namespace) -> int:
    from edge_avsc.config import hop_ns
    from edge_avsc.model import SceneModel
    from edge_avsc.player import Player

    config = _replay_config(args)
    with about.watched() as watch:
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
        # Not validated, since a file's name may be any bytes, not only text in UTF-8.
        changes["sinks"] = config.sinks.model_copy(update={"jsonl": JsonlConfig.model_construct(path=args.jsonl)})
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
    from edge_avsc.clock import MonotonicClock, WallClock
    from edge_avsc.live import Monitor
    from edge_avsc.notify import ServiceNotice
    from edge_avsc.stop_signals import StopSignals
    from edge_avsc.succession import begin

    config = about.live_config(args.config)
    signals = StopSignals()
    clock = MonotonicClock()
    with about.watched() as watch:
        model, successor = begin(config, watch)
    notice, wall = ServiceNotice(clock), WallClock(clock)
    monitor = Monitor(config, model, clock=clock, stop=signals.stop, successor=successor, beat=notice.alive)
    with contextlib.ExitStack() as opened:
        sinks, console = _open_sinks(config, opened, wall.iso, monitor.health, append=True)
        opened.callback(notice.stopping)
        for output in monitor.outputs():
            with signals.writing():
                for event in about.clock_set(wall.follow(), config.streams, output.time_ns):
                    _send(event, sinks)
                if _send(output, sinks):
                    notice.ready()
    if console:
        with signals.writing():
            console.summary()
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from pathlib import Path

    from edge_avsc.evaluation.datasets import read_dataset
    from edge_avsc.evaluation.evaluate import default_jobs, evaluate, open_systems

    dataset = read_dataset(args.dataset, args.split, train=args.train, labels_from_names=args.labels_from_names)
    print(f"{dataset.split}: {len(dataset.rows)} clips", flush=True)
    if args.check:
        from edge_avsc.bundle import read_bundle
        from edge_avsc.evaluation.flaws import check
        from edge_avsc.model import find_bundle

        labels = read_bundle(find_bundle((args.model or ["avsc-lite"])[0])).labels
        flaws = -1  # the last line only counts them
        for line in check(dataset, sys.stderr, labels):
            print(line, flush=True)
            flaws += 1
        return ConfigError.exit_code if flaws else 0
    if args.stream:
        return _evaluate_stream(args, dataset)
    if {args.hours, args.stay_s, args.seed} != {None}:
        raise ConfigError("--hours, --stay-s and --seed belong to --stream; add it, or leave them out.")
    systems = open_systems(args.model or ["avsc-lite"], args.label)
    try:
        _tell(evaluate(dataset, systems, Path(args.out), args.jobs or default_jobs()))
    except KeyboardInterrupt:
        complain(f"what was scored is kept in {args.out}; the same command goes on from there.")
        raise
    return 0


def _evaluate_stream(args: argparse.Namespace, dataset: Dataset) -> int:
    from pathlib import Path

    from edge_avsc.evaluation.evaluate_stream import evaluate_stream
    from edge_avsc.model import SceneModel

    models = args.model or ["avsc-lite"]
    if len(models) > 1:
        raise ConfigError("--stream measures one bundle at a time; give --model once.")
    if args.jobs or args.label:
        raise ConfigError("--stream plays one recording and submits nothing; leave out --jobs and --label.")
    model = SceneModel.load(models[0])
    given = {name: getattr(args, name) for name in ("hours", "stay_s", "seed") if getattr(args, name) is not None}
    _tell(evaluate_stream(dataset, model, Path(args.out), **given))
    return 0


def _compare(args: argparse.Namespace) -> int:
    from edge_avsc.evaluation.compare import compare_files

    columns = [(first, second) for first, second in args.spearman]
    compare_files(
        args.outputs,
        args.reference,
        floor=args.floor,
        table=args.table,
        spearman=columns,
        out=args.out,
        stream=sys.stdout,
    )
    return 0


def _train(args: argparse.Namespace) -> int:
    from edge_avsc.training.recipes.run import run

    try:
        _tell(run(args))
    except KeyboardInterrupt:
        complain("what was done is kept; the same command goes on from there.")
        raise
    return 0


def _tell(lines: Iterable[str]) -> None:
    """Print *lines*; whoever reads them may go, as head does: the work is done all the same."""
    for line in lines:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "replay": _replay,
    "run": _run,
    "devices": about.devices,
    "doctor": about.doctor,
    "sync": about.sync,
    "schema": about.schema,
    "model": about.model,
    "evaluate": _evaluate,
    "compare": _compare,
    "train": _train,
}
"""Each takes the arguments, and returns the exit code."""
