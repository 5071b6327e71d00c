"""SIGINT and SIGTERM end a live run, even while it waits for somebody to read its output."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_S = 0.5
"""How long after a signal a reader may take to make room for what is being written."""


class StopSignals:
    """Sets ``stop`` when the process is asked to end; to be made in the main thread.

    A write that blocks goes on blocking after a signal (PEP 475). So what is still inside :meth:`writing` PATIENCE_S
    later gets BrokenPipeError, as if its reader had gone; not on Windows, which has no timer for that.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._writing = False
        self._has_timer = hasattr(signal, "setitimer")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        if self._has_timer:
            signal.signal(signal.SIGALRM, self._insist)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Mark what may wait for a reader; raises BrokenPipeError where it waits too long after a signal."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.stop.set()
        if self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, PATIENCE_S)

    def _insist(self, number: int, frame: FrameType | None) -> None:
        if self._writing:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output")
