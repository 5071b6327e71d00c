"""Draws the README's pictures of the terminal view, .github/*.svg, from a real replay or a real run.

python tools/draw_terminal.py --until-s 12           the demonstration at its own pace, so that latencies are real
python tools/draw_terminal.py clip.mp4 --until-s 8   a recording, as it looks 8 s into it
python tools/draw_terminal.py --run live.yaml --until-s 8 --width 150 --out .github/live.svg
"""

from __future__ import annotations

import argparse
import io
import threading
from pathlib import Path

from ending import end
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from edge_avsc import SceneEstimate, SceneModel, replay
from edge_avsc.arguments import count, positive
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import load_config
from edge_avsc.health import Health
from edge_avsc.live import Monitor
from edge_avsc.sinks.board import Board
from edge_avsc.sinks.console import SceneView
from edge_avsc.types import NS_PER_S

PICTURE = Path(__file__).resolve().parents[1] / ".github" / "terminal.svg"
THEME = TerminalTheme(
    (13, 17, 23),
    (220, 226, 232),
    [(72, 79, 88), (248, 81, 73), (63, 185, 80), (210, 153, 34), (59, 158, 255), (166, 120, 240), (43, 179, 163)],
)
# Rich's own format fetches a font from the network, which a README's picture may not do. These fonts are wider and
# lower than that one: one more pixel closes the seams between the lines, and every text has its length given anyway.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>The terminal view of edge-avsc</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 21px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: ui-sans-serif, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=["test://demo"], metavar="FILE")
    parser.add_argument("--run", metavar="YAML", help="draw a live run of this configuration instead")
    parser.add_argument("--model", default="avsc-lite", metavar="DIR")
    parser.add_argument("--speed", type=positive, default=1.0)
    parser.add_argument(
        "--until-s", type=float, default=float("inf"), help="stop after this much of the last recording"
    )
    parser.add_argument("--width", type=count, default=84, help="of the terminal, in characters")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="SVG")
    args = parser.parse_args()

    console = Console(width=args.width, height=60, file=io.StringIO(), record=True, color_system="truecolor")
    if args.run:
        board, title = run(args.run, args.until_s), "edge-avsc run"
    else:
        board = replayed(args.files, args.model, args.speed, args.until_s)
        title = " ".join(["edge-avsc replay", *(file for file in args.files if file != "test://demo")])
    console.print(SceneView(board))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(
        console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id="terminal"), encoding="utf-8"
    )
    print(args.out)


def replayed(files: list[str], model: str, speed: float, until_s: float) -> Board:
    """Replay *files* and return what a console remembers of them."""
    health = Health()
    board = Board(health.counters)
    for estimate in replay(*files, model=model, speed=speed, health=health, on_event=board.add_event):
        board.add(estimate)
        if estimate.stream == files[-1] and estimate.end_s >= until_s:
            break
    return board


def run(config: str, until_s: float) -> Board:
    """Run a configuration for so long and return what a console remembers of it."""
    settings, clock, stop = load_config(config), MonotonicClock(), threading.Event()
    monitor = Monitor(settings, SceneModel.load(settings.model), clock=clock, stop=stop)
    board = Board(monitor.health.counters)
    began_ns = clock.now_ns()
    for output in monitor.outputs():
        if isinstance(output, SceneEstimate):
            board.add(output)
        else:
            board.add_event(output)
        if clock.now_ns() - began_ns >= until_s * NS_PER_S:
            stop.set()
    return board


if __name__ == "__main__":
    end(main)
