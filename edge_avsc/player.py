"""Plays recordings through the pipeline: no threads, as fast as possible or paced."""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
from collections.abc import Iterator

from edge_avsc.clock import ReplayClock, UtcAnchor
from edge_avsc.config import SmoothingConfig, StreamConfig
from edge_avsc.errors import ConfigError
from edge_avsc.health import Health
from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import OnWindow, Output, ScenePipeline
from edge_avsc.sources import Recording, open_recording, parts
from edge_avsc.stream import StreamSettings
from edge_avsc.types import Item, Latency, Role, SceneEstimate, StreamEvent, available_ns
from edge_avsc.video_track import WantedFrames

BLOCK_SAMPLES = 16384
"""Decoders give smaller blocks; when nobody waits for them, fewer and larger ones cost less: what columns are computed
with leaves the processor's cache while pictures are decoded."""


class Player:
    """Plays recordings, each through a pipeline of its own; *speed* None is as fast as possible.

    on_window: is shown what each window is judged by (see :class:`edge_avsc.pipeline.ScenePipeline`).
    """

    def __init__(
        self,
        model: SceneModel,
        hop_ns: int,
        *,
        speed: float | None = None,
        smoothing: SmoothingConfig | None = None,
        block_samples: int | None = None,
        health: Health | None = None,
        on_window: OnWindow | None = None,
    ) -> None:
        if speed is not None and not 0.01 <= speed <= 1000.0:
            raise ConfigError(f"The speed is {speed:g}; it must be 'max' or a number from 0.01 to 1000.")
        if block_samples is not None and block_samples < 1:
            raise ConfigError(f"block_samples is {block_samples}; it must be at least 1.")
        self.health = health or Health()
        self.paced = speed is not None
        self._model = model
        self._hop_ns = hop_ns
        self._speed = speed
        self._on_window = on_window
        self._smoothing = smoothing
        self._block_samples = block_samples or (None if self.paced else BLOCK_SAMPLES)
        self._anchor: UtcAnchor | None = None

    def utc(self, time_ns: int) -> str:
        """Return, in a paced replay, when the recording time *time_ns* was played, in UTC and ISO 8601."""
        if self._anchor is None:
            raise ValueError("a replay as fast as possible has no times")
        return self._anchor.iso(time_ns)

    def play(self, name: str, stream: StreamConfig) -> Iterator[Output]:
        """Yield all that is to be said of one recording, in order. Raises ConfigError when it cannot be read."""
        with contextlib.ExitStack() as opened:
            sources = [
                (opened.enter_context(contextlib.closing(self._open(source.uri, roles, latency_ns))), latency_ns)
                for source, roles, latency_ns in parts(stream)
            ]
            clock = ReplayClock(self._speed) if self._speed is not None else None
            self._anchor = UtcAnchor.now(clock, self._speed or 1.0) if clock else None
            pipeline = ScenePipeline(
                self._model,
                hop_ns=self._hop_ns,
                smoothing=self._smoothing,
                clock=clock,
                health=self.health,
                on_window=self._on_window,
            )
            roles = frozenset(role for source, _ in sources for role in source.roles)
            pipeline.open(name, StreamSettings(roles, epoch_ns=0, recorded=True))
            if self._model.fallback:
                yield StreamEvent(name, "model", "fallback", self._model.fallback, 0)
            items = (_earlier(source.items(), latency_ns) for source, latency_ns in sources)
            for item in heapq.merge(*items, key=available_ns):
                if clock:
                    clock.wait_until(available_ns(item))
                now_ns = clock.now_ns() if clock else available_ns(item)
                for output in pipeline.process((Arrival(name, item, now_ns),), now_ns):
                    yield self._in_real_time(output)

    def _open(self, uri: str, roles: frozenset[Role], latency_ns: int) -> Recording:
        image = self._model.bundle.image
        wanted = WantedFrames(0, image.frames_per_s)
        # Twice the size leaves the last step, the mean over areas, to the function that training uses too.
        return open_recording(
            uri,
            roles,
            wants=lambda time_ns: wanted.wants(time_ns - latency_ns),
            picture_px=2 * image.size_px,
            block_samples=self._block_samples,
            needless=lambda after_ns, until_ns: not wanted.any_in(after_ns - latency_ns, until_ns - latency_ns),
        )

    def _in_real_time(self, output: Output) -> Output:
        """Turn latencies of recording time into those of real time."""
        if not isinstance(output, SceneEstimate) or output.latency is None or self._speed in (None, 1.0):
            return output
        stages = dataclasses.asdict(output.latency)
        real = {stage: None if ms is None else ms / self._speed for stage, ms in stages.items()}
        return dataclasses.replace(output, latency=Latency(**real))


def _earlier(items: Iterator[Item], latency_ns: int) -> Iterator[Item]:
    """Take a source's latency off the times of its items."""
    if latency_ns == 0:
        return items
    return (dataclasses.replace(item, time_ns=item.time_ns - latency_ns) for item in items)
