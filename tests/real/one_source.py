"""A real source that runs by itself, and what it delivers when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_avsc.errors import DeviceError
from edge_avsc.types import Item, SourceEvent, VideoFrame


@dataclass
class Run:
    """A source that runs in a thread of its own; *error* is what it raised."""

    source: Any
    items: list[tuple[int, Item]] = field(default_factory=list)
    error: BaseException | None = None

    def __enter__(self) -> Run:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self.source.run(lambda item: self.items.append((time.monotonic_ns(), item)), self._stop)
        except DeviceError as error:
            self.error = error

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> float:
        """Wait until *condition* holds; return how long it took in seconds."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout_s, f"{self.error!r} after {len(self.items)} items"
            time.sleep(0.01)
        return time.monotonic() - start

    def wait_for_frames(self, count: int) -> float:
        return self.wait_for(lambda: len(self.frames) >= count)

    def wait_for_loss(self) -> float:
        return self.wait_for(lambda: self.error is not None)

    def stop(self) -> float:
        """Stop it; return how long that took in seconds."""
        start = time.monotonic()
        self._stop.set()
        self._thread.join(10)
        return time.monotonic() - start

    @property
    def frames(self) -> list[tuple[int, VideoFrame]]:
        return [(at_ns, item) for at_ns, item in list(self.items) if isinstance(item, VideoFrame)]

    @property
    def events(self) -> list[str]:
        return [item.event for _, item in list(self.items) if isinstance(item, SourceEvent)]
