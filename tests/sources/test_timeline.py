from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.sources._timeline import FrameTimeline, Notes, SampleTimeline
from edge_avsc.types import NS_PER_MS, NS_PER_S

STEP_NS = 40 * NS_PER_MS


def sound(rate_hz: int = 48_000) -> tuple[SampleTimeline, Notes]:
    notes = Notes("a.mkv", "audio")
    return SampleTimeline(rate_hz, notes), notes


def pictures() -> tuple[FrameTimeline, Notes]:
    notes = Notes("a.mkv", "video")
    return FrameTimeline(STEP_NS, notes), notes


def kinds(notes: Notes) -> list[str]:
    return [event.event for event in notes.take()]


def test_times_follow_from_index_and_rate() -> None:
    timeline, _ = sound(44_100)
    assert timeline.place(0, 1152) == (0, 0)
    assert timeline.place(26_122_449, 1152) == (0, 1152)
    assert timeline.time_ns(1152) == 26_122_448
    assert timeline.time_ns(44_100 * 3600) == 3600 * NS_PER_S


def test_rounded_stamps_never_add_up() -> None:
    timeline, notes = sound()
    for block in range(10_000):
        stamp_ns = block * 1024 * 1000 // 48_000 * NS_PER_MS
        assert timeline.place(stamp_ns, 1024) == (0, block * 1024)
    assert notes.take() == []


def test_sound_before_zero_is_priming() -> None:
    timeline, notes = sound()
    assert timeline.place(-50 * NS_PER_MS, 960)[0] == 960
    assert timeline.place(-30 * NS_PER_MS, 960)[0] == 960
    assert timeline.place(-10 * NS_PER_MS, 960) == (480, 0)
    assert timeline.place(10 * NS_PER_MS, 960) == (0, 480)
    assert timeline.time_ns(0) == 0
    assert notes.take() == []


def test_sound_may_begin_late_and_without_a_stamp() -> None:
    timeline, _ = sound()
    timeline.place(500 * NS_PER_MS, 960)
    assert timeline.time_ns(0) == 500 * NS_PER_MS
    other, _ = sound()
    assert other.place(None, 960) == (0, 0)
    assert other.place(None, 960) == (0, 960)


def test_gap_moves_the_index() -> None:
    timeline, notes = sound()
    timeline.place(0, 4800)
    assert timeline.place(1600 * NS_PER_MS, 4800) == (0, 76_800)
    assert timeline.place(1700 * NS_PER_MS, 4800) == (0, 81_600)
    assert kinds(notes) == ["gap"]


@pytest.mark.parametrize(("after_loss", "index"), [(False, 4800), (True, 4920)])
def test_small_holes_count_where_something_was_lost(after_loss: bool, index: int) -> None:
    timeline, _ = sound()
    timeline.place(0, 4800)
    assert timeline.place(102_500_000, 4800, after_loss) == (0, index)


@pytest.mark.parametrize("jump_ns", [-5 * NS_PER_S, -101 * NS_PER_MS, 601 * NS_PER_S])
def test_broken_stamps_go_on_without_a_break(jump_ns: int) -> None:
    timeline, notes = sound()
    timeline.place(0, 48_000)
    assert timeline.place(NS_PER_S + jump_ns, 48_000) == (0, 48_000)
    assert timeline.place(2 * NS_PER_S + jump_ns, 48_000) == (0, 96_000)
    assert kinds(notes) == ["timestamps"]


def test_a_sound_clock_that_runs_ahead_is_cut_to_fit() -> None:
    timeline, notes = sound()
    for second in range(300):  # 1 ms too much sound in each second
        timeline.place(second * NS_PER_S, 48_048)
    assert abs(timeline.time_ns(timeline.index) - 300 * NS_PER_S) <= 23 * NS_PER_MS
    assert kinds(notes) == ["timestamps"]


def test_stamps_that_stand_still_cost_little_sound() -> None:
    timeline, _ = sound()
    dropped = sum(timeline.place(0, 960)[0] for _ in range(500))
    assert dropped < 0.25 * 500 * 960


def test_count_until() -> None:
    timeline, _ = sound()
    timeline.place(0, 1024)
    assert timeline.count_until(None, 0) == 1024
    assert timeline.count_until(10 * NS_PER_MS, 0) == 480
    assert timeline.count_until(NS_PER_S, 0) == 1024


