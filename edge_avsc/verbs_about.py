"""Verbs that look at the machine, the model and the configuration; each imports what it needs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edge_avsc import __version__
from edge_avsc.errors import ConfigError

if TYPE_CHECKING:
    from edge_avsc.backends.base import Watch
    from edge_avsc.config import AppConfig
    from edge_avsc.types import StreamEvent


def live_config(path: str | None) -> AppConfig:
    """Return what is watched live: a configuration file, or the default microphone and the first camera."""
    from edge_avsc.config import AppConfig, SourceConfig, StreamConfig, load_config

    if path is None:
        default = StreamConfig(audio=SourceConfig(uri="default"), video=SourceConfig(uri="default"))
        return AppConfig(streams={"live": default})
    config = load_config(path)
    if not config.streams:
        raise ConfigError(f"{path} names no streams; add e.g. 'streams: {{live: {{audio: default, video: default}}}}'.")
    return config


def clock_set(moved_ns: int, streams: Iterable[str], time_ns: int) -> Iterator[StreamEvent]:
    """Yield an event for each stream that says that the machine's time was set, unless it has not moved."""
    from edge_avsc.types import NS_PER_S, StreamEvent

    if moved_ns:
        detail = f"The machine's time was set by {moved_ns / NS_PER_S:+.1f} s; times are by the new one from here on."
        yield from (StreamEvent(stream, "sink", "clock", detail, time_ns) for stream in streams)


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Show on stderr what is built meanwhile."""
    from edge_avsc.backends.base import Watch
    from edge_avsc.sinks.progress import BuildView

    with BuildView(sys.stderr) as view:
        yield Watch(progress=view.progress, say=view.say)


def devices(args: argparse.Namespace) -> int:
    """List what can be heard and seen with."""
    from edge_avsc.sources import list_devices

    for line in list_devices():
        print(line)
    return 0


def doctor(args: argparse.Namespace) -> int:
    """Look at the machine, or try everything that can run the model."""
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.doctor import examine

    config, clock, worst = live_config(args.config), MonotonicClock(), 0
    with watched() as watch:
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


def sync(args: argparse.Namespace) -> int:
    """Measure a camera's latency."""
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.sync import measure

    for line in measure(live_config(args.config), args.stream, seconds=args.seconds, clock=MonotonicClock()):
        print(line, flush=True)
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the schema of the configuration."""
    from edge_avsc.config import config_schema

    print(json.dumps(config_schema(), indent=2))
    return 0


def model(args: argparse.Namespace) -> int:
    """Describe a bundle, verify it, or build its engines."""
    from edge_avsc.building import build
    from edge_avsc.clock import MonotonicClock
    from edge_avsc.golden import describe, verify

    with watched() as watch:
        if args.action == "build":
            clock = MonotonicClock()
            lines = build(args.model, args.backend, args.target, provider=args.provider, watch=watch, clock=clock)
        else:
            lines = describe(args.model) if args.action == "info" else verify(args.model)
        for line in lines:
            print(line, flush=True)
    return 0
