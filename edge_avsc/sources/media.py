"""Recordings: sound and pictures of one file on one clock, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import heapq
import itertools
import os
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from operator import itemgetter
from typing import Any

from edge_avsc.sources._pictures import Pictures
from edge_avsc.sources._refusals import refuse_tracks, refuse_unopened, refuse_what_is_no_file
from edge_avsc.sources._sound import Blocks, as_float
from edge_avsc.sources._timeline import FrameTimeline, Notes, SampleTimeline
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, Role, SourceEnded, SourceEvent, VideoFrame

BOTH: frozenset[Role] = frozenset({"audio", "video"})
# A file that fails to yield even one packet this often in a row yields none any more.
_BAD_READS = 100
# A header may round, and a last picture may be short; what ends earlier than this was cut short.
_SHORT_BY_NS = 500 * NS_PER_MS
# Containers whose header states the duration; others are estimated from the bit rate.
_STATES_DURATION = ("mov", "matroska", "wav", "avi", "flac")
# FFmpeg makes pictures of any text that is named .txt or .nfo.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")
_NOUN = {"audio": "sound", "video": "pictures"}


class MediaSource:
    """Sound and pictures of one recording, in order of time, counted from the container's PTS 0.

    path: the file. roles: what is wanted of it. wants: called once for each frame, in order, with its time; True
    means that this frame must carry its image. picture_px: images are shrunk towards this on both sides, never under
    it. block_samples: size of the chunks; None gives them as decoded.

    Raises ConfigError when the file is missing, unreadable, no recording, or has nothing of what is wanted.
    """

    def __init__(
        self,
        path: str,
        *,
        roles: frozenset[Role] = BOTH,
        wants: Callable[[int], bool],
        picture_px: int,
        block_samples: int | None = None,
    ) -> None:
        self.name = path
        self._block_samples = block_samples
        self._wants = wants
        self._tracks: dict[Role, _Track] = {}
        self._unusable: list[SourceEvent] = []
        refuse_what_is_no_file(path)
        try:
            for role in sorted(roles):
                self._open(role)
            if not self._tracks:
                refuse_tracks(path, roles, [event.detail for event in self._unusable])
            if "video" in self._tracks:
                self._pictures = self._tracks["video"].pictures(picture_px)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> MediaSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def roles(self) -> frozenset[Role]:
        """What the file really has, of what was wanted."""
        return frozenset(self._tracks)

    def close(self) -> None:
        """Let the file go; nothing can be read any more."""
        for track in self._tracks.values():
            track.close()

    def items(self) -> Iterator[Item]:
        """Yield chunks (in order of their end), frames (in order of their time), events, and each role's end; once."""
        yield from self._unusable
        ways = []
        if "audio" in self._tracks:
            ways.append(self._sound_items(self._tracks["audio"]))
        if "video" in self._tracks:
            ways.append(self._picture_items(self._tracks["video"]))
        for _, item in heapq.merge(*ways, key=itemgetter(0)):
            yield item

    def _open(self, role: Role) -> None:
        track = _Track(self.name, role)
        if track.opens():
            self._tracks[role] = track
            return
        track.close()
        if track.problem:
            self._unusable.append(SourceEvent(role, "unusable", track.problem, 0))

    def _sound_items(self, track: _Track) -> Iterator[tuple[int, Item]]:
        timeline = SampleTimeline(track.rate_hz, track.notes)
        blocks = Blocks(self._block_samples)
        end_ns = 0
        for frame, pts_ns, after_loss in track.frames():
            for part in track.in_first_format(frame):
                samples = as_float(part)
                dropped, index = timeline.place(pts_ns, len(samples), after_loss)
                for event in track.notes.take():
                    yield end_ns, event
                for start, block in blocks.put(samples[dropped:], index):
                    end_ns = timeline.time_ns(start + len(block))
                    yield end_ns, AudioChunk(block, track.rate_hz, start, timeline.time_ns(start))
                pts_ns, after_loss = None, False
        for start, block in blocks.rest():
            end_ns = timeline.time_ns(start + len(block))
            yield end_ns, AudioChunk(block, track.rate_hz, start, timeline.time_ns(start))
        yield from track.ending(end_ns)

    def _picture_items(self, track: _Track) -> Iterator[tuple[int, Item]]:
        timeline = FrameTimeline(track.step_ns, track.notes)
        pictures, wants = self._pictures, self._wants
        time_ns, length_ns = 0, 0
        for frame, pts_ns, _ in track.frames():
            placed = timeline.place(pts_ns)
            for event in track.notes.take():
                yield time_ns, event
            if placed is None:
                continue
            time_ns, length_ns = placed, track.length_ns(frame)
            image = pictures.rgb(frame) if wants(time_ns) else None
            yield time_ns, VideoFrame(time_ns, pictures.luma(frame), image)
        yield from track.ending(time_ns + length_ns)