@given(
    st.lists(st.tuples(st.none() | st.integers(-10_000, 10_000_000), st.integers(0, 5000), st.booleans()), max_size=40),
    st.sampled_from([8_000, 44_100, 48_000]),
)
def test_no_stamps_make_samples_overlap(blocks: list[tuple[int | None, int, bool]], rate_hz: int) -> None:
    timeline, _ = sound(rate_hz)
    end = 0
    for stamp_ms, count, after_loss in blocks:
        dropped, index = timeline.place(None if stamp_ms is None else stamp_ms * NS_PER_MS, count, after_loss)
        assert 0 <= dropped <= count
        assert index >= end
        end = index + count - dropped
        assert timeline.time_ns(end) >= 0


def test_frames_keep_their_stamps() -> None:
    timeline, notes = pictures()
    stamps = [0, 40_000_000, 73_000_000, 120_000_001]
    assert [timeline.place(stamp) for stamp in stamps] == stamps
    assert notes.take() == []


def test_a_frame_without_a_stamp_follows_the_one_before() -> None:
    timeline, _ = pictures()
    assert [timeline.place(stamp) for stamp in (None, None, 90_000_000)] == [0, STEP_NS, 90_000_000]


def test_frames_before_zero_are_left_out() -> None:
    timeline, _ = pictures()
    assert [timeline.place(stamp) for stamp in (-STEP_NS, 0)] == [None, 0]


def test_pictures_that_stand_still_are_a_gap() -> None:
    timeline, notes = pictures()
    assert [timeline.place(stamp) for stamp in (0, 2 * NS_PER_S)] == [0, 2 * NS_PER_S]
    assert kinds(notes) == ["gap"]


@pytest.mark.parametrize("jump_ns", [-5 * NS_PER_S, 601 * NS_PER_S])
def test_frames_go_on_after_a_break(jump_ns: int) -> None:
    timeline, notes = pictures()
    timeline.place(NS_PER_S)
    assert timeline.place(NS_PER_S + jump_ns) == NS_PER_S + STEP_NS
    assert timeline.place(NS_PER_S + jump_ns + STEP_NS) == NS_PER_S + 2 * STEP_NS
    assert kinds(notes) == ["timestamps"]


def test_a_doubled_stamp_moves_no_later_frame() -> None:
    timeline, notes = pictures()
    placed = [timeline.place(stamp) for stamp in (0, STEP_NS, STEP_NS, 2 * STEP_NS)]
    assert placed == [0, STEP_NS, STEP_NS + 1000, 2 * STEP_NS]
    assert kinds(notes) == ["timestamps"]


@given(st.lists(st.none() | st.integers(-10_000, 10_000_000), max_size=60))
def test_frames_only_go_forward(stamps_ms: list[int | None]) -> None:
    timeline, _ = pictures()
    placed = [timeline.place(None if stamp is None else stamp * NS_PER_MS) for stamp in stamps_ms]
    times = [time_ns for time_ns in placed if time_ns is not None]
    assert all(0 <= earlier < later for earlier, later in pairwise(times))


def test_notes_are_told_once_and_counted() -> None:
    notes = Notes("a.mkv", "audio")
    for second in range(3):
        notes.add("gap", "something is missing", second)
    notes.add("format", "the format changes", 5)
    assert [event.detail for event in notes.take()] == [
        "In the sound of a.mkv something is missing.",
        "In the sound of a.mkv the format changes.",
    ]
    assert notes.take() == []
    assert [event.detail for event in notes.summary(9)] == ["In the sound of a.mkv this happened 3 times in all: gap."]


@pytest.mark.parametrize(
    ("stated_s", "breaks_off", "lost", "damaged", "expected"),
    [
        (None, False, 0, 0, []),
        (3.4, False, 0, 0, []),
        (4.0, False, 0, 0, ["truncated"]),
        (None, True, 0, 0, ["truncated"]),
        (3.0, False, 2, 0, ["damaged"]),
        (None, False, 0, 1, ["damaged"]),
    ],
)
def test_what_the_end_shows(
    stated_s: float | None, breaks_off: bool, lost: int, damaged: int, expected: list[str]
) -> None:
    notes = Notes("a.mkv", "video")
    stated_ns = None if stated_s is None else round(stated_s * NS_PER_S)
    notes.ending(3 * NS_PER_S, stated_ns, breaks_off, lost, damaged)
    assert kinds(notes) == expected
