"""A thread that reads what may block, and the watch over it: nobody waits longer for a device than he wants to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_avsc.clock import Clock
from edge_avsc.errors import DeviceError
from edge_avsc.types import NS_PER_S, Item

POLL_S = 0.05
"""How soon a stop, an error or a stall is seen."""

LETTING_GO_S = 0.2
"""How long a stop waits for the device to be closed; a read that blocks closes it later, by its own timeout."""


class Feed:
    """The reading thread's side: items go out until nobody wants them any more, and every sign of life counts."""

    def __init__(self, put: Callable[[Item], None], clock: Clock) -> None:
        self.opened = False
        """Set it when the device is open: from then on the shorter limit holds."""
        self._put = put
        self._clock = clock
        self._closed = threading.Lock()
        self._wanted = True
        self.alive_ns = clock.now_ns()

    @property
    def wanted(self) -> bool:
        """False when the source was stopped or given up: close the device and return."""
        return self._wanted

    def now_ns(self) -> int:
        """Return the time now."""
        return self._clock.now_ns()

    def alive(self) -> int:
        """Tell that the device has just delivered something; return the time now."""
        self.alive_ns = self._clock.now_ns()
        return self.alive_ns

    def put(self, item: Item) -> None:
        """Hand an item on, unless the source was given up meanwhile."""
        with self._closed:
            if self._wanted:
                self._put(item)

    def close(self) -> None:
        """Take nothing more."""
        with self._closed:
            self._wanted = False


class Watched:
    """Runs *read* in a thread of its own until it is stopped, fails, or shows no sign of life.

    name: what the errors call the source. read: opens the device, sets ``feed.opened``, and delivers while
    ``feed.wanted``. opening_s, silence_s: how long it may show no sign of life before and after it is open. let_go: is
    called, in another thread, when nobody wants anything more, to end a read that blocks.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        read: Callable[[Feed], None],
        *,
        opening_s: float = 5.0,
        silence_s: float = 1.0,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._read = read
        self._opening_s = opening_s
        self._silence_s = silence_s
        self._end_read = let_go
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver until *stop* is set. Raises DeviceError when the source cannot be opened, ends, or stalls."""
        if not self._let_go(stop):
            return
        feed = Feed(put, self._clock)
        self._error = None
        self._thread = threading.Thread(target=self._keep_error, args=(feed,), name=self._name, daemon=True)
        self._thread.start()
        try:
            self._watch(feed, self._thread, stop)
        finally:
            feed.close()
            self._end_read()
            self._thread.join(LETTING_GO_S)

    def _let_go(self, stop: threading.Event) -> bool:
        """Wait until an earlier read has closed the device; tell whether to go on."""
        start_ns = self._clock.now_ns()
        while self._thread is not None and self._thread.is_alive():
            if stop.wait(POLL_S):
                return False
            if self._clock.now_ns() - start_ns > self._opening_s * NS_PER_S:
                raise DeviceError(f"{self._name} still blocks an earlier attempt to read it; unplug it or restart it.")
        return not stop.is_set()

    def _keep_error(self, feed: Feed) -> None:
        try:
            self._read(feed)
        except BaseException as error:
            if feed.wanted:
                self._error = error

    def _watch(self, feed: Feed, thread: threading.Thread, stop: threading.Event) -> None:
        stale = 0
        while not stop.wait(POLL_S):
            if not thread.is_alive():
                raise self._error or DeviceError(f"{self._name} has ended; start it again.")
            limit_s = self._silence_s if feed.opened else self._opening_s
            # Twice in a row: a process that was itself suspended must not blame the device.
            stale = stale + 1 if self._clock.now_ns() - feed.alive_ns > limit_s * NS_PER_S else 0
            if stale > 1:
                raise self.stalled() if feed.opened else self._unopened()

    def stalled(self) -> DeviceError:
        """Return the error for a source that sends nothing."""
        return DeviceError(f"{self._name} has sent nothing for {self._silence_s:g} s; check its power and its cable.")

    def _unopened(self) -> DeviceError:
        return DeviceError(f"{self._name} did not open within {self._opening_s:g} s; check its power and its address.")
