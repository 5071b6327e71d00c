"""The view for people: live in a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import os
import textwrap
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from edge_avsc.sinks.base import OutputClosedError, visible, write_failure
from edge_avsc.sinks.board import Board, StreamNow
from edge_avsc.sinks.plain import PlainConsole
from edge_avsc.types import SceneEstimate, StreamEvent

REFRESH_S = 0.1
LAST_VIEW_S = 2.0
"""How long a terminal may take to show the last view."""
PANEL_MIN_WIDTH = 58
PANEL_MAX_WIDTH = 100
PANEL_MIN_HEIGHT = 12
HUES = (
    *("#3b9eff", "#e8a317", "#a678f0", "#6c7bff", "#3fb950"),
    *("#f0883e", "#ec6cb9", "#d4b106", "#f85149", "#2bb3a3"),
)
UNSURE_HUE = "#8b949e"
FRAME = "grey50"
RESTS_ON = {
    "av": "sound and pictures",
    "a": "sound alone",
    "v": "pictures alone",
    "none": "nothing: no sound, no pictures",
}
TROUBLE = {
    "lost": "red",
    "stalled": "red",
    "silent": "yellow",
    "black": "yellow",
    "damaged": "yellow",
    "fallback": "yellow",
}


def make_console(
    stream: TextIO,
    *,
    changes_only: bool = False,
    counters: Callable[[str], Mapping[str, int]] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> PlainConsole | LiveConsole:
    """Return the live view where *stream* is a terminal that can draw it, else plain lines.

    counters: gives a stream's counters, to show what was lost. ``NO_COLOR`` takes the colours away, ``TERM=dumb`` the
    live view.
    """
    encoding = (stream.encoding or "").lower().replace("-", "")
    simple = environ.get("TERM") in ("dumb", "unknown") or encoding != "utf8"
    if changes_only or simple or not stream.isatty():
        return PlainConsole(stream, changes_only=changes_only, counters=counters)
    return LiveConsole(Console(file=stream, no_color=bool(environ.get("NO_COLOR")), highlight=False), counters=counters)


class LiveConsole:
    """A panel for each stream, drawn anew when there is news, at most ten times a second, by a thread of its own."""

    def __init__(self, console: Console, *, counters: Callable[[str], Mapping[str, int]] | None = None) -> None:
        self._console = console
        self._board = Board(counters)
        self._live = Live(SceneView(self._board), console=console, auto_refresh=False)
        self._news = threading.Event()
        self._ended = threading.Event()
        self._artist = threading.Thread(target=self._draw, name="console", daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> LiveConsole:
        self._live.start()
        self._artist.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._news.set()
        self._artist.join(LAST_VIEW_S)
        if self._artist.is_alive():
            if kind is None:
                raise OutputClosedError(errno.EPIPE, "the terminal stands still")
            return
        try:
            self._live.stop()
        except OSError as failure:
            self._failure = failure
        if kind is None:
            self._raise_failure()

    def write(self, estimate: SceneEstimate) -> None:
        """Show one estimate; EdgeAvscError when the terminal is gone."""
        self._raise_failure()
        self._board.add(estimate)
        self._news.set()

    def event(self, event: StreamEvent) -> None:
        """Show one event; raises as :meth:`write` does."""
        self._raise_failure()
        self._board.add_event(event)
        self._news.set()

    def summary(self) -> None:
        """Print a short summary of each stream below the last view; to be called when the view has ended."""
        for line in self._board.summary_lines():
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        while not self._ended.is_set():
            self._news.wait()
            self._news.clear()
            try:
                self._live.refresh()
            except Exception as error:
                self._failure = error
                return
            self._ended.wait(REFRESH_S)

    def _raise_failure(self) -> None:
        if isinstance(self._failure, OSError):
            raise write_failure(self._failure, "the terminal") from self._failure
        if self._failure:
            raise self._failure


class SceneView:
    """A board as one picture, as wide and as high as the terminal: panels, or a line each where room is short."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        streams = self._board.streams()
        if not streams:
            yield Text("waiting for the first window", style="dim")
            return
        room = console.size.height - 1
        across = max(1, min(len(streams), options.max_width // PANEL_MIN_WIDTH))
        width = min(options.max_width // across, PANEL_MAX_WIDTH)
        # Panels that cannot fit are not drawn to find that out: forty streams took 20 ms a picture, now 2.5.
        fit = -(-len(streams) // across) * PANEL_MIN_HEIGHT <= room
        for top in (None, 3) if fit else ():
            panels = [self._panel(stream, now, width, top) for stream, now in streams]
            rows = [panels[first : first + across] for first in range(0, len(panels), across)]
            if sum(_height(row) for row in rows) <= room:
                break
        else:
            # The stream that began last is the one that plays, when recordings follow one another.
            width = min(options.max_width, PANEL_MAX_WIDTH)
            whole, short = ([self._panel(*streams[-1], width, top)] for top in (None, 3))
            rows = [whole if _height(whole) <= room else short]
            others = max(0, room - _height(rows[0]))
            yield from (_one_line(*one, options.max_width) for one in streams[max(0, len(streams) - 1 - others) : -1])
        for row in rows:
            framed = [_framed(title, lines, width, _height(row)) for title, lines in row]
            yield from (Text.assemble(*line, no_wrap=True) for line in zip(*framed, strict=True))

    def _panel(self, stream: str, now: StreamNow, width: int, top: int | None) -> tuple[str, list[Text]]:
        width = max(width - 4, 8)
        if now.estimate is None:
            lines = [Text("waiting for the first window", style="dim")]
        else:
            lines = [*_banner(now.estimate, now.since_s), Text(), *_bars(now.estimate, width, top), Text()]
            lines += _measures(now.estimate, now.states)
        lost = self._board.lost(stream)
        told = [f"lost or left out: {lost}"] if lost else []
        for sentence in (*told, *(f"! {event}" for event in now.events)):
            lines += [Text(line, style="yellow") for line in textwrap.wrap(sentence, width, subsequent_indent="  ")]
        return _tail(stream, width - 2), lines


def _height(row: list[tuple[str, list[Text]]]) -> int:
    return max(len(lines) for _, lines in row) + 2


def _framed(title: str, lines: list[Text], width: int, height: int) -> list[Text]:
    # Rich's own panels in a grid would wrap and measure every line four times over: 8 ms a picture instead of 3.
    name = Text(title, style="bold")
    name.truncate(width - 6, overflow="ellipsis")
    legend = Text("━ smoothed  │ this window alone")
    legend.truncate(width - 6)
    rows = [Text.assemble(("╭─ ", FRAME), name, (f" {'─' * (width - 5 - name.cell_len)}╮", FRAME))]
    for line in (*lines, *[Text()] * (height - 2 - len(lines))):
        inside = line.copy()
        inside.truncate(width - 4, overflow="ellipsis", pad=True)
        rows.append(Text.assemble(("│ ", FRAME), inside, (" │", FRAME)))
    return [*rows, Text(f"╰{'─' * (width - 5 - legend.cell_len)} {legend.plain} ─╯", style=FRAME)]


def _hue(estimate: SceneEstimate, label: str) -> str:
    labels = list(estimate.probabilities)
    return HUES[labels.index(label) % len(HUES)] if label in labels else UNSURE_HUE


def _banner(estimate: SceneEstimate, since_s: float) -> list[Text]:
    hue = _hue(estimate, estimate.scene_label)
    words = f"   {_words(estimate.scene_label).upper()}   "
    block, blank = f"bold #0d1117 on {hue}", " " * len(words)
    return [
        Text.assemble((blank, block), "  confidence ", (f"{100 * estimate.confidence:.0f} %", "bold")),
        Text.assemble((words, block), f"  since {_clock(since_s)}, now {_clock(estimate.end_s)}"),
        Text.assemble((blank, block), f"  by {RESTS_ON[estimate.modality]}"),
    ]


def _bars(estimate: SceneEstimate, width: int, top: int | None) -> list[Text]:
    smoothed = estimate.probabilities
    shown = sorted(smoothed, key=lambda label: -smoothed[label])[:top] if top else list(smoothed)
    name_width = max(len(label) for label in smoothed) + 2
    room = max(width - name_width - 6, 1)
    lines = []
    for label in shown:
        current = label == estimate.scene_label
        line = Text.assemble((_words(label).ljust(name_width), "bold" if current else ""))
        line.append_text(
            _bar(smoothed[label], estimate.window_probabilities.get(label, 0.0), room, _hue(estimate, label))
        )
        lines.append(line.append(f"{100 * smoothed[label]:4.0f} %", style="bold" if current else "grey50"))
    return lines


def _bar(share: float, mark: float, width: int, hue: str) -> Text:
    halves = round(share * width * 2)
    bar = Text(("━" * (halves // 2) + "╸" * (halves % 2)).ljust(width, "─"), style="grey42")
    bar.stylize(hue, 0, (halves + 1) // 2)
    at = min(int(mark * width), width - 1)
    return Text.assemble(bar[:at], ("│", "grey70"), bar[at + 1 :]) if at else bar


def _measures(estimate: SceneEstimate, states: Mapping[str, str]) -> list[Text]:
    sound = _state("sound", estimate.audio_coverage, states.get("audio"))
    pictures = _state("pictures", estimate.video_coverage, states.get("video"))
    for line in (sound, pictures):
        line.pad_right(max(0, 22 - len(line)))
    if estimate.av_skew_ms is not None:
        sound.append(f"skew     {estimate.av_skew_ms:+.1f} ms")
    latency = estimate.latency
    if latency is not None and latency.close_to_label is not None:
        wait = "" if latency.wait is None else f", wait {latency.wait:.1f} ms"
        pictures.append(f"latency  {latency.close_to_label:.1f} ms{wait}")
    return [sound, pictures]


def _state(name: str, coverage: float, event: str | None) -> Text:
    if coverage > 0.0:
        dot, colour, word = ("●", "green", "whole") if coverage >= 1.0 else ("◐", "yellow", f"{100 * coverage:.0f} %")
    else:
        word = event if event in TROUBLE else "none"
        dot, colour = "○", TROUBLE.get(word, "grey50")
    return Text.assemble(f"{name:9}", (dot, colour), f" {word}")


def _one_line(stream: str, now: StreamNow, width: int) -> Text:
    if now.estimate is None:
        line = Text(_tail(stream, width))
    else:
        hue = _hue(now.estimate, now.estimate.scene_label)
        line = Text.assemble(("● ", hue), (f"{_words(now.estimate.scene_label):18}", f"bold {hue}"))
        line.append(f"{100 * now.estimate.confidence:3.0f} %  {_clock(now.estimate.end_s):>8}  ")
        line.append(_tail(stream, width - len(line)))
    line.truncate(width, overflow="ellipsis")
    return line


def _words(label: str) -> str:
    return visible(label.replace("_", " "))


def _tail(stream: str, width: int) -> str:
    name = visible(stream)
    return name if len(name) <= width else f"…{name[-max(1, width - 1) :]}"


def _clock(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds, 1), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest_s:04.1f}" if hours else f"{minutes}:{rest_s:04.1f}"
