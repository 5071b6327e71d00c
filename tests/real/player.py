"""Plays sound to a sound server, again and again, and says when: ``python player.py SINK FILE``.

The file holds float32 stereo at 48 kHz. It prints, once it knows, the nanosecond of the monotonic clock at which the
first sample is heard, and needs nothing but PulseAudio's own library, whose word for the delay it takes.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from pathlib import Path

RATE_HZ, CHANNELS, FLOAT32LE, PLAYBACK = 48_000, 2, 5, 1
BYTES_A_SAMPLE = 4 * CHANNELS
BLOCK = RATE_HZ // 100 * BYTES_A_SAMPLE
BUFFER = 4 * BLOCK
SETTLING = 200
LISTENED = 100
DEFAULT = 0xFFFFFFFF


class SampleSpec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class BufferAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


def play(sink: str, sound: bytes) -> None:
    pulse = ctypes.CDLL("libpulse-simple.so.0")
    pulse.pa_simple_new.restype = ctypes.c_void_p
    pulse.pa_simple_get_latency.restype = ctypes.c_uint64
    spec = SampleSpec(FLOAT32LE, RATE_HZ, CHANNELS)
    attr = BufferAttr(DEFAULT, BUFFER, BLOCK, DEFAULT, DEFAULT)
    stream = pulse.pa_simple_new(
        None, b"player", PLAYBACK, sink.encode(), b"player", ctypes.byref(spec), None, ctypes.byref(attr), None
    )
    if not stream:
        raise SystemExit(f"no sink '{sink}'")
    stream, written = ctypes.c_void_p(stream), 0
    begins: list[int] = []
    while True:
        at = written % len(sound)
        block = sound[at : at + BLOCK]
        if pulse.pa_simple_write(stream, block, ctypes.c_size_t(len(block)), None):
            return  # the sound server has gone
        written += len(block)
        if len(begins) < SETTLING + LISTENED:
            delay_ns = pulse.pa_simple_get_latency(stream, None) * 1000
            begins.append(time.monotonic_ns() + delay_ns - written // BYTES_A_SAMPLE * 10**9 // RATE_HZ)
            if len(begins) == SETTLING + LISTENED:
                print(round(statistics.median(begins[SETTLING:])), flush=True)


if __name__ == "__main__":
    play(sys.argv[1], Path(sys.argv[2]).read_bytes())
