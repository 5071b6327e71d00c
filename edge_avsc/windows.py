"""Items of one stream in, synchronized windows out."""

from __future__ import annotations

from collections.abc import Callable

from edge_avsc.audio_track import AudioTrack
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Role, SourceEnded, VideoFrame, Window, available_ns
from edge_avsc.video_track import VideoTrack

WINDOW_NS = NS_PER_S
TAIL_NS = NS_PER_MS
"""A recording's last window is whole when at most this much of it is missing."""

PATIENCE_NS = 50 * NS_PER_S
"""A recording's sound may run this far ahead of its pictures, or they of it: what the tracks remember bounds it."""


class StreamWindows:
    """Forms window k = [epoch + k * hop, + 1 s) of one stream, in order, each exactly once.

    max_lateness_ns: how long after its end a window waits for what is missing. None is for recordings: nothing is
    late there, and a window comes only when the recording reaches its end.
    """

    def __init__(
        self,
        audio: AudioTrack | None,
        video: VideoTrack | None,
        *,
        epoch_ns: int,
        hop_ns: int,
        max_lateness_ns: int | None,
        count: Callable[[str, int], None],
    ) -> None:
        self.audio = audio
        self.video = video
        self.epoch_ns = epoch_ns
        self.hop_ns = hop_ns
        self._max_lateness_ns = max_lateness_ns
        self.relief = 0
        """The step of :class:`edge_avsc.relief.Relief` that is in force."""
        self._count = count
        self._next = 0
        self._ended: set[Role] = set()
        self._reached_ns = epoch_ns
        self._awaits_fresh = False

    @property
    def next_end_ns(self) -> int:
        """Where the next window ends."""
        return self.epoch_ns + self._next * self.hop_ns + WINDOW_NS

    def note(self, item: AudioChunk | VideoFrame | SourceEnded) -> None:
        """Take in how far the stream's material reaches."""
        self._reached_ns = max(self._reached_ns, available_ns(item))
        if isinstance(item, SourceEnded):
            self._ended.add(item.role)
        else:
            self._ended.discard("audio" if isinstance(item, AudioChunk) else "video")

    def due(self, now_ns: int, ahead: int = 0) -> bool:
        """Tell whether the next window is to be scored now; with *ahead*, the one so many hops after it."""
        end_ns = self.next_end_ns + ahead * self.hop_ns
        if self._max_lateness_ns is None:
            ahead_ns = self._reached_ns - end_ns
            return ahead_ns >= PATIENCE_NS or (ahead_ns >= -TAIL_NS and self._complete(end_ns))
        if now_ns >= end_ns + self._max_lateness_ns:
            return True
        return self._complete(end_ns) and (self._waits_for("audio") or now_ns >= end_ns)

    def take(self) -> Window:
        """Return the next window as it stands, and go on to the one after it."""
        start_ns, end_ns = self.next_end_ns - WINDOW_NS, self.next_end_ns
        sound = self.audio.window(start_ns) if self.audio else None
        pictures = self.video.window(start_ns, end_ns) if self.video else None
        window = Window(
            index=self._next,
            start_ns=start_ns,
            end_ns=end_ns,
            columns=sound.columns if sound else None,
            embeddings=pictures.embeddings if pictures else None,
            audio_coverage=sound.coverage if sound else 0.0,
            video_coverage=pictures.coverage if pictures else 0.0,
            silent=sound.silent if sound else False,
            black=pictures.black if pictures else False,
            closed_ns=sound.closed_ns if sound else None,
            image_ms=pictures.image_ms if pictures else None,
        )
        self._next += 1
        self._awaits_fresh = False
        if self.relief >= 2:
            self._skip(1)
        if self.audio:
            self.audio.scored(start_ns)
        if self.video:
            self.video.scored(end_ns, start_ns + self.hop_ns)
        return window

    @property
    def newest_only(self) -> bool:
        """Whether, under the last step of relief, of several due windows only the newest counts."""
        return self.relief == 3 and self._max_lateness_ns is not None

    @property
    def hears(self) -> bool:
        """Whether sound is alive."""
        return self._waits_for("audio")

    def keep_newest(self, now_ns: int) -> None:
        """Under the last step of relief, leave out all windows that are due but the newest.

        That one is left out, too, when the next one will soon be fresher, but never two for that reason.
        """
        if not self.newest_only:
            return
        while self.due(now_ns, ahead=1):
            self._skip(1)
        age_ns = now_ns - self.next_end_ns
        if not self._awaits_fresh and age_ns > max(self.hop_ns // 2, self._max_lateness_ns or 0):
            self._awaits_fresh = True
            self._skip(1)

    def _skip(self, windows: int) -> None:
        self._next += windows
        self._count("windows_skipped", windows)

    @property
    def _tracks(self) -> tuple[tuple[Role, AudioTrack | VideoTrack | None], ...]:
        return (("audio", self.audio), ("video", self.video))

    def _waits_for(self, role: Role) -> bool:
        return dict(self._tracks)[role] is not None and role not in self._ended

    def _complete(self, end_ns: int) -> bool:
        if self.audio and self._waits_for("audio") and not self.audio.complete(end_ns - WINDOW_NS):
            return False
        return not (self.video and self._waits_for("video") and not self.video.complete(end_ns - WINDOW_NS, end_ns))
