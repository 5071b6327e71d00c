"""One role of a file: its packets, decoded, and what its end says."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import av
from av.video.reformatter import VideoReformatter
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.sources import _container
from edge_avsc.sources._container import LONGEST_STEP_NS, ticks_to_ns
from edge_avsc.sources._pictures import Pictures
from edge_avsc.sources._refusals import refuse_unopened
from edge_avsc.sources._sound import OneFormat
from edge_avsc.sources._timeline import Notes
from edge_avsc.sources.media_sparing import Needless, SparingDecoder
from edge_avsc.types import Item, Role, SourceEnded, VideoFrame

# A file that fails to yield even one packet this often in a row yields none any more.
_BAD_READS = 100
# FFmpeg makes pictures of any text that is named .txt or .nfo.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")


@dataclass(slots=True)
class Decoded:
    """A frame of sound or video; *after_loss* says that what should come before it could not be decoded.

    frame: None where it was spared. luma: a frame's mean brightness, where it was measured already.
    """

    frame: Any
    pts_ns: int | None
    after_loss: bool = False
    luma: float | None = None
    last: bool = False


class FileTrack:
    """One role of a file. It has its own container, so that badly interleaved files need no memory."""

    def __init__(self, path: str, role: Role, needless: Needless | None = None) -> None:
        self.notes = Notes(path, role)
        self._path = path
        self._role: Role = role
        self._needless = needless
        self._container = opened(path)
        self._stream = _container.main_stream(self._container, role)
        self._time_base: Fraction = self._stream.time_base if self._stream else Fraction(1)
        self._zero_ns = _container.zero_ns(self._container)
        self._lost_packets = 0
        self._damaged_frames = 0
        self._breaks_off = False

    def close(self) -> None:
        """Let the file go."""
        self._container.close()

    def open(self, picture_px: int) -> str | None:
        """Return None when the first frame could be decoded; a sentence, empty where there is no such track, if not."""
        if self._stream is None:
            return ""
        codec = self._stream.codec_context
        if codec is None:
            name = _codec_name(self._path, self._stream.index)
            return f"No decoder here knows the codec of {self.notes.subject} ({name}); convert it to H.264 or AAC."
        # One core is one core.
        codec.thread_count = 1
        codec.thread_type = "NONE"
        if self._role == "video":
            self._pictures = Pictures(picture_px, VideoReformatter(), _container.rotation(self._stream))
        decoding = self._decode()
        first = next(decoding, None)
        if first is None:
            return f"Nothing in {self.notes.subject} can be decoded; record it, or copy it from its origin, again."
        self._decoding = chain((first,), decoding, (None,))
        if self._role == "audio":
            self._format = OneFormat(first.frame, av.AudioResampler, self.notes)
            self.rate_hz = self._format.rate_hz
        else:
            self.step_ns = _container.step_ns(self._stream)
        self._stated_end_ns = _container.stated_end_ns(self._container, self._stream)
        self.padding_begins_ns = _container.padding_begins_ns(self._container, self._stated_end_ns)
        return None

    def length_ns(self, frame: Any) -> int:
        """Return how long a frame of a video is shown; nothing where there is no frame."""
        if frame is None:
            return 0
        # PyAV 12 does not know a frame's duration.
        ticks = getattr(frame, "duration", None)
        return min(LONGEST_STEP_NS, ticks_to_ns(ticks, self._time_base)) if ticks else self.step_ns

    def decoded(self) -> Iterator[Decoded]:
        """Yield all frames; once."""
        for decoded, following in pairwise(self._decoding):
            assert decoded is not None  # only the end of the pairs is None
            decoded.last = following is None
            self._damaged_frames += bool(decoded.frame and decoded.frame.is_corrupt)
            yield decoded

    def samples(self, decoded: Decoded) -> NDArray[float32]:
        """Return float32 ``[n, channels]`` of a frame of sound in the rate and layout that the track began with."""
        try:
            return self._format.samples(decoded.frame, decoded.pts_ns or 0)
        except (av.FFmpegError, ValueError):
            self._lost_packets += 1
            return self._format.nothing

    def video_frame(self, decoded: Decoded, time_ns: int, wanted: bool) -> VideoFrame:
        """Return a frame's brightness, and its image where it is wanted; neither, where there is none to convert."""
        if decoded.frame is None:
            return VideoFrame(time_ns)
        try:
            image = self._pictures.rgb(decoded.frame) if wanted else None
            luma = self._pictures.luma(decoded.frame) if decoded.luma is None else decoded.luma
            return VideoFrame(time_ns, luma, image)
        except (av.FFmpegError, ValueError):
            self._damaged_frames += 1
            return VideoFrame(time_ns)

    def ending(self, end_ns: int) -> Iterator[tuple[int, Item]]:
        """Yield what is to be said at the end, and the end itself."""
        self.notes.ending(end_ns, self._stated_end_ns, self._breaks_off, self._lost_packets, self._damaged_frames)
        for event in [*self.notes.take(), *self.notes.summary(end_ns)]:
            yield end_ns, event
        yield end_ns, SourceEnded(self._role, end_ns)

    def _decode(self) -> Iterator[Decoded]:
        # AVI has no presentation times. Its packets' decoding times, in order, are those of the frames shown.
        in_order: deque[int | None] | None = deque() if _container.lacks_pts(self._container, self._stream) else None
        packets = self._packets()
        codec = self._stream.codec_context
        if self._needless is None or in_order is not None or codec.name != "h264":
            yield from self._decode_all(packets, in_order)
            return
        sparing = SparingDecoder(codec, time_ns=self._ns, needless=self._needless, luma=self._pictures.luma)
        for shown in sparing.shown(packets):
            yield Decoded(shown.frame, shown.time_ns, luma=shown.luma)
        yield from _after(sparing.last_ns, self._decode_all(sparing.undone, None))

    def _decode_all(self, packets: Iterator[Any], in_order: deque[int | None] | None) -> Iterator[Decoded]:
        lost = False
        for packet in packets:
            if in_order is not None and packet.size:
                in_order.append(packet.dts)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._lost_packets, lost = self._lost_packets + 1, True
                if in_order:
                    in_order.pop()
                continue
            for frame in frames:
                ticks = in_order.popleft() if in_order else frame.pts
                yield Decoded(frame, None if ticks is None else self._ns(ticks), lost)
                lost = False

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        bad_reads = 0
        while bad_reads < _BAD_READS:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                bad_reads += 1
                packets = self._container.demux(self._stream)
                continue
            except IndexError:
                break  # PyAV at the end of a file in which further streams began on the way
            if packet is None:
                break
            if packet.size:
                self._lost_packets, bad_reads = self._lost_packets + bad_reads, 0
            yield packet
        self._breaks_off = bad_reads > 0 or _container.is_cut_riff(self._path)

    def _ns(self, ticks: int) -> int:
        return ticks_to_ns(ticks, self._time_base) - self._zero_ns


