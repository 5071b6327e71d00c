"""Recordings: sound and pictures of one file on one clock, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from operator import itemgetter

from edge_avsc.sources._refusals import refuse_tracks, refuse_what_is_no_file
from edge_avsc.sources._sound import Blocks
from edge_avsc.sources._timeline import FrameTimeline, SampleTimeline
from edge_avsc.sources.media_file import FileTrack
from edge_avsc.sources.media_sparing import Needless
from edge_avsc.types import AudioChunk, Item, Role, SourceEvent


class MediaSource:
    """Sound and pictures of one recording, in order of time, counted from the container's PTS 0.

    path: the file. roles: what is wanted of it. wants: called once for each frame, in order, with its time in ns; True
    means that this frame must carry its image. picture_px: images are shrunk towards this on both sides, never under
    it. block_samples: size of the chunks; None gives them as decoded. needless: must agree with *wants*; where it is
    given, frames that nobody needs may come without their brightness, too, since they are not decoded.

    Raises ConfigError when the file is missing, unreadable, no recording, or has nothing of what is wanted.
    """

    def __init__(
        self,
        path: str,
        *,
        roles: frozenset[Role] = frozenset({"audio", "video"}),
        wants: Callable[[int], bool],
        picture_px: int,
        block_samples: int | None = None,
        needless: Needless | None = None,
    ) -> None:
        self.name = path
        self._wants = wants
        self._block_samples = block_samples
        self._needless = needless
        self._tracks: dict[Role, FileTrack] = {}
        self._unusable: list[SourceEvent] = []
        refuse_what_is_no_file(path)
        try:
            for role in sorted(roles):
                self._open(role, picture_px)
            if not self._tracks:
                refuse_tracks(path, roles, [event.detail for event in self._unusable])
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

    def _open(self, role: Role, picture_px: int) -> None:
        track = FileTrack(self.name, role, self._needless)
        problem = track.open(picture_px)
        if problem is None:
            self._tracks[role] = track
            return
        track.close()
        if problem:
            self._unusable.append(SourceEvent(role, "unusable", problem, 0))

    def _sound_items(self, track: FileTrack) -> Iterator[tuple[int, Item]]:
        timeline = SampleTimeline(track.rate_hz, track.notes)
        blocks = Blocks(self._block_samples)
        end_ns = 0
        for decoded in track.decoded():
            samples = track.samples(decoded)
            dropped, index = timeline.place(decoded.pts_ns, len(samples), decoded.after_loss)
            kept = timeline.count_until(track.padding_begins_ns, index) if decoded.last else len(samples)
            for event in track.notes.take():
                yield end_ns, event
            for start, block in blocks.put(samples[dropped : dropped + kept], index):
                end_ns = timeline.time_ns(start + len(block))
                yield end_ns, AudioChunk(block, track.rate_hz, start, timeline.time_ns(start))
        for start, block in blocks.rest():
            end_ns = timeline.time_ns(start + len(block))
            yield end_ns, AudioChunk(block, track.rate_hz, start, timeline.time_ns(start))
        yield from track.ending(end_ns)

    def _picture_items(self, track: FileTrack) -> Iterator[tuple[int, Item]]:
        timeline = FrameTimeline(track.step_ns, track.notes)
        time_ns, last = 0, None
        for decoded in track.decoded():
            placed_ns = timeline.place(decoded.pts_ns)
            for event in track.notes.take():
                yield time_ns, event
            if placed_ns is None:
                continue
            time_ns, last = placed_ns, decoded.frame or last
            yield time_ns, track.video_frame(decoded, time_ns, self._wants(time_ns))
        yield from track.ending(time_ns + track.length_ns(last))
