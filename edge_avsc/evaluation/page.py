"""A page that stands alone: HTML with its style inside, nothing to fetch, nothing that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { --ink: #1f2933; --soft: #5c6975; --line: #d9dee4; --pale: #f5f7f9; --blue: #2f6fbb; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 2rem 1.5rem 5rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 46rem; }
.soft, caption, figcaption { color: var(--soft); font-size: .9rem; }
nav { margin: 1.2rem 0 0; font-size: .9rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: var(--blue); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.4rem 0; }
.card { flex: 1 1 11rem; border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.75rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
th.words, td.words { text-align: left; }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; vertical-align: bottom; }
tr.total td { font-weight: 600; border-bottom: none; }
td small { color: var(--soft); }
figure { margin: 1rem 0; }
figure svg { max-width: 100%; height: auto; }
.side { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.side figure { flex: 1 1 26rem; max-width: 40rem; }
dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; max-width: 46rem; }
details summary { cursor: pointer; color: var(--blue); }
@media print { nav { display: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; *body* is HTML, *title* is text."""

    title: str
    body: str


def page(title: str, head: str, sections: Sequence[Section]) -> str:
    """Return a whole page: *head* is the HTML under its title, then a table of contents, then the sections."""
    named = list(enumerate((section for section in sections if section.body), 1))
    links = "".join(f'<a href="#s{number}">{escape(section.title)}</a>' for number, section in named)
    bodies = "".join(f'<h2 id="s{number}">{escape(section.title)}</h2>\n{section.body}\n' for number, section in named)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{head}\n<nav>{links}</nav>\n"
        f"{bodies}</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", total: bool = False) -> str:
    """Return a table of HTML cells; with *total* its last row stands out. Columns without any content are left out."""
    empty = [number for number in range(len(header)) if not any(row[number] for row in rows)]
    body = []
    for number, row in enumerate(rows):
        mark = ' class="total"' if total and number == len(rows) - 1 else ""
        cells = (f"<td{_side(cell)}>{cell}</td>" for place, cell in enumerate(row) if place not in empty)
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(
        f"<th{_side(rows[0][place]) if rows else ''}>{cell}</th>"
        for place, cell in enumerate(header)
        if place not in empty
    )
    return f'<div class="wide"><table>{named}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _side(cell: str) -> str:
    """Words begin at the left, numbers end at the right."""
    return "" if cell[:1].isdigit() or cell[:1] in "+-" else ' class="words"'


def figure(svg: str, caption: str = "") -> str:
    """Return a drawing with a text (not HTML) under it."""
    return f"<figure>{svg}" + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "") + "</figure>"


def card(value: str, what: str) -> str:
    """Return a large figure with a line under it."""
    html = f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
    return html.replace(" %", "&nbsp;%")
