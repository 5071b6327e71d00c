"""What the tests of live sources share: a clock that is set by hand, and a run to the source's end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from edge_avsc.errors import DeviceError
from edge_avsc.types import AudioChunk, Item, SourceEvent, VideoFrame

START_NS = 1_000_000_000_000


class SetClock:
    """A clock that stands still unless it is set."""

    def __init__(self, time_ns: int = START_NS) -> None:
        self.time_ns = time_ns

    def now_ns(self) -> int:
        return self.time_ns


class Source(Protocol):
    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None: ...


@dataclass
class Delivered:
    items: list[Item] = field(default_factory=list)
    sentence: str = ""

    @property
    def frames(self) -> list[VideoFrame]:
        return [item for item in self.items if isinstance(item, VideoFrame)]

    @property
    def chunks(self) -> list[AudioChunk]:
        return [item for item in self.items if isinstance(item, AudioChunk)]

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(item.source, item.event) for item in self.items if isinstance(item, SourceEvent)]


def run_until_lost(source: Source) -> Delivered:
    """Run *source* until it raises DeviceError; return what came before, and the error's sentence."""
    delivered = Delivered()
    with pytest.raises(DeviceError) as raised:
        source.run(delivered.items.append, threading.Event())
    delivered.sentence = str(raised.value)
    assert delivered.sentence.endswith((".", "?"))
    assert "\n" not in delivered.sentence
    return delivered
