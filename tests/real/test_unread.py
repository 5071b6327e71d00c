"""A live ``edge-avsc run`` whose output is held open but not read, as by ``less``: it must be possible to end it."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from real.running import SCRIPT

pytestmark = pytest.mark.real
fcntl = pytest.importorskip("fcntl", reason="only POSIX systems have such pipes")
termios = pytest.importorskip("termios", reason="only POSIX systems have such terminals")
PIPE_BYTES = 4096
if not hasattr(fcntl, "F_SETPIPE_SZ"):
    pytest.skip("only Linux can make a pipe smaller", allow_module_level=True)


def start(folder: Path, model: Path, sinks: dict[str, object], stdout: int) -> subprocess.Popen[bytes]:
    config = folder / "live.yaml"
    streams = {"demo": {"media": "test://demo"}}
    settings = {"version": 1, "model": str(model), "hop_s": 0.05, "streams": streams, "sinks": sinks}
    config.write_text(yaml.safe_dump(settings))
    return subprocess.Popen([SCRIPT, "run", "--config", config], stdout=stdout, stderr=subprocess.PIPE)


def wait_until_full(reader: int) -> None:
    """Wait until a second has brought nothing new to what can be read from *reader*."""
    waiting, before, since, deadline = array.array("i", [0]), 0, time.monotonic(), time.monotonic() + 30
    while not before or time.monotonic() < since + 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        fcntl.ioctl(reader, termios.FIONREAD, waiting)
        if waiting[0] != before:
            before, since = waiting[0], time.monotonic()


@pytest.mark.parametrize(
    ("sinks", "number"), [({"jsonl": {"path": "-"}}, signal.SIGTERM), ({"console": {}}, signal.SIGINT)]
)
def test_a_pipe_that_fills_up_holds_no_signal_back(
    sinks: dict[str, object], number: signal.Signals, tmp_path: Path, tiny_folder: Path
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    assert ended(start(tmp_path, tiny_folder, sinks, writer), reader, number) == (0, "")
    os.close(writer)


def test_a_named_pipe_that_fills_up_is_named(tmp_path: Path, tiny_folder: Path) -> None:
    pipe = tmp_path / "labels"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = start(tmp_path, tiny_folder, {"jsonl": {"path": str(pipe)}}, subprocess.DEVNULL)
    code, said = ended(process, reader, signal.SIGTERM)
    assert code == 1
    assert said == f"edge-avsc: Nobody reads {pipe} any more; start its reader again, or name a file.\n"


def test_a_terminal_that_stands_still_holds_no_signal_back(tmp_path: Path, tiny_folder: Path) -> None:
    reader, terminal = os.openpty()
    assert ended(start(tmp_path, tiny_folder, {"console": {}}, terminal), reader, signal.SIGTERM) == (0, "")
    os.close(terminal)


def ended(process: subprocess.Popen[bytes], reader: int, number: signal.Signals) -> tuple[int, str]:
    """Wait until nothing more goes into what *reader* would read, ask *process* to end; return its code and words."""
    try:
        wait_until_full(reader)
        assert process.poll() is None
        process.send_signal(number)
        said = process.communicate(timeout=5)[1]
    finally:
        process.kill()
        os.close(reader)
    return process.returncode, said.decode()
