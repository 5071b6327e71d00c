"""A recording that plays as if it happened now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_avsc.clock import Clock
from edge_avsc.types import NS_PER_S, Item, Role, available_ns

if TYPE_CHECKING:
    from edge_avsc.sources import Recording


class PacedRecording:
    """Delivers the items of a recording when they would have happened, had it begun when it was opened, and ends.

    open_recording: opens it, given who is to be asked whether a frame of the recording's own time is wanted.
    """

    def __init__(
        self, open_recording: Callable[[Callable[[int], bool]], Recording], clock: Clock, wants: Callable[[int], bool]
    ) -> None:
        self._open = open_recording
        self._clock = clock
        self._wants = wants
        with closing(open_recording(lambda time_ns: False)) as recording:
            self.roles: frozenset[Role] = recording.roles

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver the items at their pace until *stop* is set or the recording ends."""
        began_ns = self._clock.now_ns()
        with closing(self._open(lambda time_ns: self._wants(began_ns + time_ns))) as recording:
            for item in recording.items():
                here = replace(item, time_ns=began_ns + item.time_ns)
                if stop.wait(max(0, available_ns(here) - self._clock.now_ns()) / NS_PER_S):
                    return
                put(here)
