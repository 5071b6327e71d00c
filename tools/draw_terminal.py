"""Draws the README's picture of the terminal view, .github/terminal.svg, from a real replay.

python tools/draw_terminal.py --until-s 17           the demonstration at its own pace, so that latencies are real
python tools/draw_terminal.py clip.mp4 --until-s 8   a recording, as it looks 8 s into it
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from edge_avsc import replay
from edge_avsc.health import Health
from edge_avsc.sinks.board import Board
from edge_avsc.sinks.console import SceneView

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
    parser.add_argument("--model", default="avsc-lite", metavar="DIR")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument(
        "--until-s", type=float, default=float("inf"), help="stop after this much of the last recording"
    )
    parser.add_argument("--width", type=int, default=84, help="of the terminal, in characters")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="SVG")
    args = parser.parse_args()

    console = Console(width=args.width, height=60, file=io.StringIO(), record=True, color_system="truecolor")
    console.print(SceneView(replayed(args.files, args.model, args.speed, args.until_s)))
    title = " ".join(["edge-avsc replay", *(file for file in args.files if file != "test://demo")])
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


if __name__ == "__main__":
    main()
