"""How far a build is: a bar in a terminal, a line at its begin and end elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class BuildView:
    """Shows on *stream* what is built. A context manager; ``progress`` and ``say`` are what a Watch takes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: dict[str, TaskID] = {}
        self._view: Progress | None = None

    def __enter__(self) -> BuildView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._view:
            self._view.stop()

    def progress(self, what: str, share: float) -> None:
        """Show that *what* is built, and how far that is, 0..1."""
        if self._stream.isatty() and self._view is None:
            columns = (TextColumn("building {task.description}"), BarColumn(), TaskProgressColumn())
            self._view = Progress(*columns, TimeElapsedColumn(), console=Console(file=self._stream))
            self._view.start()
        if self._view:
            if what not in self._bars:
                self._bars[what] = self._view.add_task(what, total=1.0)
            self._view.update(self._bars[what], completed=share)
        elif what not in self._bars:
            self._bars[what] = TaskID(len(self._bars))
            print(f"building {what} …", file=self._stream, flush=True)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        if self._view:
            self._view.console.print(sentence)
        else:
            print(sentence, file=self._stream, flush=True)
