"""One thread for one live source: opens it, lets it deliver, and opens it again when it was lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

from edge_avsc.errors import DeviceError
from edge_avsc.sources import LiveSource
from edge_avsc.supervision import BackOff
from edge_avsc.types import Item, SourceEnded, SourceEvent
from edge_avsc.video_track import WantedFrames


class Epoch:
    """When a stream began: the first item of the first of its sources that delivers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._time_ns: int | None = None

    @property
    def time_ns(self) -> int | None:
        """The epoch; None while nothing has been delivered."""
        return self._time_ns

    def begin(self, time_ns: int) -> int:
        """Return the epoch, which is *time_ns* for the first who asks."""
        with self._lock:
            if self._time_ns is None:
                self._time_ns = time_ns
            return self._time_ns


class SharedWanted:
    """Tells one source's thread which frames are wanted, by the epoch that all sources of a stream share."""

    def __init__(self, epoch: Epoch, frames_per_s: int, latency_ns: int) -> None:
        self._epoch = epoch
        self._per_s = frames_per_s
        self._latency_ns = latency_ns
        self._wanted: WantedFrames | None = None

    def wants(self, time_ns: int) -> bool:
        """Tell whether the frame stamped *time_ns* is wanted."""
        captured_ns = time_ns - self._latency_ns
        if self._wanted is None:
            self._wanted = WantedFrames(self._epoch.begin(captured_ns), self._per_s)
        return self._wanted.wants(captured_ns)


class SourceThread:
    """Runs one source until it ends or *stop* is set, trying again with back-off when it was lost.

    put: takes the items, with the source's latency taken off their times, and the news: SourceEvent "lost" for each
    role when the source failed, SourceEnded when it has no more. now_ns: tells the time.
    """

    def __init__(
        self,
        name: str,
        source: LiveSource,
        *,
        put: Callable[[Item], None],
        stop: threading.Event,
        epoch: Epoch,
        latency_ns: int,
        now_ns: Callable[[], int],
    ) -> None:
        self.roles = source.roles
        self.failure: Exception | None = None
        """What went wrong in a way that no reconnection mends; the main thread raises it."""
        self._source = source
        self._deliver = put
        self._stop = stop
        self._epoch = epoch
        self._latency_ns = latency_ns
        self._now_ns = now_ns
        self._back_off = BackOff()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it still may deliver."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, but not for ever: a driver may hang."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._source.run(self._put, self._stop)
                    break
                except DeviceError as error:
                    self._tell_loss(str(error))
                self._stop.wait(self._back_off.failed(random.random()))
            for role in self.roles:
                self._deliver(SourceEnded(role, self._now_ns()))
        except Exception as error:
            self.failure = error

    def _put(self, item: Item) -> None:
        if self._latency_ns:
            item = replace(item, time_ns=item.time_ns - self._latency_ns)
        if not isinstance(item, SourceEvent):
            self._back_off.succeeded()
            self._epoch.begin(item.time_ns)
        self._deliver(item)

    def _tell_loss(self, reason: str) -> None:
        for role in self.roles:
            self._deliver(SourceEvent(role, "lost", reason, self._now_ns()))
