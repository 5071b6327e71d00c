"""Tells systemd how a service is (``sd_notify``); where no service manager listens, nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from edge_avsc.clock import Clock
from edge_avsc.types import NS_PER_S

_US_PER_S = 1_000_000
START_BEAT_S = 10.0
"""How often a service that waits for its first source says so."""


class ServiceNotice:
    """Says when the service is ready, that it lives, and when it stops.

    environ: as systemd sets it: ``NOTIFY_SOCKET`` (a path, or ``@name`` for an abstract socket), ``WATCHDOG_USEC`` and
    ``WATCHDOG_PID``. Until it is ready its signs of life extend the time that systemd allows for the start, so that a
    camera which answers only after minutes costs no restart, while a start that hangs does.
    """

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environ)
        self._ready = False
        self._last_ns: int | None = None

    def ready(self) -> None:
        """Say, once, that the service does its work."""
        if not self._ready:
            self._ready = True
            self._send("READY=1")

    def alive(self) -> None:
        """Say that the service lives, at half of the time in which the watchdog wants to hear it; call it often."""
        beat_s = START_BEAT_S if not self._ready else self._watchdog_s / 2 if self._watchdog_s else None
        if self._address is None or beat_s is None:
            return
        now_ns = self._clock.now_ns()
        if self._last_ns is not None and now_ns - self._last_ns < beat_s * NS_PER_S:
            return
        self._last_ns = now_ns
        if self._ready:
            self._send("WATCHDOG=1")
        else:
            self._send(f"EXTEND_TIMEOUT_USEC={round(3 * START_BEAT_S * _US_PER_S)}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # A service manager that does not listen must not cost a label.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(message.encode(), self._address)


def _address(name: str) -> str | None:
    # '@' stands for the zero byte that begins the name of an abstract socket; anything else is no socket of this kind.
    if not name.startswith(("@", "/")) or not hasattr(socket, "AF_UNIX"):
        return None
    return "\0" + name[1:] if name.startswith("@") else name


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    interval = environ.get("WATCHDOG_USEC", "")
    return int(interval) / _US_PER_S if mine and interval.isdecimal() and int(interval) else None
