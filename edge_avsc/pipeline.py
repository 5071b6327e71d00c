"""The whole road on one page: items in, scene estimates out. No thread, no device, no file, and no clock decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.clock import Clock
from edge_avsc.config import SmoothingConfig
from edge_avsc.features import square_picture
from edge_avsc.health import Health
from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.stream import Stream, StreamSettings
from edge_avsc.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioChunk,
    Item,
    Latency,
    SceneEstimate,
    StreamEvent,
    Window,
)
from edge_avsc.video_track import Embedded, is_black

Output: TypeAlias = SceneEstimate | StreamEvent
OnWindow: TypeAlias = Callable[[Stream, Window, NDArray[float32] | None], None]
"""Is shown each window as it is scored, with its stream and its sound embedding ``[n_features]`` (None: no sound)."""
PART_S = 0.1
"""Longer chunks are taken in parts, so that no ring overflows before its windows are read."""


class ScenePipeline:
    """Streams of items in, estimates out: the same items give the same estimates, whatever their blocks.

    hop_ns: from window to window. max_lateness_ns: how long after its end a live window waits for what is missing.
    clock: measures how long stages take, for ``health`` and the estimates' latency; it decides nothing.
    on_window: is shown what each window is judged by; it changes nothing.
    """

    def __init__(
        self,
        model: SceneModel,
        *,
        hop_ns: int,
        max_lateness_ns: int = 150 * NS_PER_MS,
        smoothing: SmoothingConfig | None = None,
        clock: Clock | None = None,
        health: Health | None = None,
        on_window: OnWindow | None = None,
    ) -> None:
        self.health = health or Health()
        self._on_window = on_window
        self._model = model
        self._hop_ns = hop_ns
        self._max_lateness_ns = max_lateness_ns
        self._smoothing = smoothing or SmoothingConfig()
        self._clock = clock
        self._streams: dict[str, Stream] = {}

    def open(self, stream: str, settings: StreamSettings) -> None:
        """Begin a stream; its items may come from now on."""
        lateness_ns = None if settings.recorded else self._max_lateness_ns
        self._streams[stream] = Stream(
            stream,
            settings,
            self._model,
            hop_ns=self._hop_ns,
            max_lateness_ns=lateness_ns,
            smoothing=self._smoothing,
            health=self.health,
        )

    def close(self, stream: str) -> None:
        """Forget a stream; its counters stay in ``health``."""
        del self._streams[stream]

    def take_over(self, model: SceneModel) -> None:
        """Score with *model* from here on: the same bundle on another backend, so that embeddings stay comparable."""
        self._model = model

    def relieve(self, level: int) -> None:
        """Leave out, in all streams, what a step of :class:`edge_avsc.relief.Relief` says; 0 is nothing."""
        for stream in self._streams.values():
            stream.relieve(level)

    def process(self, arrivals: Iterable[Arrival], now_ns: int) -> Iterator[Output]:
        """Take in *arrivals* and yield, in order, what is to be said by *now_ns*.

        Windows go first: a frame that no due window needs is embedded only when nothing else is left to do.
        """
        behind = [stream for stream in self._streams.values() if stream.windows.newest_only]
        for arrival in arrivals:
            stream = self._streams[arrival.stream]
            # What an item finds is decided by when it arrived, not by when this loop came to it.
            yield from self._score_due(stream, arrival.arrived_ns)
            for part in _parts(arrival.item):
                yield from stream.take_in(part, arrival.arrived_ns)
                yield from self._score_due(stream, arrival.arrived_ns)
        for stream in self._streams.values():
            stream.windows.keep_newest(now_ns)
            # Who has only now fallen behind is to see first what has arrived meanwhile.
            yield from self._score_due(stream, now_ns, newest=stream in behind)
        for stream in self._streams.values():
            # One batch, and then a look at what has become due meanwhile.
            batch = self._model.backend.max_batch
            self._embed(stream, stream.waiting[:batch])
            del stream.waiting[:batch]

    def _score_due(self, stream: Stream, now_ns: int, newest: bool = False) -> Iterator[Output]:
        while stream.windows.due(now_ns) and (newest or not stream.windows.newest_only):
            self._embed(stream, stream.take_waiting())
            yield from self._score(stream, stream.windows.take())

    def _embed(self, stream: Stream, frames: list[tuple[int, NDArray[uint8]]]) -> None:
        video, batch = stream.video, self._model.backend.max_batch
        if video is None:
            return
        for first in range(0, len(frames), batch):
            taken = [
                (time_ns, square_picture(image, video.front_end)) for time_ns, image in frames[first : first + batch]
            ]
            seen = [picture for _, picture in taken if not is_black(picture)]
            began_ns = self._now_ns()
            embeddings = iter(self._model.embed_pictures(np.stack(seen)) if seen else ())
            image_ms = self._timed(stream.name, "image", began_ns, len(seen))
            for time_ns, picture in taken:
                video.put(time_ns, Embedded(None if is_black(picture) else next(embeddings), image_ms))

    def _score(self, stream: Stream, window: Window) -> Iterator[Output]:
        yield from stream.tell_blindness(window)
        began_ns = self._now_ns()
        sound = None if window.columns is None else self._model.embed_sound(window.columns)
        audio_ms = self._timed(stream.name, "audio", began_ns, int(sound is not None))
        if self._on_window:
            self._on_window(stream, window, sound)
        began_ns = self._now_ns()
        prediction = None
        if window.modality != "none":
            prediction = self._model.fuse(sound, window.embeddings)
        fusion_ms = self._timed(stream.name, "fusion", began_ns, int(prediction is not None))
        self.health.count(stream.name, f"windows_{window.modality}")
        yield stream.estimate(window, prediction, self._latency(stream.name, window, audio_ms, fusion_ms))

    def _now_ns(self) -> int:
        return self._clock.now_ns() if self._clock else 0

    def _timed(self, stream: str, stage: str, began_ns: int, items: int) -> float | None:
        if self._clock is None or items == 0:
            return None
        duration_ms = (self._clock.now_ns() - began_ns) / NS_PER_MS / items
        self.health.observe(stream, stage, duration_ms)
        return duration_ms

    def _latency(self, stream: str, window: Window, audio_ms: float | None, fusion_ms: float | None) -> Latency | None:
        if self._clock is None:
            return None
        wait_ms = close_to_label_ms = None
        if window.closed_ns is not None:
            wait_ms = (window.closed_ns - window.end_ns) / NS_PER_MS
            close_to_label_ms = (self._clock.now_ns() - window.closed_ns) / NS_PER_MS
            self.health.observe(stream, "close_to_label", close_to_label_ms)
        return Latency(wait_ms, audio_ms, window.image_ms, fusion_ms, close_to_label_ms)


def _parts(item: Item) -> Iterator[Item]:
    if not isinstance(item, AudioChunk) or len(item.samples) <= PART_S * item.rate_hz:
        yield item
        return
    size = max(1, int(PART_S * item.rate_hz))
    for first in range(0, len(item.samples), size):
        time_ns = item.time_ns + first * NS_PER_S // item.rate_hz
        yield AudioChunk(item.samples[first : first + size], item.rate_hz, item.index + first, time_ns)
