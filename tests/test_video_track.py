from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import float32, uint8

from edge_avsc.bundle import ImageFrontEnd, ImageNormalisation
from edge_avsc.types import NS_PER_MS, NS_PER_S, VideoFrame
from edge_avsc.video_track import MEMORY_S, Embedded, VideoTrack, WantedFrames, is_black

BRIGHT = np.full((4, 4, 3), 99, uint8)


class Watcher:
    """A video track, and what it counted."""

    def __init__(self, frames_per_s: int = 2, epoch_ns: int = 0) -> None:
        self.counted: Counter[str] = Counter()
        front_end = ImageFrontEnd(
            size_px=4, frames_per_s=frames_per_s, normalisation=ImageNormalisation(mean=(0, 0, 0), std=(1, 1, 1))
        )
        self.track = VideoTrack(front_end, epoch_ns, self._count)

    def _count(self, counter: str, n: int) -> None:
        self.counted.update({counter: n} if n else {})

    def see(self, time_ns: int) -> bool:
        """Show a frame; embed it as its milliseconds where it is wanted."""
        if self.track.add(VideoFrame(time_ns, None, BRIGHT)) is None:
            return False
        self.track.put(time_ns, Embedded(np.array([time_ns / NS_PER_MS], float32), 2.0))
        return True


@given(
    epoch_ns=st.integers(-(10**12), 10**15),
    frames_per_s=st.integers(1, 30),
    steps_ns=st.lists(st.integers(1, 2 * NS_PER_S), min_size=1, max_size=60),
)
def test_for_each_moment_the_first_frame_at_or_after_it_is_wanted(
    epoch_ns: int, frames_per_s: int, steps_ns: list[int]
) -> None:
    wanted = WantedFrames(epoch_ns, frames_per_s)
    times = (epoch_ns - NS_PER_S + np.cumsum(steps_ns)).tolist()
    taken = [t for t in times if wanted.wants(t)]
    expected: list[int] = []
    # epoch + (j + 1/2) / frames_per_s, kept in whole numbers by counting in halves of 1 / frames_per_s
    for j in range(60 * 2 * frames_per_s + frames_per_s):
        reached = [t for t in times if (t - epoch_ns) * 2 * frames_per_s >= (2 * j + 1) * NS_PER_S][:1]
        if not reached:
            break
        if reached[0] not in expected[-1:]:
            expected += reached
    assert taken == expected
    between = zip([epoch_ns - NS_PER_S, *times], times, strict=False)
    assert [until for after, until in between if wanted.any_in(after, until)] == taken