def _after(time_ns: int | None, frames: Iterator[Decoded]) -> Iterator[Decoded]:
    """Yield the frames that come after that of *time_ns*, or after its turn where it is missing."""
    for decoded in frames:
        if time_ns is None or (decoded.pts_ns is not None and decoded.pts_ns > time_ns):
            yield from chain((decoded,), frames)
        elif decoded.pts_ns == time_ns:
            time_ns = None


def opened(path: str) -> Any:
    """Return the container of a file; ConfigError where FFmpeg does not open it or takes a text for pictures."""
    # FFmpeg prints by itself; what matters reaches people as events.
    av.logging.set_level(av.logging.PANIC)
    try:
        # An absolute path is never taken for a protocol, and a playlist may name no address.
        # Names in it are not ours to judge: many an old recorder's are no UTF-8.
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError, AttributeError) as error:
        refuse_unopened(path, error)
    if any(s.codec_context is not None and s.codec_context.name in _TEXT_CODECS for s in container.streams):
        container.close()
        refuse_unopened(path, ValueError("a text"))
    return container


def _codec_name(path: str, stream_index: int) -> str:
    """Return what FFmpeg's own report calls the codec of a stream that it cannot decode."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines:
            options = {"protocol_whitelist": "file"}
            av.open(os.path.abspath(path), options=options, metadata_errors="replace").close()
    finally:
        av.logging.set_level(av.logging.PANIC)
    found = re.search(rf"stream {stream_index} \((?:Audio|Video): ([^,]*)", " ".join(line[2] for line in lines))
    return found[1].strip() if found else "its name is unknown"
