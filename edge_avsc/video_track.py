"""One stream's pictures: which frames are wanted, and the embeddings that a window can ask for by time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.bundle import ImageFrontEnd
from edge_avsc.ring import TimeRing
from edge_avsc.types import NS_PER_S, VideoFrame

MEMORY_S = 60
"""How many seconds of embeddings a track remembers while their windows wait for sound."""

BLACK_MAX = 16
"""A picture without one brighter value shows nothing: a covered lens or a dead sensor, not a dark place."""


class WantedFrames:
    """For each j, the first frame at or after epoch + (j + 1/2) / frames_per_s is wanted; each frame at most once."""

    def __init__(self, epoch_ns: int, frames_per_s: int) -> None:
        self._epoch_ns = epoch_ns
        self._per_s = frames_per_s
        self._taken = 0

    def wants(self, time_ns: int) -> bool:
        """Tell whether the frame captured at *time_ns* is wanted; ask once for each frame, in order of time."""
        begun = self.begun_by(time_ns)
        if begun <= self._taken:
            return False
        self._taken = begun
        return True

    def any_in(self, after_ns: int, until_ns: int) -> bool:
        """Tell whether a wanted moment lies after *after_ns* and at or before *until_ns*, whatever was asked before."""
        return self.begun_by(until_ns) > self.begun_by(after_ns)

    def begun_by(self, time_ns: int) -> int:
        """Return how many wanted moments lie at or before *time_ns*."""
        return max(0, ((time_ns - self._epoch_ns) * 2 * self._per_s + NS_PER_S) // (2 * NS_PER_S))


@dataclass(frozen=True, slots=True)
class Embedded:
    """A wanted frame's embedding ``[n_features]`` (None: the picture was black) and what it took to make it."""

    embedding: NDArray[float32] | None
    image_ms: float | None


@dataclass(frozen=True, slots=True)
class WindowPictures:
    """The embeddings of one window's pictures, the share of the wanted ones that was seen, and their mean cost."""

    embeddings: NDArray[float32] | None
    coverage: float
    black: bool
    image_ms: float | None


class VideoTrack:
    """Takes frames in order of time and keeps the embeddings of the wanted ones.

    *count* is called with the name of a counter and how many frames were lost to it: ``video_backward_frames`` (older
    than the one before), ``video_late_frames`` (a window that they belong to was scored before),
    ``video_missed_frames`` (wanted, but they came without their image), ``video_evicted_frames`` (their windows did not
    come in time).
    """

    def __init__(self, front_end: ImageFrontEnd, epoch_ns: int, count: Callable[[str, int], None]) -> None:
        self.front_end = front_end
        self._count = count
        self._wanted = WantedFrames(epoch_ns, front_end.frames_per_s)
        self._embedded: TimeRing[Embedded] = TimeRing(MEMORY_S * front_end.frames_per_s)
        self._newest_ns: int | None = None
        self._scored_ns = self._needed_ns = epoch_ns
        self.every = 1
        """How many wanted frames there are to one that is looked at: more than one while the machine is overloaded."""

    def add(self, frame: VideoFrame) -> NDArray[uint8] | None:
        """Take in a frame; return its image when it is wanted (and the caller owes its embedding)."""
        if self._newest_ns is not None and frame.time_ns <= self._newest_ns:
            self._count("video_backward_frames", 1)
            return None
        self._newest_ns = frame.time_ns
        if not self._wanted.wants(frame.time_ns):
            return None
        self._count("video_late_frames", int(frame.time_ns < self._scored_ns))
        if frame.time_ns < self._needed_ns:
            return None
        if self.skips(frame.time_ns):
            return None
        if frame.image is None:
            self._count("video_missed_frames", 1)
        return frame.image

    def skips(self, time_ns: int) -> bool:
        """Tell whether the wanted frame of *time_ns* is left out because the machine is overloaded, and count that."""
        skipped = self._wanted.begun_by(time_ns) % self.every > 0
        self._count("video_skipped_frames", int(skipped))
        return skipped

    def put(self, time_ns: int, embedded: Embedded) -> None:
        """Keep the embedding of the wanted frame of *time_ns*."""
        self._count("video_evicted_frames", self._embedded.put(time_ns, embedded))

    def complete(self, start_ns: int, end_ns: int) -> bool:
        """Tell whether every wanted picture of [start_ns, end_ns) has arrived or been passed by a later one."""
        if self._newest_ns is None:
            return False
        return self._wanted.begun_by(self._newest_ns) >= self._wanted.begun_by(end_ns - 1)

    def window(self, start_ns: int, end_ns: int) -> WindowPictures:
        """Return the pictures captured in [start_ns, end_ns); black ones count as not seen."""
        inside = self._embedded.between(start_ns, end_ns)
        seen = [one.embedding for one in inside if one.embedding is not None]
        costs = [one.image_ms for one in inside if one.image_ms is not None]
        wanted = self._wanted.begun_by(end_ns - 1) - self._wanted.begun_by(start_ns - 1)
        return WindowPictures(
            embeddings=np.stack(seen) if seen else None,
            coverage=min(1.0, len(seen) / max(1, wanted)),
            black=len(seen) < len(inside),
            image_ms=sum(costs) / len(costs) if costs else None,
        )

    def scored(self, end_ns: int, needed_ns: int) -> None:
        """Take in that the window up to *end_ns* is scored; no later one can ask for pictures before *needed_ns*."""
        self._scored_ns, self._needed_ns = end_ns, needed_ns
        self._embedded.forget_before(needed_ns)


def is_black(picture: NDArray[uint8]) -> bool:
    """Tell whether a picture shows nothing at all."""
    return int(picture.max()) <= BLACK_MAX
