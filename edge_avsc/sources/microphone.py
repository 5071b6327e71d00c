"""Live sound from any device that PortAudio can open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edge_avsc.clock import Clock
from edge_avsc.errors import DeviceError
from edge_avsc.sources._capture import Capture, Watchdog
from edge_avsc.sources._ear_process import CLOSE_S, OPEN_S, EarProcess, ask, program
from edge_avsc.sources._microphone_uri import parse
from edge_avsc.types import NS_PER_S, Item, Role

POLL_S = 0.03
TURN_S = 2.0


class Microphone:
    """A device that hears, by an ear: a process of its own, since PortAudio can hang in, or abort, the one it is in.

    uri: ``default``, a device's name (or a part that only it has) or number as PortAudio has them, ``alsa://hw:1,0``,
    or ``usb-id:vendor:product[:serial]``; each with ``?rate=48000&channels=1`` where the device's own will not do.
    clock: the machine's monotonic one, which that process reads too. ear: what to start instead, for tests.
    overflows: how often the device lost samples because nobody took them, over all runs.

    Raises ConfigError for a malformed URI.
    """

    roles: frozenset[Role] = frozenset({"audio"})

    def __init__(self, uri: str, *, clock: Clock, ear: Sequence[str] | None = None) -> None:
        self.overflows = 0
        self._name = f"The microphone '{parse(uri).text}'"
        self._program = ear or program("hear", uri)
        self._clock = clock
        self._ear: EarProcess | None = None

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Open the device and *put* what it hears, from a thread of its own, until *stop* is set.

        An AudioChunk's index begins at 0. It may be called again after an error. Raises DeviceError when the device
        cannot be opened, when it ends, when PortAudio crashes, or when nothing is delivered for a second; and whatever
        *put* raises.
        """
        if self._ear is not None and not self._ear.gone(CLOSE_S):
            raise DeviceError(f"{self._name} still hangs in its driver; pull it out, or start the machine anew.")
        turn = _Turn(stop)
        capture = Capture(put)
        try:
            ear = self._ear = EarProcess(self._program, capture.take)
            try:
                self._watch(ear, capture, turn, stop)
            finally:
                ear.end()
                self.overflows += capture.overflows
        finally:
            turn.over()

    def _watch(self, ear: EarProcess, capture: Capture, turn: _Turn, stop: threading.Event) -> None:
        opened_by_ns = self._clock.now_ns() + round(OPEN_S * NS_PER_S)
        watchdog: Watchdog | None = None
        while not stop.wait(POLL_S):
            now_ns, gone = self._clock.now_ns(), ear.gone()
            if ear.error is not None:
                raise ear.error
            if gone:
                raise DeviceError(
                    f"{self._name} is lost: PortAudio crashed {ear.death}; check the device, or the sound server."
                )
            if ear.started:
                turn.over()
                watchdog = watchdog or Watchdog(now_ns)
                if watchdog.stalled(now_ns, capture.blocks):
                    raise DeviceError(f"{self._name} delivers nothing any more; check the device, or the sound server.")
            elif now_ns > opened_by_ns:
                raise DeviceError(f"{self._name} does not open: the sound server does not answer; start it again.")


class _Turn:
    """The right to open a device, until it is open.

    For its list of devices PortAudio opens each for a moment, so that another process finds it busy. One that hangs
    holds up the others for TURN_S, no more.
    """

    _LOCK = threading.Lock()

    def __init__(self, stop: threading.Event) -> None:
        self._mine = False
        for _ in range(round(TURN_S / POLL_S)):
            if self._mine or stop.is_set():
                break
            self._mine = self._LOCK.acquire(timeout=POLL_S)

    def over(self) -> None:
        """Let the next one open its device."""
        if self._mine:
            self._mine = False
            self._LOCK.release()


def microphones() -> list[tuple[str, str]]:
    """Return what can hear: the URI to paste, and a description; DeviceError when PortAudio is missing or hangs."""
    return [(uri, description) for uri, description in ask(program("list"))]


def portaudio_version() -> str:
    """Return which PortAudio serves, in its own words; DeviceError when it is missing or hangs."""
    return str(ask(program("version")))
