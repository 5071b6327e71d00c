"""Live streams: a thread for each source fills the inbox; this thread runs the pipeline and waits for no source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from edge_avsc.clock import Clock
from edge_avsc.config import AppConfig, StreamConfig, hop_ns
from edge_avsc.errors import DeviceError
from edge_avsc.health import Health
from edge_avsc.inbox import Arrival, Inbox
from edge_avsc.machine import MachineWatch
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import Output, ScenePipeline
from edge_avsc.relief import Relief
from edge_avsc.source_thread import Epoch, SharedWanted, SourceThread
from edge_avsc.sources import LiveSource, is_remote, open_live, parts
from edge_avsc.stream import StreamSettings
from edge_avsc.succession import Successor
from edge_avsc.supervision import State, Supervision
from edge_avsc.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioChunk,
    Item,
    Role,
    SceneEstimate,
    SourceEnded,
    SourceEvent,
    StreamEvent,
)

INBOX_ITEMS = 4096
STEP_S = 0.02
JOIN_NS = NS_PER_S // 2
"""How long all threads together may take to end; a driver may hang."""


class Monitor:
    """All live streams of a configuration, until *stop* is set or every source has ended.

    successor: a model that takes over when it is ready. machine: looks at temperature and throttling.
    open_source: see :func:`edge_avsc.sources.open_live`.
    beat: is called at each turn of the loop, which shows that it lives even while nothing comes.
    Raises DeviceError when at the start not one source can be opened and none of them is far away, ModelError when the
    successor cannot be had; a source that is lost later comes back by itself, with an event each way.
    """

    def __init__(
        self,
        config: AppConfig,
        model: SceneModel,
        *,
        clock: Clock,
        stop: threading.Event,
        successor: Successor | None = None,
        machine: MachineWatch | None = None,
        open_source: Callable[..., LiveSource] = open_live,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.health = Health()
        self._beat = beat
        self._clock = clock
        self._stop = stop
        self._inbox = Inbox(INBOX_ITEMS, clock, self.health)
        self._relief = Relief()
        self._fallback = model.fallback
        self._max_lateness_ns = round(config.max_lateness_ms * NS_PER_MS)
        self._hop_ns = hop_ns(config.hop_s)
        self._pipeline = ScenePipeline(
            model,
            hop_ns=self._hop_ns,
            max_lateness_ns=self._max_lateness_ns,
            smoothing=config.smoothing,
            clock=clock,
            health=self.health,
        )
        self._streams = {
            name: _LiveStream(name, stream, model, self._inbox, clock, stop, open_source)
            for name, stream in config.streams.items()
        }
        self._delivered = False
        self._successor = successor
        self._machine = machine or MachineWatch()

    def outputs(self) -> Iterator[Output]:
        """Yield estimates and events as they come."""
        if self._fallback:
            yield from self._tell("fallback", self._fallback)
        if self._successor:
            yield from self._tell("building", "The model is made ready for its device; the CPU serves until then.")
            self._successor.start(self._stop)
        for stream in self._streams.values():
            stream.start()
        try:
            while not self._stop.is_set():
                self._beat()
                yield from self._succeed()
                yield from self._look_at_machine()
                alive = any(stream.alive for stream in self._streams.values())
                arrivals = self._inbox.take(STEP_S)
                for output in self._step(arrivals):
                    yield output
                    if self._stop.is_set():
                        return
                if not alive and not arrivals:
                    break
        finally:
            self._stop.set()
            by_ns = self._clock.now_ns() + JOIN_NS
            for stream in self._streams.values():
                stream.join(by_ns)
            if self._successor:
                self._successor.join(max(0, by_ns - self._clock.now_ns()) / NS_PER_S)

    def _tell(self, event: str, detail: str) -> Iterator[Output]:
        for name in self._streams:
            yield StreamEvent(name, "model", event, detail, self._clock.now_ns())

    def _look_at_machine(self) -> Iterator[Output]:
        for event, detail in self._machine.check(self._clock.now_ns()):
            yield from self._tell(event, detail)
        self.health.machine = self._machine.machine

    def _succeed(self) -> Iterator[Output]:
        """Let the model that was waited for take over, between two windows."""
        if self._successor is None:
            return
        for sentence in self._successor.said():
            yield from self._tell("building", sentence)
        model = self._successor.take()
        if model is not None:
            self._successor = None
            self._pipeline.take_over(model)
            if model.fallback:
                yield from self._tell("fallback", model.fallback)
            yield from self._tell("swapped", f"{model.backend.provider} serves from now on.")

    def _step(self, arrivals: list[Arrival]) -> Iterator[Output]:
        now_ns = self._clock.now_ns()
        known: list[Arrival] = []
        for arrival in arrivals:
            stream = self._streams[arrival.stream]
            self._delivered = self._delivered or not isinstance(arrival.item, SourceEvent)
            for item in stream.take_in(arrival.item, arrival.arrived_ns):
                yield from self._forward(stream, Arrival(arrival.stream, item, arrival.arrived_ns), known)
        for stream in self._streams.values():
            stream.raise_failure()
            for item in stream.check(now_ns):
                yield from self._forward(stream, Arrival(stream.name, item, now_ns), known)
        for output in self._pipeline.process(known, now_ns):
            yield output
            if isinstance(output, SceneEstimate):
                yield from self._relieve(output)
        self._give_up_if_nothing_opens()

    def _forward(self, stream: _LiveStream, arrival: Arrival, known: list[Arrival]) -> Iterator[Output]:
        """Pass an item to the pipeline, which knows a stream from its first item on; say events of before at once."""
        if stream.epoch.time_ns is not None and not stream.opened:
            self._pipeline.open(stream.name, StreamSettings(stream.roles, stream.epoch.time_ns, recorded=False))
            self._pipeline.relieve(self._relief.level)
            stream.opened = True
            known.extend(stream.missing.values())
        if stream.opened:
            known.append(arrival)
        elif isinstance(arrival.item, SourceEnded):
            stream.missing[arrival.item.role] = arrival
        elif isinstance(arrival.item, SourceEvent):
            event = arrival.item
            yield StreamEvent(stream.name, event.source, event.event, event.detail, event.time_ns)

    def _relieve(self, estimate: SceneEstimate) -> Iterator[Output]:
        now_ns = self._clock.now_ns()
        late_ns = now_ns - estimate.time_ns
        if estimate.latency and estimate.latency.close_to_label is not None:
            # What a device or a network held back is no fault of this machine's speed.
            late_ns = min(late_ns, round(estimate.latency.close_to_label * NS_PER_MS))
        outpaced = estimate.latency is not None and estimate.latency.inference * NS_PER_MS > self._hop_ns
        for detail in self._relief.observe(late_ns - self._max_lateness_ns, now_ns, outpaced=outpaced):
            self._pipeline.relieve(self._relief.level)
            for name in self._streams:
                self.health.count(name, "relief_steps")
                yield StreamEvent(name, "model", "relief", detail, now_ns)

    def _give_up_if_nothing_opens(self) -> None:
        if self._delivered:
            return
        streams = self._streams.values()
        if all(stream.hopeless for stream in streams):
            raise DeviceError(
                " ".join(dict.fromkeys(reason for stream in streams for reason in stream.reasons.values()))
            )


class _LiveStream:
    """A stream's threads, and what is known of each of its roles."""

    def __init__(
        self,
        name: str,
        config: StreamConfig,
        model: SceneModel,
        inbox: Inbox,
        clock: Clock,
        stop: threading.Event,
        open_source: Callable[..., LiveSource],
    ) -> None:
        self.name = name
        self._clock = clock
        self.epoch = Epoch()
        self.opened = False
        self.reasons: dict[Role, str] = {}
        self.missing: dict[Role, Arrival] = {}
        """The ends of sources that were told before the stream began."""
        self._remote = any(is_remote(source.uri) for source, _, _ in parts(config))
        self._threads: list[SourceThread] = []
        image = model.bundle.image
        for source, roles, latency_ns in parts(config):
            wanted = SharedWanted(self.epoch, image.frames_per_s, latency_ns)
            thread = SourceThread(
                f"{name} {'+'.join(sorted(roles))}",
                open_source(source.uri, roles, clock=clock, wants=wanted.wants, picture_px=2 * image.size_px),
                put=lambda item: inbox.put(name, item),
                stop=stop,
                epoch=self.epoch,
                latency_ns=latency_ns,
                now_ns=clock.now_ns,
            )
            self._threads.append(thread)
        self.roles: frozenset[Role] = frozenset(role for thread in self._threads for role in thread.roles)
        self._supervised = {role: Supervision(role, clock.now_ns()) for role in self.roles}

    @property
    def alive(self) -> bool:
        """Whether something may still come."""
        return any(thread.alive for thread in self._threads)

    @property
    def hopeless(self) -> bool:
        """Whether every source has failed, and none of them is a network stream that may yet answer."""
        return not self._remote and all(one.state is State.LOST for one in self._supervised.values())

    def start(self) -> None:
        """Begin all threads."""
        for thread in self._threads:
            thread.start()

    def join(self, by_ns: int) -> None:
        """Wait for all threads, but not beyond *by_ns*."""
        for thread in self._threads:
            thread.join(max(0, by_ns - self._clock.now_ns()) / NS_PER_S)

    def raise_failure(self) -> None:
        """Raise what a thread could not mend by trying again."""
        for thread in self._threads:
            if thread.failure:
                raise thread.failure

    def take_in(self, item: Item, arrived_ns: int) -> Iterator[Item]:
        """Yield what the pipeline is to get: the item, and what it tells of its source."""
        if isinstance(item, SourceEvent):
            yield from self._news(item, arrived_ns)
            return
        if isinstance(item, SourceEnded):
            self._supervised[item.role].ended()
        else:
            role: Role = "audio" if isinstance(item, AudioChunk) else "video"
            yield from self._supervised[role].delivered(arrived_ns)
        yield item

    def _news(self, news: SourceEvent, arrived_ns: int) -> Iterator[Item]:
        role: Role = "audio" if news.source == "audio" else "video"
        supervised = self._supervised[role]
        if news.event == "lost":
            self.reasons[role] = news.detail
            yield SourceEnded(role, arrived_ns)
            yield from supervised.failed(arrived_ns, news.detail)
        elif news.event in ("stalled", "frozen", "unusable"):
            yield SourceEnded(role, arrived_ns)
            if supervised.gone_quiet() or news.event != "stalled":
                yield news
        elif news.event != "recovered":  # the first item after all that says so itself
            yield news

    def check(self, now_ns: int) -> Iterator[Item]:
        """Yield news of sources that have gone quiet: windows wait for them no longer."""
        for role, supervised in self._supervised.items():
            was = supervised.state
            yield from supervised.check(now_ns)
            if supervised.state is not was:
                yield SourceEnded(role, now_ns)
