"""A live ``edge-avsc run`` in a process of its own, the lines that it writes, and what the system says of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SCRIPT = str(Path(sys.executable).with_name("edge-avsc"))
Line = dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """What a run holds at a moment of the test's clock: memory with its ears', its own threads and descriptors."""

    at_s: float
    resident_kb: int
    threads: int
    descriptors: int
    processes: int
    """Itself, and whatever it has started that is still there, dead or alive."""


class Run:
    """A running ``edge-avsc run`` and the lines that it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    def text(self) -> str:
        return self._path.read_text() if self._path.exists() else ""

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.text().splitlines() if line.endswith("}")]

    def wait_for(self, what: Callable[[list[Line]], bool], within_s: float = 15.0) -> list[Line]:
        """Return the lines as soon as they satisfy *what*."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            lines = self.lines()
            if what(lines):
                return lines
            assert self.process.poll() is None, self.process.communicate()[1].decode()
            time.sleep(0.05)
        raise AssertionError(f"it did not come within {within_s} s; the last lines: {self.lines()[-3:]}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return its exit code and how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(10), time.monotonic() - began

    def summary(self) -> str:
        """Return what an ended run printed: with ``console: {}`` it closes with what was lost."""
        return self._path.with_name("stdout.txt").read_text()

    def usage(self) -> Usage:
        """Return what the run holds now."""
        proc, ears = Path("/proc") / str(self.process.pid), children(self.process.pid)
        resident_kb = resident(proc) + sum(resident(proc.parent / str(ear)) for ear in ears)
        threads, descriptors = len(list((proc / "task").iterdir())), len(os.listdir(proc / "fd"))
        return Usage(time.monotonic(), resident_kb, threads, descriptors, 1 + len(ears))


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started and not yet seen the end of."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, which may hold anything, stands in brackets before the state and the parent.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def resident(proc: Path) -> int:
    """Return a process's resident memory in kB; 0 where it has ended."""
    with contextlib.suppress(OSError):
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return int(status.get("VmRSS", "0").split()[0])
    return 0


@contextmanager
def running(
    folder: Path,
    streams: dict[str, Any],
    model: Path | str,
    environment: dict[str, str],
    console: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Run]:
    config, path = folder / "config.yaml", folder / "labels.jsonl"
    sinks = {"jsonl": {"path": str(path)}, "console": console}
    config.write_text(
        yaml.safe_dump({"version": 1, "streams": streams, "model": str(model), "sinks": sinks, **settings})
    )
    command = [SCRIPT, "run", "--config", str(config)]
    with (
        (folder / "stdout.txt").open("w") as printed,
        subprocess.Popen(command, env={**os.environ, **environment}, stdout=printed, stderr=subprocess.PIPE) as process,
    ):
        try:
            yield Run(process, path)
        finally:
            process.kill()


def estimates(lines: list[Line], stream: str | None = None) -> list[Line]:
    return [line for line in lines if line["type"] == "estimate" and stream in (None, line["stream"])]


def events(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line["source"], line["event"]) for line in lines if line["type"] == "event"]


def last(lines: list[Line], count: int, modality: str, stream: str | None = None) -> bool:
    newest = estimates(lines, stream)[-count:]
    return len(newest) == count and all(line["modality"] == modality for line in newest)


def contiguous(lines: list[Line], stream: str | None = None) -> bool:
    indices = [line["index"] for line in estimates(lines, stream)]
    return indices == list(range(len(indices)))


def utc_s(line: Line) -> float:
    """Return a line's time in seconds since 1970."""
    return datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


def close_to_label_ms(lines: list[Line], share: float = 0.95) -> float:
    """Return the time from a window's close to its label that *share* of the windows stay under."""
    measured = [line["latency_ms"]["close_to_label"] for line in estimates(lines)]
    return float(np.quantile([ms for ms in measured if ms is not None], share))
