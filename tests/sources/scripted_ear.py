"""Plays an ear, the process in which PortAudio hears: ``python scripted_ear.py SCENE [FIFO]``."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable

import numpy as np

from edge_avsc.clock import MonotonicClock
from edge_avsc.sources._ear_messages import Answer, Block, Failed, Message, Started, write
from edge_avsc.types import NS_PER_S


def tell(message: Message) -> None:
    write(message, sys.stdout.buffer)


def block(number: int, *, overflow: bool = False) -> None:
    now_ns, now_s = number * 10_000_000, 1.7e9 + number * 0.01
    tell(Block(48_000, 2, overflow, now_ns, now_s - 0.01, now_s, bytes(480 * 2 * 4)))


def until_nobody_listens() -> None:
    sys.stdin.buffer.read()


def three_blocks() -> None:
    tell(Started())
    for number in range(3):
        block(number)
    until_nobody_listens()


def two_overflows() -> None:
    for number in range(2):
        block(number, overflow=True)
    until_nobody_listens()


def refuses() -> None:
    tell(Failed("There is no microphone; plug one in."))


def answers() -> None:
    tell(Answer([("default", "a microphone")]))


def aborts_at_once() -> None:
    os.abort()


def aborts_after_three_blocks() -> None:
    for number in range(3):
        block(number)
    os.abort()


def aborts_after_two_seconds() -> None:
    """Tell the sound of the last two seconds at once, so that nobody need wait for it."""
    noise = np.random.default_rng(1).normal(0, 0.1, 2 * 16_000).astype(np.float32)
    began_ns = MonotonicClock().now_ns() - 2 * NS_PER_S
    for first in range(0, len(noise), 1600):
        at_ns = began_ns + first * NS_PER_S // 16_000
        samples = noise[first : first + 1600].tobytes()
        tell(Block(16_000, 1, False, at_ns, at_ns / NS_PER_S - 0.1, at_ns / NS_PER_S, samples))
    os.abort()


def is_cut_off() -> None:
    tell(Started())
    sys.stdout.buffer.write(b"b\x00")
    sys.stdout.buffer.flush()
    os._exit(3)


def hangs() -> None:
    signal.pause()


def leaves_a_child_behind() -> None:
    """Fork one that keeps the pipe open until something is written to the FIFO, as one in a driver does."""
    if os.fork() == 0:
        signal.alarm(300)
        with open(sys.argv[2]) as fifo:
            fifo.read()
        os._exit(0)
    three_blocks()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    play: Callable[[], None] = globals()[sys.argv[1].replace(" ", "_")]
    play()
