"""All that the pipeline keeps of one stream: its tracks, its windows, its smoother, its last measured skew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.audio_track import AudioTrack
from edge_avsc.config import SmoothingConfig
from edge_avsc.health import Health
from edge_avsc.model import SceneModel
from edge_avsc.skew import FlashBeepDetector
from edge_avsc.smoothing import Smoother
from edge_avsc.types import (
    AudioChunk,
    Item,
    Latency,
    Prediction,
    Role,
    SceneEstimate,
    SourceEnded,
    SourceEvent,
    StreamEvent,
    VideoFrame,
    Window,
)
from edge_avsc.video_track import VideoTrack
from edge_avsc.windows import WINDOW_NS, StreamWindows


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream is made of. A recording's windows wait for all of their material, whatever the time."""

    roles: frozenset[Role]
    epoch_ns: int
    recorded: bool


class Stream:
    """Takes one stream's items in, and turns predictions of its windows into estimates."""

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        model: SceneModel,
        *,
        hop_ns: int,
        max_lateness_ns: int | None,
        smoothing: SmoothingConfig,
        health: Health,
    ) -> None:
        def count(counter: str, n: int) -> None:
            health.count(name, counter, n)

        self.name = name
        self._count = count
        self.audio = AudioTrack(model.bundle.audio, model.log_mel, count) if "audio" in settings.roles else None
        self.video = VideoTrack(model.bundle.image, settings.epoch_ns, count) if "video" in settings.roles else None
        self.windows = StreamWindows(
            self.audio,
            self.video,
            epoch_ns=settings.epoch_ns,
            hop_ns=hop_ns,
            max_lateness_ns=max_lateness_ns,
            count=count,
        )
        self.waiting: list[tuple[int, NDArray[uint8]]] = []
        self._labels = model.labels
        self._skew = FlashBeepDetector()
        self._blind: set[str] = set()
        self._told_damage = False
        self._smoother = Smoother(model.labels, smoothing, none_threshold=model.bundle.unsure.threshold)

    def take_in(self, item: Item, arrived_ns: int) -> Iterator[StreamEvent]:
        """Put an item where it belongs; an event of a source is passed on."""
        if isinstance(item, SourceEvent):
            yield StreamEvent(self.name, item.source, item.event, item.detail, item.time_ns)
            return
        if isinstance(item, AudioChunk) and self.audio:
            self.audio.add(item, arrived_ns)
        elif isinstance(item, VideoFrame) and self.video:
            image = self.video.add(item)
            if image is not None:
                self.waiting.append((item.time_ns, image))
            if item.luma is not None:
                self._skew.frame(item.time_ns, item.luma)
        elif isinstance(item, SourceEnded) and item.role == "audio" and self.audio:
            self.audio.end(arrived_ns)
        self.windows.note(item)

    def take_waiting(self) -> list[tuple[int, NDArray[uint8]]]:
        """Return the waiting frames that the next window needs; let go of those whose windows were skipped.

        Under the last step of relief no window that has sound waits for pictures: they are for the next one.
        """
        end_ns = self.windows.next_end_ns
        kept = [frame for frame in self.waiting if frame[0] >= end_ns - WINDOW_NS]
        self._count("video_skipped_frames", len(self.waiting) - len(kept))
        urgent = not (self.windows.newest_only and self.windows.hears)
        needed = [frame for frame in kept if frame[0] < end_ns and urgent]
        self.waiting = kept[len(needed) :]
        return needed

    def relieve(self, level: int) -> None:
        """Leave out what a step of :class:`edge_avsc.relief.Relief` says."""
        self.windows.relief = level
        if self.video:
            self.video.every = 2 if level else 1
            self.waiting = [frame for frame in self.waiting if not self.video.skips(frame[0])]

    def tell_blindness(self, window: Window) -> Iterator[StreamEvent]:
        """Say when the sound becomes digital silence or the pictures black, and when that is over.

        Samples that are no numbers are told once, with the first window that they are missing from.
        """
        damaged_ns = self.audio.damaged_ns if self.audio else None
        if damaged_ns is not None and damaged_ns < window.end_ns and not self._told_damage:
            self._told_damage = True
            detail = "The sound has samples that are no numbers, or beyond all bounds; they are left out."
            yield StreamEvent(self.name, "audio", "damaged", detail, window.end_ns)
        states = (
            (
                "audio",
                window.silent,
                window.audio_coverage,
                "silent",
                "The sound is digital silence: it is not judged.",
            ),
            ("video", window.black, window.video_coverage, "black", "The pictures are black: they are not judged."),
        )
        for source, blind, coverage, event, detail in states:
            if blind and coverage == 0.0 and source not in self._blind:
                self._blind.add(source)
                yield StreamEvent(self.name, source, event, detail, window.end_ns)
            elif not blind and coverage > 0.0 and source in self._blind:
                self._blind.remove(source)
                yield StreamEvent(self.name, source, "recovered", f"The {source} is back.", window.end_ns)

    def estimate(self, window: Window, prediction: Prediction | None, latency: Latency | None) -> SceneEstimate:
        """Smooth a window's prediction into the running estimate."""
        if self.audio and self.video:
            self._skew.listen(self.audio, window.end_ns)
        smoothed = self._smoother.update(prediction, window.end_ns)
        probabilities = dict(zip(self._labels, smoothed.probabilities.tolist(), strict=True))
        return SceneEstimate(
            stream=self.name,
            index=window.index,
            start_ns=window.start_ns - self.windows.epoch_ns,
            end_ns=window.end_ns - self.windows.epoch_ns,
            time_ns=window.end_ns,
            scene_label=smoothed.scene_label,
            confidence=max(probabilities.values()),
            probabilities=probabilities,
            window_probabilities=dict(zip(self._labels, prediction.probabilities, strict=True)) if prediction else {},
            modality=window.modality,
            changed=smoothed.changed,
            audio_coverage=window.audio_coverage,
            video_coverage=window.video_coverage,
            av_skew_ms=self._skew.skew_ms,
            latency=latency,
        )
