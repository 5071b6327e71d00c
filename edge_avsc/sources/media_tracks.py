"""One stream of a live container on its way out: decoded, placed in time, and missed when it falls quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.sources import _container
from edge_avsc.sources._envelope import LiveSamples
from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.sources._pictures import Pictures
from edge_avsc.sources._sound import as_float
from edge_avsc.sources._watched import Feed
from edge_avsc.types import NS_PER_S, AudioChunk, Role, SourceEvent

QUIET_S = {"audio": 2.0, "video": 5.0}
"""After how long without sound or pictures, while the other goes on, that is said; a key frame may be seconds away."""

# From this many planes on, PyAV cannot tell where they end.
_PLANES_READ_WRONG = 8
TRACKS: dict[Role, str] = {"audio": "sound", "video": "pictures"}


class LiveTrack:
    """One stream of a container on its way out."""

    def __init__(self, name: str, role: Role, stream: Any, feed: Feed) -> None:
        self.stream = stream
        self.newest_ns: int | None = None
        self._name = name
        self._role: Role = role
        self._feed = feed
        self._seen_ns = feed.now_ns()
        self._quiet = self._damaged = False
        # One core is one core, and threads by frame would delay the pictures.
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"

    def ns(self, ticks: int | None, time_base: Any = None) -> int | None:
        """Return *ticks* of the stream, or of *time_base*, in nanoseconds."""
        return None if ticks is None else _container.ticks_to_ns(ticks, time_base or self.stream.time_base)

    def decode(self, packet: Any, now_ns: int) -> list[Any]:
        """Return the frames that *packet* completes; that it is damaged is said once."""
        import av

        try:
            frames: list[Any] = list(packet.decode())
        except av.FFmpegError:
            frames = [None]
        whole = [frame for frame in frames if frame is not None and not frame.is_corrupt]
        if len(whole) < len(frames) and not self._damaged:
            self._damaged = True
            self._tell("damaged", f"{self._name} sends {self._what} that cannot be decoded; check the network.", now_ns)
        return whole

    def seen(self, now_ns: int) -> None:
        """Take in that something was decoded."""
        self._seen_ns = now_ns
        if self._quiet:
            self._quiet = False
            self._tell("recovered", f"{self._name} sends {self._what} again.", now_ns)

    def tell_quiet(self, now_ns: int) -> None:
        """Say, once, when nothing was decoded for too long."""
        if not self._quiet and now_ns - self._seen_ns > QUIET_S[self._role] * NS_PER_S:
            self._quiet = True
            detail = f"{self._name} sends no {self._what} any more, while the rest goes on; check the camera."
            self._tell("stalled", detail, now_ns)

    def deliver(self, frame: Any, time_ns: int) -> None:
        """Put what was decoded, as captured at *time_ns*."""
        raise NotImplementedError

    @property
    def _what(self) -> str:
        return TRACKS[self._role]

    def _tell(self, event: str, detail: str, now_ns: int) -> None:
        self._feed.put(SourceEvent(self._role, event, detail, now_ns))


class LiveSound(LiveTrack):
    """Decoded blocks of samples become chunks."""

    def __init__(self, name: str, role: Role, stream: Any, feed: Feed) -> None:
        super().__init__(name, role, stream, feed)
        self._placed = LiveSamples()

    def deliver(self, frame: Any, time_ns: int) -> None:
        """Put a chunk."""
        samples = _samples(frame)
        index, start_ns = self._placed.place(time_ns, len(samples), frame.sample_rate)
        self._feed.put(AudioChunk(samples, frame.sample_rate, index, start_ns))


class LivePictures(LiveTrack):
    """Decoded pictures become frames."""

    def __init__(self, name: str, role: Role, stream: Any, feed: Feed, frames: LiveFrames, picture_px: int) -> None:
        from av.video.reformatter import VideoReformatter

        super().__init__(name, role, stream, feed)
        self._frames = frames
        self._pictures = Pictures(picture_px, VideoReformatter(), _container.rotation(stream))

    def deliver(self, frame: Any, time_ns: int) -> None:
        """Put a frame; it is converted only where it is wanted."""
        self._frames.add(time_ns, _Decoded(self._pictures, frame))


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A frame of a decoder, as :class:`LiveFrames` takes pictures."""

    pictures: Pictures
    frame: Any

    def luma(self) -> float | None:
        return self.pictures.luma(self.frame)

    def rgb(self, min_side_px: int) -> NDArray[uint8] | None:
        return self.pictures.rgb(self.frame)


def _samples(frame: Any) -> NDArray[float32]:
    if not (frame.format.is_planar and len(frame.layout.channels) >= _PLANES_READ_WRONG):
        return as_float(frame)
    import av

    packed = av.AudioResampler("flt", frame.layout, frame.sample_rate)
    return np.concatenate([as_float(part) for part in packed.resample(frame)])