class _Track:
    """One role of a file: its own container, so that badly interleaved files need no memory."""

    def __init__(self, path: str, role: Role) -> None:
        self._path = path
        self._role: Role = role
        self._undecodable = 0
        self._damaged = 0
        self._unreadable = False
        self._resampler: Any = None
        self._resampled_format: tuple[int, str] | None = None
        self.problem = ""
        self.notes = Notes(path, role)
        self._container = _opened(path)
        self._stream: Any = next((s for s in self._container.streams if s.type == role and not _is_cover(s)), None)
        self._zero_ns = _zero_ns(self._container)
        self._ready: list[Any] = []
        self._rest: Iterator[tuple[Any, bool]] = iter(())

    def close(self) -> None:
        self._container.close()

    def opens(self) -> bool:
        """Say whether the track exists and at least one frame of it can be decoded; if not, *problem* may say why."""
        if self._stream is None:
            return False
        codec = self._stream.codec_context
        if codec is None:
            self.problem = (
                f"No decoder here knows the codec of the {_NOUN[self._role]} of {self._path} "
                f"({_codec_name(self._path, self._stream.index)}); convert the file, for example to H.264 and AAC."
            )
            return False
        codec.thread_count = 1
        codec.thread_type = "NONE"
        decoded = self._decoded()
        first = next(decoded, None)
        if first is None:
            state = "cannot be decoded" if self._undecodable or self._unreadable else "is empty"
            self.problem = f"The {self._role} track of {self._path} {state}; copy the file again from its origin."
            return False
        self._first = first[0]
        self._rest = itertools.chain([first], decoded)
        return True

    @property
    def rate_hz(self) -> int:
        """Rate of the decoded samples; the header may name another."""
        return int(self._first.sample_rate)

    @property
    def step_ns(self) -> int:
        """Time from one frame to the next, where timestamps do not say."""
        rate = self._stream.average_rate or 25
        return min(10 * NS_PER_S, max(NS_PER_MS, round(NS_PER_S / rate)))

    def length_ns(self, frame: Any) -> int:
        """Return how long a frame is shown."""
        duration = getattr(frame, "duration", None)
        if not duration or not frame.time_base:
            return self.step_ns
        return min(10 * NS_PER_S, _ns(duration, frame.time_base))

    def pictures(self, picture_px: int) -> Pictures:
        """Return what converts this track's frames."""
        from av.video.reformatter import VideoReformatter

        side_data = getattr(self._stream, "side_data", None) or {}
        return Pictures(picture_px, VideoReformatter(), side_data.get("DISPLAYMATRIX"))

    def frames(self) -> Iterator[tuple[Any, int | None, bool]]:
        """Yield ``(frame, pts_ns, whether something was lost just before)``; pts_ns counts from zero."""
        for frame, after_loss in self._rest:
            if frame.is_corrupt:
                self._damaged += 1
            base = frame.time_base or self._stream.time_base
            if frame.pts is None:
                yield frame, None, after_loss
            else:
                yield frame, _ns(frame.pts, base) - self._zero_ns, after_loss

    def in_first_format(self, frame: Any) -> list[Any]:
        """Return *frame* in the rate and layout that the track began with: as it is, unless they changed."""
        first = self._first
        if frame.sample_rate == first.sample_rate and frame.layout.name == first.layout.name:
            self._resampler = None
            return [frame]
        import av

        found = (frame.sample_rate, frame.layout.name)
        if self._resampler is None or self._resampled_format != found:
            self._resampler = av.AudioResampler("fltp", first.layout, first.sample_rate)
            self._resampled_format = found
            what = f"the format changes to {found[0]} Hz {found[1]}; it is converted to that of the beginning"
            self.notes.add("format", what, 0)
        return list(self._resampler.resample(frame))

    def ending(self, end_ns: int) -> Iterator[tuple[int, Item]]:
        """Yield what is to be said at the end, and the end itself."""
        if self._undecodable:
            self.notes.add("damaged", f"{self._undecodable} packets could not be decoded and were left out", end_ns)
        if self._damaged:
            self.notes.add("damaged", f"{self._damaged} decoded frames are marked as damaged", end_ns)
        promised_ns = self._promised_ns()
        if self._unreadable or end_ns + _SHORT_BY_NS < promised_ns:
            what = f"the material ends at {end_ns / NS_PER_S:.3f} s"
            if promised_ns > end_ns:
                what += f" although the header promises {promised_ns / NS_PER_S:.3f} s"
            self.notes.add("truncated", what, end_ns)
        for event in [*self.notes.take(), *self.notes.summary(end_ns)]:
            yield end_ns, event
        yield end_ns, SourceEnded(self._role, end_ns)

    def _promised_ns(self) -> int:
        if not self._container.format.name.startswith(_STATES_DURATION) or self._container.duration is None:
            return 0
        total_ns = self._container.duration * 1000
        stream = self._stream
        if stream.duration is not None:
            return min(int(total_ns), _ns(stream.duration, stream.time_base))
        return int(total_ns) if len(self._container.streams) == 1 else 0

    def _decoded(self) -> Iterator[tuple[Any, bool]]:
        import av

        packets = self._container.demux(self._stream)
        bad_reads, lost = 0, False
        while bad_reads < _BAD_READS:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                bad_reads, lost, self._unreadable = bad_reads + 1, True, True
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                return
            bad_reads = 0
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._undecodable, lost = self._undecodable + 1, True
                continue
            for frame in frames:
                yield frame, lost
                lost = False


