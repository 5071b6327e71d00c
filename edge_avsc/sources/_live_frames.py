"""Frames of a live camera on their way out: in order of time, and never the picture of a frozen camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.sources._raw_pictures import RawPicture
from edge_avsc.types import NS_PER_S, Item, SourceEvent, VideoFrame


class LiveFrames:
    """Asks which frames are wanted, and holds back what a frozen camera repeats.

    name: what the events call the camera. wants: tells once for each frame whether it must carry its image, which is
    shrunk towards *picture_px*, never under it. frozen_s: no real sensor is bit-identical for so long.
    """

    STEP_NS = 1000

    def __init__(
        self,
        name: str,
        wants: Callable[[int], bool],
        picture_px: int,
        put: Callable[[Item], None],
        frozen_s: float = 5.0,
    ) -> None:
        self._name = name
        self._wants = wants
        self._picture_px = picture_px
        self._put = put
        self._frozen_ns = round(frozen_s * NS_PER_S)
        self._newest_ns: int | None = None
        self._picture: NDArray[uint8] | None = None
        self._since_ns = 0
        self._frozen = False
        self._damaged = False

    def add(self, time_ns: int, raw: RawPicture) -> None:
        """Hand on the frame of *time_ns*; it is decoded where it is wanted."""
        luma = raw.luma()
        if luma is None:
            self.damaged(time_ns)
            return
        if self._newest_ns is not None and 0 <= self._newest_ns - time_ns < NS_PER_S // 10:
            time_ns = self._newest_ns + self.STEP_NS  # of two that arrived as one, both are frames
        self._newest_ns = time_ns
        picture = None
        if self._wants(time_ns):
            picture = raw.rgb(self._picture_px)
            if picture is None:
                self.damaged(time_ns)
                return
            self._compare(time_ns, picture)
        if not self._frozen:
            self._put(VideoFrame(time_ns, luma, picture))

    def damaged(self, time_ns: int) -> None:
        """Take in that a frame cannot be decoded; said once."""
        if not self._damaged:
            self._damaged = True
            detail = f"{self._name} sends pictures that are damaged; they are left out."
            self._put(SourceEvent("video", "damaged", detail, time_ns))

    def _compare(self, time_ns: int, picture: NDArray[uint8]) -> None:
        if self._picture is None or not np.array_equal(picture, self._picture):
            self._picture, self._since_ns = picture, time_ns
            if self._frozen:
                self._frozen = False
                self._put(SourceEvent("video", "recovered", f"The pictures of {self._name} move again.", time_ns))
        elif not self._frozen and time_ns - self._since_ns >= self._frozen_ns:
            self._frozen = True
            since_s = self._frozen_ns / NS_PER_S
            detail = f"{self._name} has sent one and the same picture for {since_s:g} s; restart the camera."
            self._put(SourceEvent("video", "frozen", detail, time_ns))
