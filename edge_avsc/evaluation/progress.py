"""How far an evaluation is: a bar in a terminal, a line for every twentieth elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_LINES = 20


def shown(items: Iterator[T], total: int, what: str, stream: TextIO, done: int = 0) -> Iterator[T]:
    """Yield *items* and show on *stream* how many of *total* are dealt with; *done* of them were before."""
    yield from (_bar if stream.isatty() else _lines)(items, total, what, stream, done)


def _bar(items: Iterable[T], total: int, what: str, stream: TextIO, done: int) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left:"), TimeRemainingColumn(), console=Console(file=stream)) as progress:
        task = progress.add_task(what, total=total, completed=done)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], total: int, what: str, stream: TextIO, done: int) -> Iterator[T]:
    for number, item in enumerate(items, done + 1):
        yield item
        if number * _LINES // total > (number - 1) * _LINES // total:
            print(f"{what}: {number} of {total} clips", file=stream, flush=True)
