from __future__ import annotations

import errno
import io
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from rich.console import Console

from edge_avsc.errors import EdgeAvscError
from edge_avsc.sinks.board import Board
from edge_avsc.sinks.console import LiveConsole, SceneView, make_console
from edge_avsc.sinks.plain import PlainConsole
from edge_avsc.types import Latency, SceneEstimate, StreamEvent

LABELS = ("airport", "bus", "metro", "metro_station", "park", "public_square", "shopping_mall", "street_pedestrian")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def picture(board: Board, width: int, height: int = 40) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True, color_system=None)
    console.print(SceneView(board))
    return console.export_text().splitlines()


@pytest.fixture
def wide_estimate(make_estimate: Callable[..., SceneEstimate]) -> SceneEstimate:
    rest = dict.fromkeys(LABELS, 0.02)
    return make_estimate(
        probabilities={**rest, "park": 0.86}, window_probabilities={**rest, "park": 0.5}, scene_label="park"
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_panel_shows_all_there_is_to_know(width: int, wide_estimate: SceneEstimate, lost_camera: StreamEvent) -> None:
    board = Board(lambda stream: {"audio_gap_samples": 480, "windows_av": 9})
    board.add(replace(wide_estimate, changed=True, end_ns=3_000_000_000))
    board.add(replace(wide_estimate, video_coverage=0.0, audio_coverage=0.5, modality="a"))
    board.add_event(lost_camera)
    lines = picture(board, width)
    assert {len(line) for line in lines} == {min(width, 100)}
    text = " ".join(" ".join(lines).replace("│", " ").split())
    for words in (
        "clip.mp4",
        "PARK",
        "confidence 83 %",
        "since 0:03.0, now 0:07.0",
        "by sound alone",
        *(label.replace("_", " ") for label in LABELS),
        "86 %",
        "sound ◐ 50 %",
        "pictures ○ lost",
        "skew +0.4 ms",
        "latency 1.1 ms, wait 17.0 ms",
        "lost or left out: 480 audio gap samples",
        "! video lost: The camera v4l2:///dev/video0 was unplugged; trying again every 2 s.",
    ):
        assert words in text


def test_bars_are_as_long_as_their_share(make_estimate: Callable[..., SceneEstimate]) -> None:
    board = Board()
    probabilities = {"bus": 0.5, "park": 0.5, "tram": 0.0}
    board.add(make_estimate(probabilities=probabilities, window_probabilities={"bus": 1.0, "park": 0.25, "tram": 0.0}))
    bus, park, tram = (
        next(line for line in picture(board, 80) if line.startswith(f"│ {name}")) for name in probabilities
    )
    room = bus.count("━") * 2
    assert bus.index("│", 2) - bus.index("━") == room - 1, "the mark of the window alone is at the bar's end"
    assert park.index("│", 2) - park.index("━") == room // 4
    assert park.count("━") == room // 2 - 1, "the mark covers one cell"
    assert "━" not in tram
    assert tram.endswith("0 % │")


@pytest.mark.parametrize(
    ("modality", "words"), [("av", "sound and pictures"), ("v", "pictures alone"), ("none", "nothing")]
)
def test_the_modality_is_told_in_words(modality: str, words: str, make_estimate: Callable[..., SceneEstimate]) -> None:
    board = Board()
    board.add(make_estimate(modality=modality, scene_label="unsure", latency=None, av_skew_ms=None))
    text = "\n".join(picture(board, 60))
    assert f"by {words}" in text
    assert "UNSURE" in text
    assert "latency" not in text
    assert "skew" not in text


def test_a_stage_that_was_not_timed_is_left_out(make_estimate: Callable[..., SceneEstimate]) -> None:
    board = Board()
    board.add(make_estimate(latency=Latency(None, None, None, None, 2.0)))
    assert "latency  2.0 ms  " in "\n".join(picture(board, 60))


def test_streams_stand_side_by_side_where_there_is_room(wide_estimate: SceneEstimate) -> None:
    board = Board()
    for stream in ("lobby", "yard"):
        board.add(replace(wide_estimate, stream=stream))
    (top, *_) = picture(board, 120)
    assert "lobby" in top
    assert "yard" in top
    tops = [line for line in picture(board, 80, height=60) if line.startswith("╭")]
    assert ["lobby" in tops[0], "yard" in tops[1]] == [True, True]


def test_where_room_is_short_only_the_likeliest_are_shown(wide_estimate: SceneEstimate) -> None:
    board = Board()
    for stream in ("lobby", "yard"):
        board.add(replace(wide_estimate, stream=stream))
    lines = picture(board, 80, height=30)
    assert len(lines) < 30
    assert len([line for line in lines if line.endswith("% │")]) == 6


@pytest.mark.parametrize("height", [12, 24, 40])
def test_many_streams_never_outgrow_the_terminal(height: int, wide_estimate: SceneEstimate) -> None:
    board = Board()
    for n in range(50):
        board.add(replace(wide_estimate, stream=f"clips/{n}.mp4"))
    lines = picture(board, 80, height=height)
    assert len(lines) <= max(height - 1, 12)
    assert any("clips/49.mp4" in line and line.startswith("╭") for line in lines)
    if height == 24:
        assert lines[0] == "● park               83 %    0:07.0  clips/43.mp4"


def test_a_long_name_keeps_its_end(wide_estimate: SceneEstimate) -> None:
    board = Board()
    board.add(replace(wide_estimate, stream="/data/" + "long/" * 30 + "clip.mp4"))
    assert "long/clip.mp4 ─" in picture(board, 60)[0]


@pytest.mark.parametrize("width", [1, 5, 20, 40])
def test_a_tiny_terminal_does_no_harm(width: int, wide_estimate: SceneEstimate, lost_camera: StreamEvent) -> None:
    board = Board()
    board.add(wide_estimate)
    board.add_event(lost_camera)
    assert picture(board, width)


def test_before_the_first_window_it_says_so(lost_camera: StreamEvent) -> None:
    assert picture(Board(), 80) == ["waiting for the first window"]
    board = Board()
    board.add_event(lost_camera)
    text = "\n".join(picture(board, 80))
    assert "waiting for the first window" in text
    assert "! video lost" in text


def test_a_live_console_draws_the_last_news_and_then_the_summary(
    wide_estimate: SceneEstimate, lost_camera: StreamEvent
) -> None:
    out = Terminal()
    with LiveConsole(Console(file=out, force_terminal=True, width=80, height=40)) as console:
        console.write(wide_estimate)
        console.event(lost_camera)
    console.summary()
    assert "PARK" in out.getvalue()
    assert "was unplugged" in out.getvalue()
    assert out.getvalue().endswith("  events: video lost\n")


class Closable(Terminal):
    """A terminal whose window can be closed."""

    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_terminal_that_is_gone_is_one_clear_sentence(wide_estimate: SceneEstimate) -> None:
    out = Closable()

    def show_and_close() -> None:
        with LiveConsole(Console(file=out, force_terminal=True)) as console:
            out.gone = True
            console.write(wide_estimate)

    with pytest.raises(EdgeAvscError, match=r"the terminal cannot be written \(Input/output error\)"):
        show_and_close()


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (Terminal(), {"TERM": "xterm-256color"}, LiveConsole),
        (Terminal(), {"TERM": "xterm-256color", "NO_COLOR": "1"}, LiveConsole),
        (Terminal(), {"TERM": "dumb"}, PlainConsole),
        (Terminal(), {}, LiveConsole),
        (io.StringIO(), {"TERM": "xterm-256color"}, PlainConsole),
    ],
)
def test_the_live_view_is_for_terminals(stream: io.StringIO, environ: Mapping[str, str], kind: type[object]) -> None:
    assert type(make_console(stream, environ=environ)) is kind


def test_changes_only_asks_for_lines() -> None:
    assert type(make_console(Terminal(), changes_only=True, environ={"TERM": "xterm"})) is PlainConsole


def test_no_color_leaves_the_colours_out(wide_estimate: SceneEstimate) -> None:
    out = Terminal()
    with make_console(out, environ={"TERM": "xterm-256color", "NO_COLOR": "1"}) as console:
        console.write(wide_estimate)
    assert "PARK" in out.getvalue()
    assert "\x1b[38;" not in out.getvalue()
