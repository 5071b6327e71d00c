"""What travels along the road: items in, windows, predictions and estimates out.

Times are integer nanoseconds of one monotonic clock; in a replay they count from the recording's PTS 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from numpy import float32, uint8
    from numpy.typing import NDArray

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

UNSURE = "unsure"

Role: TypeAlias = Literal["audio", "video"]
Modality: TypeAlias = Literal["av", "a", "v", "none"]


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A block of samples, as a device or a decoder delivered it.

    samples: float32 ``[n, channels]``, full scale is 1.0.
    rate_hz: samples a second.
    index: absolute index of the first sample since the source began; a jump forward is a gap.
    time_ns: when the first sample was captured.
    """

    samples: NDArray[float32]
    rate_hz: int
    index: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A picture of a video, or only the news that there was one.

    time_ns: when it was captured.
    luma: mean brightness in 0..255, or None where the source does not measure it.
    image: uint8 RGB ``[height, width, 3]``, or None where the source saw that nobody wants this frame.
    """

    time_ns: int
    luma: float | None = None
    image: NDArray[uint8] | None = None


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """A source delivers nothing more; *time_ns* is where its last sample or frame ends."""

    role: Role
    time_ns: int


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """Something about a source that a person should know: one sentence in *detail*."""

    source: str
    event: str
    detail: str
    time_ns: int


Item: TypeAlias = AudioChunk | VideoFrame | SourceEnded | SourceEvent


def available_ns(item: Item) -> int:
    """Return when an item can be there at the earliest: a chunk at its end, all else at its time."""
    if isinstance(item, AudioChunk):
        return item.time_ns + len(item.samples) * NS_PER_S // item.rate_hz
    return item.time_ns


@dataclass(frozen=True, slots=True)
class Window:
    """One second of sound and pictures, [start_ns, end_ns), ready to be scored.

    columns: normalised, log-mel as a rule, float32 ``[n_columns, column_size]``; None when the sound is missing.
    embeddings: float32 ``[n_pictures, n_features]``; None when the pictures are missing.
    audio_coverage, video_coverage: share of the window's columns and wanted pictures that say something, 0..1.
    silent, black: whether digital silence or black pictures are (part of) what is missing.
    closed_ns: when the block that completed the last column entered the inbox; None where that never came.
    image_ms: mean time that its pictures took in the image encoder; None where not measured.
    """

    index: int
    start_ns: int
    end_ns: int
    columns: NDArray[float32] | None
    embeddings: NDArray[float32] | None
    audio_coverage: float
    video_coverage: float
    silent: bool
    black: bool
    closed_ns: int | None
    image_ms: float | None

    @property
    def modality(self) -> Modality:
        """What the window can be judged by."""
        if self.columns is not None:
            return "a" if self.embeddings is None else "av"
        return "none" if self.embeddings is None else "v"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one window.

    probabilities: float64 in the bundle's label order, sums to 1.
    none_of_ours: the model's evidence, 0..1, that the place is none of its labels; what it means, the bundle says.
    """

    probabilities: tuple[float, ...]
    none_of_ours: float
    modality: Modality


@dataclass(frozen=True, slots=True)
class Latency:
    """Where the time of one window went, in milliseconds; a stage that did not run is None.

    wait: window's end to close (device and resampler). audio, fusion: encoder and head. image: mean of the window's
    pictures. close_to_label: all that came after the close.
    """

    wait: float | None
    audio: float | None
    image: float | None
    fusion: float | None
    close_to_label: float | None

    @property
    def inference(self) -> float:
        """What the window's sound, one of its pictures and their fusion took together."""
        return sum(ms or 0.0 for ms in (self.audio, self.image, self.fusion))


@dataclass(frozen=True, slots=True)
class SceneEstimate:
    """The running label after one window.

    start_ns, end_ns: the window, counted from the stream's epoch. time_ns: the window's end on the monotonic clock.
    probabilities: smoothed. window_probabilities: the model's for this window alone; empty when modality is "none".
    av_skew_ms: sound time minus picture time as last measured; None where never measured.
    latency: None when no clock measured it.
    """

    stream: str
    index: int
    start_ns: int
    end_ns: int
    time_ns: int
    scene_label: str
    confidence: float
    probabilities: Mapping[str, float]
    window_probabilities: Mapping[str, float]
    modality: Modality
    changed: bool
    audio_coverage: float
    video_coverage: float
    av_skew_ms: float | None
    latency: Latency | None

    @property
    def start_s(self) -> float:
        """Start of the window in seconds after the stream's epoch."""
        return self.start_ns / NS_PER_S

    @property
    def end_s(self) -> float:
        """End of the window in seconds after the stream's epoch."""
        return self.end_ns / NS_PER_S


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A :class:`SourceEvent` with the stream that it happened in; *source* is audio, video, model or sink."""

    stream: str
    source: str
    event: str
    detail: str
    time_ns: int
