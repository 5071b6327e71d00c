"""Live sources that deliver given items at once, and end: nobody need wait for a device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.clock import MonotonicClock
from edge_avsc.config import SourceConfig, StreamConfig
from edge_avsc.sources.synthetic import SyntheticSource
from edge_avsc.survey import Survey
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, Role, SourceEvent, VideoFrame

RATE_HZ = 16_000


class Played:
    """Delivers *items* and ends, or raises *error*."""

    def __init__(self, roles: Iterable[Role], items: Iterable[Item], error: Exception | None = None) -> None:
        self.roles: frozenset[Role] = frozenset(roles)
        self._items = items
        self._error = error

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        for item in self._items:
            put(item)
        if self._error:
            raise self._error


def demo(uri: str, roles: frozenset[Role], late_ms: float = 0.0) -> list[Item]:
    """The items of a ``test://demo``, whose device stamps them too late."""
    source = SyntheticSource(uri, roles=roles, wants=lambda time_ns: True, picture_px=64)
    late_ns = round(late_ms * NS_PER_MS)
    return [replace(item, time_ns=item.time_ns + late_ns) for item in source.items()]


def sound(samples: NDArray[float32], rate_hz: int = RATE_HZ, block: int = 160) -> list[Item]:
    """Samples ``[n, channels]`` in blocks, captured from 0 on."""
    return [
        AudioChunk(samples[first : first + block], rate_hz, first, first * NS_PER_S // rate_hz)
        for first in range(0, len(samples), block)
    ]


def noise(seconds: float, level: float = 0.1) -> NDArray[float32]:
    return np.random.default_rng(1).normal(0, level, (int(seconds * RATE_HZ), 1)).astype(np.float32)


def pictures(seconds: float, per_s: int = 25, value: int | None = None) -> list[Item]:
    """Pictures of one value, or of ever other ones."""
    return [
        VideoFrame(frame * NS_PER_S // per_s, 99.0, np.full((48, 64, 3), 60 + frame % 90 if value is None else value))
        for frame in range(int(seconds * per_s))
    ]


def surveyed(audio: Iterable[Item] | None = None, video: Iterable[Item] | None = None) -> Survey:
    """A finished survey of a stream 's' whose devices deliver these items."""
    given: dict[Role, Iterable[Item]] = {}
    if audio is not None:
        given["audio"] = audio
    if video is not None:
        given["video"] = video
    uris: dict[str, Any] = {role: SourceConfig(uri=f"device-{role}") for role in given}

    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, given[next(iter(roles))])

    survey = Survey("s", StreamConfig(**uris), clock=MonotonicClock(), open_source=opened)
    with survey:
        while not survey.done(1e9):
            survey.step()
    return survey


def event(source: str, kind: str, detail: str) -> SourceEvent:
    return SourceEvent(source, kind, detail, 0)
