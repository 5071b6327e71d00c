"""What every sink can do, and how writing fails."""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Protocol

from edge_avsc.errors import EdgeAvscError
from edge_avsc.types import SceneEstimate, StreamEvent


class Sink(Protocol):
    """Where estimates and events go; a context manager, so that what is open gets closed."""

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, estimate: SceneEstimate) -> None:
        """Pass one estimate on; raises EdgeAvscError when it cannot, OutputClosedError when nobody reads any more."""
        ...

    def event(self, event: StreamEvent) -> None:
        """Pass one event on; raises as :meth:`write` does."""
        ...


class OutputClosedError(BrokenPipeError):
    """Whoever read the output went away, as ``| head`` does: a reason to end quietly with exit code 0, not an error.

    It was the standard output: point its descriptor at ``os.devnull`` before the interpreter flushes it at exit.
    """


def write_failure(error: OSError, name: str, *, named: bool = False) -> OutputClosedError | EdgeAvscError:
    """Return what to raise when writing to *name* failed with *error*; *named*: the user named it, as a file."""
    if isinstance(error, BrokenPipeError):
        if named:
            return EdgeAvscError(f"Nobody reads {name} any more; start its reader again, or name a file.")
        return OutputClosedError(error.errno, f"nobody reads {name} any more")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgeAvscError(f"There is no space left to write {name}; free some, or name a file on another disk.")
    return EdgeAvscError(f"{name} cannot be written ({error.strerror}); check its disk, or name another file.")


def visible(text: str) -> str:
    """Return *text* on one line, without control and other invisible characters, safe to print in a terminal."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
