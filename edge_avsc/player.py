"""Plays recordings through the pipeline: no threads, as fast as possible or paced."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from edge_avsc.clock import ReplayClock
from edge_avsc.config import SmoothingConfig, SourceConfig, StreamConfig
from edge_avsc.errors import ConfigError
from edge_avsc.health import Health
from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import Output, ScenePipeline
from edge_avsc.sources.media import MediaSource
from edge_avsc.sources.synthetic import SyntheticSource
from edge_avsc.stream import StreamSettings
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, Latency, Role, SceneEstimate, StreamEvent
from edge_avsc.video_track import WantedFrames

Source: TypeAlias = MediaSource | SyntheticSource


class Player:
    """Plays recordings through one pipeline; *clock* is the recording's own when the replay is paced."""

    def __init__(
        self,
        model: SceneModel,
        hop_ns: int,
        *,
        speed: float | None = None,
        smoothing: SmoothingConfig | None = None,
        block_samples: int | None = None,
        health: Health | None = None,
    ) -> None:

        if speed is not None and not 0.01 <= speed <= 1000.0:
            raise ConfigError(f"The speed is {speed:g}; it must be 'max' or a number from 0.01 to 1000.")
        if block_samples is not None and block_samples < 1:
            raise ConfigError(f"block_samples is {block_samples}; it must be at least 1.")
        self.health = health or Health()
        self.clock: ReplayClock | None = None
        self._model = model
        self._hop_ns = hop_ns
        self._speed = speed
        self._smoothing = smoothing
        self._block_samples = block_samples

    def play(self, name: str, stream: StreamConfig) -> Iterator[Output]:
        """Yield all that is to be said of one recording, in order."""

        if self._model.backend.fallback:
            yield StreamEvent(name, "model", "fallback", self._model.backend.fallback, 0)
        opened = self._open(stream)
        self.clock = ReplayClock(self._speed) if self._speed else None
        pipeline = ScenePipeline(
            self._model, hop_ns=self._hop_ns, smoothing=self._smoothing, clock=self.clock, health=self.health
        )
        roles = frozenset(role for source, _ in opened for role in source.roles)
        pipeline.open(name, StreamSettings(roles, epoch_ns=0, recorded=True))
        try:
            items = (_earlier(source.items(), latency_ns) for source, latency_ns in opened)
            for item in heapq.merge(*items, key=_order):
                if self.clock:
                    self.clock.wait_until(_order(item))
                now_ns = self.clock.now_ns() if self.clock else _order(item)
                for output in pipeline.process((Arrival(name, item, now_ns),), now_ns):
                    yield self._in_real_time(output)
        finally:
            for source, _ in opened:
                source.close()

    def _open(self, stream: StreamConfig) -> list[tuple[Source, int]]:
        """Open a stream's sources, each with its latency; all of them share one set of wanted frames."""

        parts: list[tuple[frozenset[Role], SourceConfig | None]] = [
            (frozenset(("audio", "video")), stream.media),
            (frozenset(("audio",)), stream.audio),
            (frozenset(("video",)), stream.video),
        ]
        opened: list[tuple[Source, int]] = []
        for roles, source in parts:
            if source is not None:
                latency_ns = round(source.latency_ms * NS_PER_MS)
                opened.append((self._open_source(source.uri, roles, latency_ns), latency_ns))
        return opened

    def _open_source(self, uri: str, roles: frozenset[Role], latency_ns: int) -> Source:

        wanted = WantedFrames(0, self._model.bundle.image.frames_per_s)
        picture_px = self._model.bundle.image.size_px

        def wants(time_ns: int) -> bool:
            return wanted.wants(time_ns - latency_ns)

        if uri.startswith("test:"):
            return SyntheticSource(
                uri, roles=roles, wants=wants, picture_px=picture_px, block_samples=self._block_samples
            )

        return MediaSource(
            recording_path(uri), roles=roles, wants=wants, picture_px=picture_px, block_samples=self._block_samples
        )

    def _in_real_time(self, output: Output) -> Output:
        """Turn latencies of recording time into those of real time."""

        if not isinstance(output, SceneEstimate) or output.latency is None or self._speed in (None, 1.0):
            return output
        stages = dataclasses.asdict(output.latency)
        real = {stage: None if ms is None else ms / self._speed for stage, ms in stages.items()}
        return dataclasses.replace(output, latency=Latency(**real))


def recording_path(uri: str) -> str:
    """Return the path that a plain path or a ``file://`` URI names; ConfigError for what is no recording."""

    if uri.startswith("file://"):
        return unquote(urlsplit(uri).path)
    if "://" in uri or uri == "default":
        raise ConfigError(f"'{uri}' is no recording, so it cannot be replayed; name a file, or test://demo.")
    return uri


def _earlier(items: Iterator[Item], latency_ns: int) -> Iterator[Item]:
    """Take a source's latency off the times of its items."""
    if latency_ns == 0:
        return items
    return (dataclasses.replace(item, time_ns=item.time_ns - latency_ns) for item in items)


def _order(item: Item) -> int:
    """Return when an item would have been there: a chunk at its end, all else at its time."""

    if isinstance(item, AudioChunk):
        return item.time_ns + len(item.samples) * NS_PER_S // item.rate_hz
    return item.time_ns
