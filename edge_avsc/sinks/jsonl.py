"""JSON lines: one for each estimate and event, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_avsc.errors import ConfigError
from edge_avsc.sinks.base import write_failure
from edge_avsc.types import SceneEstimate, StreamEvent

STDOUT_FD = 1
_OURS = ("/dev/stdout", "/dev/fd/", "/proc/self/fd/")
"""Whoever reads these was started along with us, and may go, as ``head`` does."""
LINE_START = b'{"schema":'


def estimate_line(estimate: SceneEstimate, *, timed: bool, utc: Callable[[int], str] | None = None) -> str:
    """Return *estimate* as one line of JSON, without the line's end.

    timed: whether ``time`` and ``latency_ms`` are in it; without them two replays give identical bytes.
    utc: turns the monotonic clock's nanoseconds into an ISO 8601 time; needed when timed.
    """
    probabilities = _rounded(estimate.probabilities)
    printed = [value for value in probabilities.values() if value is not None]
    fields: dict[str, Any] = {
        "schema": 1,
        "type": "estimate",
        "stream": estimate.stream,
        "index": estimate.index,
        "start_s": round(estimate.start_s, 6),
        "end_s": round(estimate.end_s, 6),
        "time": _time(estimate.time_ns, timed, utc),
        "scene_label": estimate.scene_label,
        "confidence": max(printed) if printed else _number(estimate.confidence, 6),
        "probabilities": probabilities,
        "window_probabilities": {} if estimate.modality == "none" else _rounded(estimate.window_probabilities),
        "modality": estimate.modality,
        "changed": estimate.changed,
        "coverage": {"audio": _number(estimate.audio_coverage, 4), "video": _number(estimate.video_coverage, 4)},
        "av_skew_ms": _number(estimate.av_skew_ms, 1),
        "latency_ms": _latency(estimate),
    }
    return _line(fields, timed)


def event_line(event: StreamEvent, *, timed: bool, utc: Callable[[int], str] | None = None) -> str:
    """Return *event* as one line of JSON, without the line's end; *timed* and *utc* as for an estimate."""
    fields = {
        "schema": 1,
        "type": "event",
        "stream": event.stream,
        "time": _time(event.time_ns, timed, utc),
        "source": event.source,
        "event": event.event,
        "detail": event.detail,
    }
    return _line(fields, timed)


class JsonlSink:
    """Writes JSON lines to a file or, for ``-``, to the standard output.

    Each line is one write to the system: nothing is buffered, and a line that does not fit on the disk is taken back.
    A file that holds something else than JSON lines is never overwritten. Where lines are appended, one that was
    renamed meanwhile is begun anew.
    """

    def __init__(self, path: str | Path, *, append: bool, timed: bool, utc: Callable[[int], str] | None = None) -> None:
        self._name = "the standard output" if str(path) == "-" else str(path)
        self._timed = timed
        self._utc = utc
        self._append = append
        self._owned = str(path) != "-"
        self._fd = _opened(Path(path), append) if self._owned else STDOUT_FD
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def __enter__(self) -> JsonlSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            os.close(self._fd)

    def write(self, estimate: SceneEstimate) -> None:
        """Write one estimate.

        Raises EdgeAvscError when the disk is full or nobody reads a named pipe any more, OutputClosedError when nobody
        reads the standard output.
        """
        self._put(estimate_line(estimate, timed=self._timed, utc=self._utc))

    def event(self, event: StreamEvent) -> None:
        """Write one event; raises as :meth:`write` does."""
        self._put(event_line(event, timed=self._timed, utc=self._utc))

    def _put(self, line: str) -> None:
        # A file name that is no UTF-8 has lone surrogates: backslashreplace makes them the JSON escapes that they need.
        data = (line + "\n").encode("utf-8", "backslashreplace")
        self._follow_name()
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._take_back(written)
            raise write_failure(error, self._name, named=self._owned and not self._name.startswith(_OURS)) from error

    def _follow_name(self) -> None:
        """Write to a new file once the old one was renamed or removed, as by logrotate."""
        if self._append and self._regular and not _is_at(self._fd, self._name):
            fd = _opened(Path(self._name), append=True)
            os.close(self._fd)
            self._fd = fd

    def _take_back(self, written: int) -> None:
        if self._regular and written:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, os.lseek(self._fd, -written, os.SEEK_CUR))


def _is_at(fd: int, name: str) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(fd))
    except FileNotFoundError:
        return False
    except OSError:
        return True  # nothing is known of it now


def _opened(path: Path, append: bool) -> int:
    ours = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        # A pipe is opened for writing only: with a reading end of our own we would never see that its reader left. Nor
        # is a reader waited for, since nothing could end that.
        pipe = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(path, ours if path.is_file() or not path.exists() else pipe, 0o666)
        if hasattr(os, "O_NONBLOCK"):  # Windows has neither
            os.set_blocking(fd, True)
    except (OSError, ValueError) as error:
        raise _open_failure(error, path) from error
    if stat.S_ISREG(os.fstat(fd).st_mode) and os.fstat(fd).st_size:
        head = os.read(fd, len(LINE_START))
        # What a failing power supply leaves is the beginning of a line, or zeros.
        torn = append and (LINE_START.startswith(head) or not head.strip(b"\0"))
        if head != LINE_START and not torn:
            os.close(fd)
            raise ConfigError(f"{path} exists and holds no JSON lines of ours; name another file, or remove it first.")
        if not append:
            os.ftruncate(fd, 0)
        elif os.lseek(fd, -1, os.SEEK_END) and os.read(fd, 1) != b"\n":
            os.write(fd, b"\n")  # a line that a killed run left unfinished must not swallow our first
    return fd


def _open_failure(error: OSError | ValueError, path: Path) -> ConfigError:
    if isinstance(error, ValueError):  # a NUL
        return ConfigError(f"{str(path)!r} is no name of a file; name another one for the JSON lines.")
    if error.errno == errno.ENXIO and path.is_fifo():
        return ConfigError(f"Nobody reads {path}; start its reader first.")
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"{path} cannot be written: the folder {path.parent} does not exist; create it.")
    if isinstance(error, IsADirectoryError):
        return ConfigError(f"{path} is a folder; name a file for the JSON lines.")
    return ConfigError(f"{path} cannot be written ({error.strerror}); name a file in a folder that you may write to.")


def _line(fields: dict[str, Any], timed: bool) -> str:
    if not timed:
        fields = {key: value for key, value in fields.items() if key not in ("time", "latency_ms")}
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _time(time_ns: int, timed: bool, utc: Callable[[int], str] | None) -> str | None:
    if not timed:
        return None
    if utc is None:
        raise ValueError("a timed line needs utc")
    return utc(time_ns)


def _latency(estimate: SceneEstimate) -> dict[str, float | None] | None:
    if estimate.latency is None:
        return None
    return {stage: _number(value, 3) for stage, value in asdict(estimate.latency).items()}


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float | None]:
    return {label: _number(value, 6) for label, value in probabilities.items()}


def _number(value: float | None, digits: int) -> float | None:
    """Round for JSON, which has neither NaN nor infinity; adding 0.0 turns -0.0 into 0.0."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits) + 0.0
