from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_avsc.notify import START_BEAT_S, ServiceNotice
from edge_avsc.types import NS_PER_S


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_ns(self) -> int:
        return round(self.s * NS_PER_S)


class Listener:
    """What systemd is to a service: a datagram socket."""

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    if request.param == "path":
        address = name = str(tmp_path / "notify")
    else:
        address, name = f"\0edge-avsc-test-{os.getpid()}", f"@edge-avsc-test-{os.getpid()}"
    listener = Listener(address, name)
    yield listener
    listener.close()


def test_ready_is_said_once_and_stopping_at_the_end(listener: Listener) -> None:
    notice = ServiceNotice(HandClock(), {"NOTIFY_SOCKET": listener.name})
    notice.ready()
    notice.ready()
    notice.stopping()
    assert listener.heard() == ["READY=1", "STOPPING=1"]


def test_watchdog_hears_at_half_of_its_time(listener: Listener) -> None:
    clock = HandClock()
    notice = ServiceNotice(clock, {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "10000000"})
    notice.ready()
    beats = []
    for step in range(1000):
        clock.s = step * 0.02
        notice.alive()
        beats += [clock.s for message in listener.heard() if message == "WATCHDOG=1"]
    assert beats == [0.0, 5.0, 10.0, 15.0]


def test_no_watchdog_wants_no_beats(listener: Listener) -> None:
    notice = ServiceNotice(HandClock(), {"NOTIFY_SOCKET": listener.name})
    notice.ready()
    notice.alive()
    assert listener.heard() == ["READY=1"]


def test_watchdog_of_another_process_is_not_ours(listener: Listener) -> None:
    environ = {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    notice = ServiceNotice(HandClock(), environ)
    notice.ready()
    notice.alive()
    assert listener.heard() == ["READY=1"]


def test_wait_for_a_first_source_extends_the_start(listener: Listener) -> None:
    clock = HandClock()
    notice = ServiceNotice(clock, {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1000000"})
    for step in range(100):
        clock.s = step * 0.5
        notice.alive()
    heard = listener.heard()
    assert len(heard) == 50 / START_BEAT_S
    assert set(heard) == {"EXTEND_TIMEOUT_USEC=30000000"}


def test_first_beat_after_ready_is_not_late(listener: Listener) -> None:
    clock = HandClock()
    notice = ServiceNotice(clock, {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "2000000"})
    notice.alive()
    clock.s = 1.0
    notice.ready()
    notice.alive()
    assert listener.heard()[1:] == ["READY=1", "WATCHDOG=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_service_manager_nothing_happens(environ: dict[str, str]) -> None:
    notice = ServiceNotice(HandClock(), environ)
    notice.ready()
    notice.alive()
    notice.stopping()


def test_socket_that_nobody_reads_is_survived(tmp_path: Path) -> None:
    notice = ServiceNotice(HandClock(), {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000000"})
    notice.ready()
    notice.alive()
    notice.stopping()


def test_malformed_watchdog_is_none(listener: Listener) -> None:
    notice = ServiceNotice(HandClock(), {"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "soon"})
    notice.ready()
    notice.alive()
    assert listener.heard() == ["READY=1"]


def test_run_tells_its_service_manager(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"model: {tiny_folder}\nstreams: {{lobby: {{media: 'test://demo?duration=2.5'}}}}\nsinks: {{console: null}}\n"
    )
    listener = Listener(str(tmp_path / "notify"), str(tmp_path / "notify"))
    environment = {**os.environ, "NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1000000"}
    command = [sys.executable, "-m", "edge_avsc.cli", "run", "--config", str(tmp_path / "c.yaml")]
    subprocess.run(command, env=environment, check=True)
    heard = listener.heard()
    listener.close()
    assert heard[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert heard[1:3] == ["READY=1", "WATCHDOG=1"]
    assert set(heard[3:-1]) == {"WATCHDOG=1"}
    assert heard[-1] == "STOPPING=1"
