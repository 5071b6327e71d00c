from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.types import NS_PER_MS, NS_PER_S
from sources.live import Delivered


@dataclass
class Shown:
    """A picture of one grey; *decoded* counts how often it was asked for."""

    value: int | None
    decoded: int = 0

    def luma(self) -> float | None:
        return self.value

    def rgb(self, min_side_px: int) -> NDArray[uint8] | None:
        self.decoded += 1
        return None if self.value in (None, 255) else np.full((min_side_px, min_side_px, 3), self.value, uint8)


def frames(delivered: Delivered, every: int = 1) -> LiveFrames:
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        assert not asked or time_ns > asked[-1]
        asked.append(time_ns)
        return (len(asked) - 1) % every == 0

    return LiveFrames("The camera", wants, 8, delivered.items.append)


def test_only_wanted_frames_are_decoded() -> None:
    delivered = Delivered()
    out = frames(delivered, every=3)
    shown = [Shown(value) for value in range(9)]
    for number, picture in enumerate(shown):
        out.add(number * 40 * NS_PER_MS, picture)
    assert [picture.decoded for picture in shown] == [1, 0, 0] * 3
    assert [frame.image is not None for frame in delivered.frames] == [True, False, False] * 3
    assert [frame.luma for frame in delivered.frames] == list(range(9))


def test_frames_that_arrive_as_one_keep_their_order() -> None:
    delivered = Delivered()
    out = frames(delivered)
    for value in range(3):
        out.add(1000, Shown(value))
    assert [frame.time_ns for frame in delivered.frames] == [1000, 2000, 3000]


def test_a_frozen_camera_is_told_once_and_its_pictures_are_held_back() -> None:
    delivered = Delivered()
    out = frames(delivered, every=2)
    for number in range(10 * 10):
        out.add(number * NS_PER_S // 10, Shown(7))
    assert delivered.events == [("video", "frozen")]
    assert max(frame.time_ns for frame in delivered.frames) < 5 * NS_PER_S
    for number in range(100, 110):
        out.add(number * NS_PER_S // 10, Shown(8 + number % 4))
    assert delivered.events == [("video", "frozen"), ("video", "recovered")]
    assert len([frame for frame in delivered.frames if frame.time_ns >= 10 * NS_PER_S]) == 10


def test_a_picture_that_stands_still_for_four_seconds_is_a_picture() -> None:
    delivered = Delivered()
    out = frames(delivered)
    for number in range(100):
        out.add(number * NS_PER_S // 10, Shown(number // 40))
    assert len(delivered.frames) == 100
    assert delivered.events == []


def test_damaged_frames_are_told_once_and_never_delivered() -> None:
    delivered = Delivered()
    out = frames(delivered)
    for number, value in enumerate([1, None, 255, None, 2]):
        out.add(number * NS_PER_S, Shown(value))
    assert [frame.luma for frame in delivered.frames] == [1, 2]
    assert delivered.events == [("video", "damaged")]
