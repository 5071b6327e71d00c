"""How far a build is: a bar in a terminal, a line at its begin and end elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class BuildView:
    """Shows on *stream* what is built. A context manager; ``progress`` and ``say`` are what a Watch takes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: dict[str, TaskID | None] = {}
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
            self._view = _bars(self._stream)
        if what not in self._bars:
            self._bars[what] = self._view.add_task(what, total=1.0) if self._view else None
            if not self._view:
                print(f"building {what} …", file=self._stream, flush=True)
        bar = self._bars[what]
        if self._view and bar is not None:
            self._view.update(bar, completed=share)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        if self._view:
            self._view.console.print(sentence)
        else:
            print(sentence, file=self._stream, flush=True)


def _bars(stream: TextIO) -> Progress:
    # Only where something is built: the doctor must be able to say that the library is missing.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("building {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    view = Progress(*columns, console=Console(file=stream))
    view.start()
    return view
