"""The one thread boundary on the way in: bounded, and it counts what it must refuse."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from edge_avsc.clock import Clock
from edge_avsc.health import Health
from edge_avsc.types import AudioChunk, Item, VideoFrame


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item of a stream, and when it entered the inbox."""

    stream: str
    item: Item
    arrived_ns: int


class Inbox:
    """Items of all streams on their way to the pipeline.

    Full, it drops the oldest sound and pictures, which are worth least, and counts them (``audio_dropped_samples``,
    ``video_dropped_frames``); news of a source (ended, event) is never dropped.
    """

    def __init__(self, capacity: int, clock: Clock, health: Health) -> None:
        self._capacity = capacity
        self._clock = clock
        self._health = health
        self._arrivals: deque[Arrival] = deque()
        self._ready = threading.Condition()

    def put(self, stream: str, item: Item) -> None:
        """Append *item*, stamped with the time now. Any thread may call it; it never waits for the reader."""
        with self._ready:
            self._arrivals.append(Arrival(stream, item, self._clock.now_ns()))
            if len(self._arrivals) > self._capacity:
                self._drop_oldest()
            self._ready.notify()

    def take(self, timeout_s: float = 0.0) -> list[Arrival]:
        """Return all that has arrived, oldest first; wait up to *timeout_s* for the first."""
        with self._ready:
            if not self._arrivals and timeout_s > 0:
                self._ready.wait(timeout_s)
            taken = list(self._arrivals)
            self._arrivals.clear()
            return taken

    def _drop_oldest(self) -> None:
        for position, arrival in enumerate(self._arrivals):
            if isinstance(arrival.item, AudioChunk):
                self._health.count(arrival.stream, "audio_dropped_samples", len(arrival.item.samples))
            elif isinstance(arrival.item, VideoFrame):
                self._health.count(arrival.stream, "video_dropped_frames")
            else:
                continue
            del self._arrivals[position]
            return
