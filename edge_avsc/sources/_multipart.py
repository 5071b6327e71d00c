"""Reads the parts of a multipart stream as bytes arrive: no socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_PART = 16 * 1024 * 1024


class MultipartError(ValueError):
    """What arrives is no multipart stream, or a part is larger than any picture."""


@dataclass(frozen=True, slots=True)
class Part:
    """The body of one part, and when its first byte arrived."""

    body: bytes
    started_ns: int


class Multipart:
    """Cuts a ``multipart/x-mixed-replace`` stream into its parts, with or without their Content-Length.

    The first line that begins with two hyphens, or that is *boundary*, is what separates the parts: servers disagree
    on whether the hyphens belong to the boundary that their header names.
    """

    def __init__(self, boundary: str = "") -> None:
        self._named = boundary.encode("latin-1", "replace")
        self._delimiter: bytes | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._in_headers = False
        self._length: int | None = None
        self._in_body = False
        self._started_ns: int | None = None

    def feed(self, data: bytes, time_ns: int) -> Iterator[Part]:
        """Take in what arrived at *time_ns*; yield the parts that it completes. Raises MultipartError."""
        self._buffer += data
        while True:
            if self._in_body:
                part = self._body(time_ns)
                if part is None:
                    break
                yield part
            else:
                line = self._line()
                if line is None:
                    break
                self._read_line(line)
        if len(self._buffer) > LARGEST_PART:
            raise MultipartError("a part is larger than 16 MiB")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end]).strip()
        self._drop(end + 1)
        return line

    def _read_line(self, line: bytes) -> None:
        if not self._in_headers:
            if self._delimiter is None and line and (line.startswith(b"--") or line == self._named):
                self._delimiter = line
            self._in_headers = self._delimiter is not None and line == self._delimiter
        elif not line:
            self._in_headers, self._in_body, self._started_ns = False, True, None
        else:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                # Python takes no number of thousands of digits.
                self._length = int(value[:20])
                if self._length > LARGEST_PART:
                    raise MultipartError("a part is larger than 16 MiB")

    def _body(self, time_ns: int) -> Part | None:
        if self._started_ns is None and self._buffer:
            self._started_ns = time_ns
        end, skip = self._body_end()
        if end is None:
            return None
        body = bytes(self._buffer[:end])
        self._drop(end + skip)
        self._in_body, self._length = False, None
        return Part(body, time_ns if self._started_ns is None else self._started_ns)

    def _body_end(self) -> tuple[int | None, int]:
        """Return where the body ends (None: not yet), and how many bytes of line break follow it."""
        if self._length is not None:
            return (self._length if len(self._buffer) >= self._length else None), 0
        assert self._delimiter is not None  # a body comes after a delimiter
        separator = b"\n" + self._delimiter
        found = self._buffer.find(separator, self._searched)
        if found < 0:
            self._searched = max(0, len(self._buffer) - len(separator) + 1)
            return None, 0
        returned = found > 0 and self._buffer[found - 1] == ord("\r")
        return (found - 1, 2) if returned else (found, 1)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0
