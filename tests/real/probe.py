"""What a source does, measured where it is: ``python probe.py camera|microphone|refused …``, in the virtual machine.

It prints one line of JSON, last.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import EdgeAvscError
from edge_avsc.sources import PICTURES, SOUND, open_live
from edge_avsc.types import AudioChunk, Item, SourceEvent, VideoFrame

PICTURE_PX = 32
PATIENCE_S = 60.0


def observed(kind: str, uri: str, count: int) -> tuple[list[tuple[int, Item]], str]:
    """Return the first *count* items of a source, each with the time of its arrival, and the sentence that ended it."""
    clock, stop = MonotonicClock(), threading.Event()
    items: list[tuple[int, Item]] = []

    def put(item: Item) -> None:
        items.append((clock.now_ns(), item))
        if len(items) >= count:
            stop.set()

    timer = threading.Timer(PATIENCE_S, stop.set)
    timer.daemon = True
    timer.start()
    roles = PICTURES if kind == "camera" else SOUND
    try:
        open_live(uri, roles, clock=clock, wants=lambda _: len(items) % 5 == 0, picture_px=PICTURE_PX).run(put, stop)
    except EdgeAvscError as error:
        return items, str(error)
    finally:
        timer.cancel()
    return items, ""


def of_camera(uri: str, count: int) -> dict[str, Any]:
    items, error = observed("camera", uri, count)
    frames = [(at_ns, item) for at_ns, item in items if isinstance(item, VideoFrame)]
    return {
        "error": error,
        "stamps_ns": [frame.time_ns for _, frame in frames],
        "ages_ms": [(at_ns - frame.time_ns) / 1e6 for at_ns, frame in frames],
        "luma": [frame.luma for _, frame in frames],
        "shapes": sorted({frame.image.shape for _, frame in frames if frame.image is not None}),
    }


def of_microphone(uri: str, count: int) -> dict[str, Any]:
    items, error = observed("microphone", uri, count)
    chunks = [(at_ns, item) for at_ns, item in items if isinstance(item, AudioChunk)]
    return {
        "error": error,
        "rate_hz": sorted({chunk.rate_hz for _, chunk in chunks}),
        "channels": sorted({chunk.samples.shape[1] for _, chunk in chunks}),
        "indices": [chunk.index for _, chunk in chunks],
        "stamps_ns": [chunk.time_ns for _, chunk in chunks],
        "ages_ms": [(at_ns - chunk.time_ns) / 1e6 for at_ns, chunk in chunks],
        "level": max((float(abs(chunk.samples).max()) for _, chunk in chunks), default=0.0),
        "events": [item.event for _, item in items if isinstance(item, SourceEvent)],
    }


MEASURES = {"camera": of_camera, "microphone": of_microphone}


def refused(*named: str) -> dict[str, Any]:
    """Return for each ``kind=URI`` why it cannot be used, and after how long that was said."""
    answers: dict[str, Any] = {}
    for name in named:
        kind, _, uri = name.partition("=")
        began = time.monotonic()
        answers[name] = [observed(kind, uri, 1)[1], round(time.monotonic() - began, 2)]
    return answers


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    answer = refused(*rest) if what == "refused" else MEASURES[what](rest[0], int(rest[1]))
    print(json.dumps(answer), flush=True)
    # As the program does it: a camera may still be between two frames.
    os._exit(0)
