"""What the consoles remember of each stream, and what they say of it when all is over."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

from edge_avsc.sinks.base import visible
from edge_avsc.types import UNSURE, Modality, SceneEstimate, StreamEvent

KEPT_SEGMENTS = 20
KEPT_EVENTS = 2


@dataclass(frozen=True, slots=True)
class StreamNow:
    """A stream as it is now; replaced as a whole, so that a thread that draws it never sees half of a change.

    since_s: end of the first window with the running label, in seconds after the epoch.
    states: the last event of each source. events: the last events as sentences, oldest first.
    """

    estimate: SceneEstimate | None = None
    since_s: float = 0.0
    states: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()


class Board:
    """All streams in order of their appearance.

    counters: gives a stream's counters by name, as :meth:`edge_avsc.health.Health.counters` does.
    """

    def __init__(self, counters: Callable[[str], Mapping[str, int]] | None = None) -> None:
        self._counters = counters
        self._now: dict[str, StreamNow] = {}
        self._past: dict[str, _Past] = {}

    def add(self, estimate: SceneEstimate) -> None:
        """Take in the next estimate of a stream."""
        now = self._now.get(estimate.stream, StreamNow())
        since_s = estimate.end_s if estimate.changed or now.estimate is None else now.since_s
        self._past.setdefault(estimate.stream, _Past()).add(estimate)
        self._now[estimate.stream] = replace(now, estimate=estimate, since_s=since_s)

    def add_event(self, event: StreamEvent) -> None:
        """Take in the next event of a stream."""
        now = self._now.get(event.stream, StreamNow())
        told = (*now.events, event_text(event))
        self._past.setdefault(event.stream, _Past()).events[visible(f"{event.source} {event.event}")] += 1
        states = {**now.states, event.source: event.event}
        self._now[event.stream] = replace(now, states=states, events=told[-KEPT_EVENTS:])

    def streams(self) -> list[tuple[str, StreamNow]]:
        """Return the streams by name, as they are now."""
        return list(self._now.items())

    def lost(self, stream: str) -> str:
        """Return what was lost, late or left out on purpose as one phrase; empty where nothing was."""
        counters = self._counters(stream) if self._counters else {}
        scored = {f"windows_{modality}" for modality in get_args(Modality)}
        losses = {name.replace("_", " "): n for name, n in counters.items() if name not in scored}
        return ", ".join(f"{n} {name}" for name, n in losses.items() if n)

    def summary_lines(self) -> Iterator[str]:
        """Yield a short summary of each stream as lines of plain text."""
        for stream, past in self._past.items():
            yield from past.lines(stream)
            if lost := self.lost(stream):
                yield f"  lost or left out: {lost}"


def event_text(event: StreamEvent) -> str:
    """Return an event as one sentence, safe to print."""
    return visible(f"{event.source} {event.event}: {event.detail}")


@dataclass(slots=True)
class _Segment:
    """A stretch of one label; it begins where the one before it ended."""

    scene_label: str
    start_s: float
    end_s: float
    confidence_sum: float = 0.0
    windows: int = 0


class _Past:
    """Adds up one stream; only the last segments are kept, so that a live run may last for months."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self._windows = 0
        self._unsure = 0
        self._segment_count = 0
        self._segments: deque[_Segment] = deque(maxlen=KEPT_SEGMENTS)

    def add(self, estimate: SceneEstimate) -> None:
        self._windows += 1
        self._unsure += estimate.scene_label == UNSURE
        if not self._segments or self._segments[-1].scene_label != estimate.scene_label:
            start_s = self._segments[-1].end_s if self._segments else estimate.start_s
            self._segments.append(_Segment(estimate.scene_label, start_s, estimate.end_s))
            self._segment_count += 1
        segment = self._segments[-1]
        segment.end_s = estimate.end_s
        segment.confidence_sum += estimate.confidence
        segment.windows += 1

    def lines(self, stream: str) -> Iterator[str]:
        share = f", {100.0 * self._unsure / self._windows:.0f} % unsure" if self._unsure else ""
        yield f"{visible(stream)}: {self._windows} window{'' if self._windows == 1 else 's'}{share}"
        if earlier := self._segment_count - len(self._segments):
            yield f"  ({earlier} earlier label{'' if earlier == 1 else 's'})"
        for segment in self._segments:
            confidence = segment.confidence_sum / segment.windows
            yield (
                f"  {segment.start_s:8.2f} - {segment.end_s:8.2f} s  {segment.scene_label:17}"
                f"  mean confidence {confidence:.2f}"
            )
        if self.events:
            yield f"  events: {', '.join(f'{name} ({n} times)' if n > 1 else name for name, n in self.events.items())}"
