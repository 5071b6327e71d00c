"""One line of text for each estimate: where the output is a file, a pipe or a simple terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from edge_avsc.sinks.base import visible, write_failure
from edge_avsc.sinks.board import Board, event_text
from edge_avsc.types import SceneEstimate, StreamEvent


class PlainConsole:
    """Prints ``stream  start-end s  label  confidence  modality  *``; the star marks a change of the label.

    changes_only: print an estimate only when its label changes. counters: what the summary names as lost.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        changes_only: bool = False,
        counters: Callable[[str], Mapping[str, int]] | None = None,
    ) -> None:
        self._stream = stream
        self._changes_only = changes_only
        self._board = Board(counters)

    def __enter__(self) -> PlainConsole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def write(self, estimate: SceneEstimate) -> None:
        """Print one estimate; raises EdgeAvscError when it cannot, OutputClosedError when nobody reads any more."""
        self._board.add(estimate)
        if self._changes_only and not estimate.changed:
            return
        mark = "  *" if estimate.changed else ""
        self._print(
            f"{visible(estimate.stream)}  {estimate.start_s:8.2f} - {estimate.end_s:8.2f} s  {estimate.scene_label:17}"
            f"  {estimate.confidence:.2f}  {estimate.modality:4}{mark}"
        )

    def event(self, event: StreamEvent) -> None:
        """Print one event; raises as :meth:`write` does."""
        self._board.add_event(event)
        self._print(f"{visible(event.stream)}  ! {event_text(event)}")

    def summary(self) -> None:
        """Print an empty line and a short summary of each stream; raises as :meth:`write` does."""
        self._print("")
        for line in self._board.summary_lines():
            self._print(line)

    def _print(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(line.rstrip().encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except OSError as error:
            raise write_failure(error, "the console's output") from error
