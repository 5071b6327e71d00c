from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_avsc.sinks.board import Board
from edge_avsc.types import SceneEstimate, StreamEvent


def test_the_summary_is_stretches_of_labels(
    make_estimate: Callable[..., SceneEstimate], lost_camera: StreamEvent
) -> None:
    board = Board(
        lambda stream: {"audio_gap_samples": 480, "video_late_frames": 0, "windows_av": 4, "windows_skipped": 2}
    )
    for index, (label, confidence) in enumerate([("bus", 0.6), ("bus", 0.8), ("unsure", 0.4), ("bus", 0.5)]):
        board.add(make_estimate(index, scene_label=label, confidence=confidence))
    board.add_event(lost_camera)
    board.add_event(lost_camera)
    assert list(board.summary_lines()) == [
        "clip.mp4: 4 windows, 25 % unsure",
        "      0.00 -     1.50 s  bus                mean confidence 0.70",
        "      1.50 -     2.00 s  unsure             mean confidence 0.40",
        "      2.00 -     2.50 s  bus                mean confidence 0.50",
        "  events: video lost (2 times)",
        "  lost or left out: 480 audio gap samples, 2 windows skipped",
    ]


def test_a_stream_that_only_had_events_has_a_summary(lost_camera: StreamEvent) -> None:
    board = Board()
    board.add_event(lost_camera)
    assert list(board.summary_lines()) == ["clip.mp4: 0 windows", "  events: video lost"]


def test_of_many_stretches_the_last_are_told(make_estimate: Callable[..., SceneEstimate]) -> None:
    board = Board()
    for index in range(50):
        board.add(make_estimate(index, scene_label="bus" if index % 2 else "park"))
    lines = list(board.summary_lines())
    assert lines[:2] == ["clip.mp4: 50 windows", "  (30 earlier labels)"]
    assert len(lines) == 22
    assert "25.00 -    25.50 s  bus" in lines[-1]


def test_since_is_the_end_of_the_first_window_with_the_label(make_estimate: Callable[..., SceneEstimate]) -> None:
    board = Board()
    for index, changed in enumerate([True, False, True, False]):
        board.add(make_estimate(index, changed=changed))
    ((_, now),) = board.streams()
    assert now.since_s == 2.0
    assert now.estimate is not None
    assert now.estimate.index == 3


def test_the_last_event_of_each_source_is_its_state(lost_camera: StreamEvent) -> None:
    board = Board()
    board.add_event(lost_camera)
    board.add_event(replace(lost_camera, source="audio", event="silent"))
    board.add_event(replace(lost_camera, event="recovered", detail="It is back."))
    ((_, now),) = board.streams()
    assert now.states == {"video": "recovered", "audio": "silent"}
    assert now.events[-1] == "video recovered: It is back."
    assert len(now.events) == 2
