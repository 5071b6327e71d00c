"""The command line. Verbs import what they need, so that ``--help`` starts in a tenth of a second."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge_avsc import __version__
from edge_avsc.errors import ConfigError, EdgeAvscError

if TYPE_CHECKING:
    from edge_avsc.config import AppConfig, StreamConfig
    from edge_avsc.health import Health
    from edge_avsc.pipeline import Output
    from edge_avsc.player import Player
    from edge_avsc.sinks.base import Sink
    from edge_avsc.sinks.console import LiveConsole
    from edge_avsc.sinks.plain import PlainConsole

EXIT_CODES = "exit codes: 0 done, 2 bad usage, input or configuration, 3 device, 4 model, 1 anything else"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr, a traceback with --debug."""
    # One thread is the default everywhere; numpy's libraries read this when they are imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    args = _parser().parse_args(argv)
    verb = {"replay": _replay, "run": _run, "devices": _devices, "schema": _schema, "model": _model}[args.verb]
    try:
        return verb(args)
    except KeyboardInterrupt:
        if args.debug:
            raise
        print("edge-avsc: interrupted.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone, as head does: nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EdgeAvscError as error:
        if args.debug:
            raise
        _complain(error)
        return error.exit_code
    except Exception as error:
        if args.debug:
            raise
        _complain(f"{type(error).__name__}: {error}; this is a fault of edge-avsc: please report what --debug prints.")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-avsc",
        description="What kind of place is this? Live audio-visual scene labels from sound and pictures.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"edge-avsc {__version__}")
    parser.set_defaults(debug=False)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_replay(verbs, common)
    live = "label what the machine hears and sees, until it is stopped"
    run = verbs.add_parser("run", parents=[common], help=live, description=live.capitalize() + ".", epilog=EXIT_CODES)
    run.add_argument("--config", metavar="YAML", help="a configuration (default: default microphone and first camera)")
    devices = "list microphones and cameras, each with the URI to paste"
    verbs.add_parser("devices", parents=[common], help=devices, description=devices.capitalize() + ".")
    schema = "print the JSON schema of the configuration"
    verbs.add_parser("schema", parents=[common], help=schema, description=schema.capitalize() + ".")
    about = "describe a bundle, or check that it computes what it should"
    model = verbs.add_parser("model", parents=[common], help=about, description=about.capitalize() + ".")
    model.add_argument("action", choices=["info", "verify"], help="info: what it is; verify: score its golden inputs")
    model.add_argument("model", nargs="?", default="avsc-lite", metavar="DIR", help="a bundle (default: avsc-lite)")
    return parser


def _add_replay(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    replay = verbs.add_parser(
        "replay",
        parents=[common],
        help="label recordings, or the built-in demonstration",
        description="Label recordings. Without FILE the built-in demonstration, test://demo, is played.",
        epilog=EXIT_CODES,
    )
    replay.add_argument(
        "files", nargs="*", type=_name, metavar="FILE", help="a video or sound file; several play one by one"
    )
    replay.add_argument(
        "--audio", type=_name, metavar="FILE", help="the sound of one recording, apart from its picture"
    )
    replay.add_argument(
        "--video", type=_name, metavar="FILE", help="the picture of one recording, apart from its sound"
    )
    replay.add_argument("--config", metavar="YAML", help="a configuration; options given here come before it")
    replay.add_argument("--model", metavar="DIR", help="a bundle's folder or shipped name (default: avsc-lite)")
    replay.add_argument("--hop-s", type=float, metavar="S", help="seconds from window to window (default: 0.5)")
    replay.add_argument("--speed", type=_speed, metavar="max|FLOAT", help="1 is as it was recorded (default: max)")
    replay.add_argument(
        "--jsonl",
        type=_name,
        metavar="PATH|-",
        help="write a JSON line for each estimate; - is stdout, and nothing else",
    )


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _speed(text: str) -> float | None:
    try:
        return None if text == "max" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither 'max' nor a number") from None


def _replay(args: argparse.Namespace) -> int:
    from edge_avsc.config import hop_ns
    from edge_avsc.model import SceneModel
    from edge_avsc.player import Player

    config = _replay_config(args)
    model = SceneModel.load(config.model, provider=config.provider)
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
                _complain(error)
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
        _complain(f"{name} is shorter than a window of 1 s, so there is nothing to label.")


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
    from edge_avsc.model import SceneModel

    config = _live_config(args.config)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    clock = MonotonicClock()
    model = SceneModel.load(config.model, provider=config.provider)
    monitor = Monitor(config, model, clock=clock, stop=stop)
    with contextlib.ExitStack() as opened:
        sinks, console = _open_sinks(config, opened, UtcAnchor.now(clock).iso, monitor.health, append=True)
        for output in monitor.outputs():
            _send(output, sinks)
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


def _schema(args: argparse.Namespace) -> int:
    from edge_avsc.config import config_schema

    print(json.dumps(config_schema(), indent=2))
    return 0


def _model(args: argparse.Namespace) -> int:
    from edge_avsc.golden import describe, verify

    lines = describe(args.model) if args.action == "info" else verify(args.model)
    for line in lines:
        print(line)
    return 0


def _complain(what: EdgeAvscError | str) -> None:
    print(f"edge-avsc: {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
