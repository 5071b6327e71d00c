"""What an ear, the process in which PortAudio hears, tells the one that it hears for."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

_HEAD = struct.Struct("=cI")
_BLOCK = struct.Struct("=IH?qdd")


@dataclass(frozen=True, slots=True)
class Block:
    """What PortAudio's callback was given, and when.

    samples: float32 ``[n, channels]`` as bytes. overflow: the device lost samples before this block.
    now_ns: the machine's monotonic clock, which all processes share. adc_s, current_s: the stream's own times.
    """

    rate_hz: int
    channels: int
    overflow: bool
    now_ns: int
    adc_s: float
    current_s: float
    samples: bytes


@dataclass(frozen=True, slots=True)
class Started:
    """The device is open; from now on blocks are to be expected."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing more comes, for a reason that is a whole sentence."""

    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for; anything that JSON can hold."""

    value: Any


Message: TypeAlias = Block | Started | Failed | Answer


def write(message: Message, out: IO[bytes]) -> None:
    """Write *message* whole; wait while the pipe is full."""
    kind, body = _packed(message)
    out.write(_HEAD.pack(kind, len(body)) + body)
    out.flush()


def read(pipe: IO[bytes]) -> Iterator[Message]:
    """Yield messages until the pipe ends; what was cut off by the end of the other process is none."""
    while len(head := pipe.read(_HEAD.size)) == _HEAD.size:
        kind, size = _HEAD.unpack(head)
        body = pipe.read(size)
        if len(body) < size:
            return
        yield _unpacked(kind, body)


def _packed(message: Message) -> tuple[bytes, bytes]:
    if isinstance(message, Block):
        times = (message.now_ns, message.adc_s, message.current_s)
        return b"b", _BLOCK.pack(message.rate_hz, message.channels, message.overflow, *times) + message.samples
    if isinstance(message, Started):
        return b"s", b""
    if isinstance(message, Failed):
        return b"f", message.why.encode()
    return b"a", json.dumps(message.value).encode()


def _unpacked(kind: bytes, body: bytes) -> Message:
    if kind == b"b":
        return Block(*(*_BLOCK.unpack_from(body), body[_BLOCK.size :]))
    if kind == b"s":
        return Started()
    return Failed(body.decode()) if kind == b"f" else Answer(json.loads(body))