def test_what_is_wanted_does_not_drift_in_a_hundred_hours() -> None:
    wanted = WantedFrames(0, 3)
    for hour in range(100):
        second_ns = hour * 3600 * NS_PER_S
        for j in range(3):
            moment_ns = second_ns + -(-(2 * j + 1) * NS_PER_S // 6)
            assert not wanted.wants(moment_ns - 1) or j == 0
            assert wanted.wants(moment_ns) or j == 0


def test_a_camera_of_one_frame_a_second_is_used_whole() -> None:
    watcher = Watcher()
    seen = [t for t in range(10) if watcher.see(t * NS_PER_S + 10)]
    assert seen == list(range(1, 10))  # at 0 s the first moment, 0.25 s, is yet to come
    for k in range(1, 9):
        pictures = watcher.track.window(k * NS_PER_S, (k + 1) * NS_PER_S)
        assert pictures.embeddings is not None
        assert pictures.embeddings.tolist() == [[k * 1000.0]]
        assert pictures.coverage == 0.5


def test_repeated_and_backward_frames_are_no_new_ones() -> None:
    watcher = Watcher()
    assert watcher.see(300 * NS_PER_MS)
    assert not watcher.see(300 * NS_PER_MS)
    assert not watcher.see(299 * NS_PER_MS)
    assert watcher.see(800 * NS_PER_MS)
    assert not watcher.see(750 * NS_PER_MS)
    assert watcher.counted == {"video_backward_frames": 3}
    assert watcher.track.window(0, NS_PER_S).coverage == 1.0


def test_a_wanted_frame_without_its_image_is_missed_and_counted() -> None:
    watcher = Watcher()
    assert watcher.track.add(VideoFrame(300 * NS_PER_MS)) is None
    assert watcher.track.add(VideoFrame(310 * NS_PER_MS)) is None
    assert watcher.counted == {"video_missed_frames": 1}
    watcher.see(800 * NS_PER_MS)
    assert watcher.track.window(0, NS_PER_S).coverage == 0.5


def test_complete_when_each_wanted_picture_arrived_or_was_passed() -> None:
    watcher = Watcher()
    track = watcher.track
    assert not track.complete(0, NS_PER_S)
    watcher.see(700 * NS_PER_MS)
    assert not track.complete(0, NS_PER_S)
    watcher.see(750 * NS_PER_MS)
    assert track.complete(0, NS_PER_S)
    assert not track.complete(50 * NS_PER_MS, 1300 * NS_PER_MS)
    watcher.see(5 * NS_PER_S)
    assert track.complete(3 * NS_PER_S, 4 * NS_PER_S)


def test_windows_are_half_open() -> None:
    watcher = Watcher(frames_per_s=1)
    for time_ns in (NS_PER_S - 1, 2 * NS_PER_S, 3 * NS_PER_S):
        assert watcher.see(time_ns)
    embeddings = [watcher.track.window(k * NS_PER_S, (k + 1) * NS_PER_S).embeddings for k in range(4)]
    assert [None if e is None else e.ravel().tolist() for e in embeddings] == [[1000.0], None, [2000.0], [3000.0]]


def test_black_pictures_count_as_not_seen() -> None:
    watcher = Watcher()
    for time_ms, seen in ((300, None), (800, np.ones(1, float32))):
        watcher.track.add(VideoFrame(time_ms * NS_PER_MS, None, BRIGHT))
        watcher.track.put(time_ms * NS_PER_MS, Embedded(seen, 4.0 if seen is not None else None))
    pictures = watcher.track.window(0, NS_PER_S)
    assert pictures.embeddings is not None
    assert (len(pictures.embeddings), pictures.coverage, pictures.black, pictures.image_ms) == (1, 0.5, True, 4.0)
    assert watcher.track.window(0, 500 * NS_PER_MS).embeddings is None


def test_scored_windows_let_go_of_what_no_later_one_needs() -> None:
    watcher = Watcher()
    for time_ms in (300, 800, 1300):
        assert watcher.see(time_ms * NS_PER_MS)
    watcher.track.scored(NS_PER_S, 500 * NS_PER_MS)
    kept = watcher.track.window(0, 2 * NS_PER_S).embeddings
    assert kept is not None
    assert kept.ravel().tolist() == [800.0, 1300.0]


def test_late_frames_are_counted_and_used_where_a_later_window_can() -> None:
    watcher = Watcher()
    watcher.track.scored(NS_PER_S, 500 * NS_PER_MS)
    assert not watcher.see(300 * NS_PER_MS)
    assert watcher.see(800 * NS_PER_MS)
    assert watcher.see(1300 * NS_PER_MS)
    assert watcher.counted == {"video_late_frames": 2}


def test_embeddings_beyond_the_memory_go_and_are_counted() -> None:
    watcher = Watcher()
    for n in range(MEMORY_S * 2 + 3):
        watcher.see(n * 500 * NS_PER_MS + 250 * NS_PER_MS)
    assert watcher.counted == {"video_evicted_frames": 3}


@pytest.mark.parametrize(("brightest", "black"), [(0, True), (16, True), (17, False), (255, False)])
def test_black_is_without_one_brighter_value(brightest: int, black: bool) -> None:
    picture = np.zeros((8, 8, 3), uint8)
    picture[3, 4, 1] = brightest
    assert is_black(picture) == black