def _ns(ticks: int, time_base: Fraction) -> int:
    return (2 * ticks * time_base.numerator * NS_PER_S + time_base.denominator) // (2 * time_base.denominator)


def _opened(path: str) -> Any:
    import av

    # FFmpeg prints by itself; what matters reaches people as events.
    av.logging.set_level(av.logging.PANIC)
    try:
        # An absolute path is never taken for a protocol, and a playlist may name no address.
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError, AttributeError) as error:
        refuse_unopened(path, error)
    if any(s.codec_context is not None and s.codec_context.name in _TEXT_CODECS for s in container.streams):
        container.close()
        refuse_unopened(path, ValueError("a text"))
    return container


def _is_cover(stream: Any) -> bool:
    """Say whether a stream is a picture attached to sound, not a video."""
    if stream.type != "video":
        return False
    disposition = getattr(stream, "disposition", None)
    if disposition is not None:
        return "attached_pic" in disposition.__class__.__members__ and bool(
            disposition & disposition.__class__.attached_pic
        )
    codec = stream.codec_context
    return codec is not None and codec.name in ("mjpeg", "png", "bmp", "gif", "webp") and not stream.average_rate


def _zero_ns(container: Any) -> int:
    """Return the container's time that counts as 0: its earliest stamp where that is positive, as in MPEG-TS."""
    starts = [
        _ns(stream.start_time, stream.time_base)
        for stream in container.streams
        if stream.type in _NOUN and stream.start_time is not None and not _is_cover(stream)
    ]
    return max(0, min(starts, default=0))


def _codec_name(path: str, stream_index: int) -> str:
    """Return what FFmpeg's own report calls the codec of a stream that it cannot decode."""
    import av

    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines:
            av.open(os.path.abspath(path), options={"protocol_whitelist": "file"}).close()
    finally:
        av.logging.set_level(av.logging.PANIC)
    for _, _, line in lines:
        found = re.search(rf"stream {stream_index} \((?:Audio|Video): ([^,]*)", line)
        if found:
            return found[1].strip()
    return "of an unknown name"
