"""All items of a source, sorted by what they are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.sources.media import MediaSource
from edge_avsc.types import AudioChunk, Item, SourceEnded, SourceEvent, VideoFrame


@dataclass
class Taken:
    """What a source delivered, in order."""

    items: list[Item] = field(default_factory=list)
    chunks: list[AudioChunk] = field(default_factory=list)
    frames: list[VideoFrame] = field(default_factory=list)
    events: list[SourceEvent] = field(default_factory=list)
    ends_ns: dict[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> NDArray[float32]:
        return np.concatenate([chunk.samples for chunk in self.chunks])

    @property
    def sample_times_ns(self) -> list[int]:
        """The time that each sample has by its chunk's index and the first chunk's time."""
        first = self.chunks[0]
        return [
            first.time_ns + (chunk.index - first.index + k) * 10**9 // chunk.rate_hz
            for chunk in self.chunks
            for k in range(len(chunk.samples))
        ]

    @property
    def frame_times_s(self) -> list[float]:
        return [round(frame.time_ns / 1e9, 6) for frame in self.frames]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(event.source, event.event) for event in self.events]


def take(items: Iterable[Item]) -> Taken:
    taken = Taken(list(items))
    for item in taken.items:
        if isinstance(item, AudioChunk):
            taken.chunks.append(item)
        elif isinstance(item, VideoFrame):
            taken.frames.append(item)
        elif isinstance(item, SourceEnded):
            assert item.role not in taken.ends_ns
            taken.ends_ns[item.role] = item.time_ns
        else:
            taken.events.append(item)
    return taken


def read(path: Path, **options: Any) -> Taken:
    """Return all that a MediaSource makes of a file; no image is wanted unless *wants* says so."""
    settings: dict[str, Any] = {"wants": lambda time_ns: False, "picture_px": 256, **options}
    with MediaSource(str(path), **settings) as source:
        return take(source.items())


def lags_ms(taken: Taken, near_ms: float = 0.0) -> list[float]:
    """Return how long after each flash the 1 kHz beep begins that is loudest within 0.25 s of the lag *near_ms*."""
    rate = taken.chunks[0].rate_hz
    samples = taken.samples.mean(axis=1)
    tone = np.exp(2j * np.pi * 1000 / rate * np.arange(rate * 60 // 1000))
    size = 2 ** int(np.ceil(np.log2(len(samples) + len(tone))))
    match = np.abs(np.fft.ifft(np.fft.fft(samples, size) * np.conj(np.fft.fft(tone, size))))[: len(samples)]
    lags, bright = [], False
    for frame in taken.frames:
        assert frame.luma is not None
        if frame.luma > 200 and not bright:
            flash = round((frame.time_ns - taken.chunks[0].time_ns) * rate / 1e9)
            begin = max(0, flash + round((near_ms - 250) * rate / 1000))
            end = max(begin + 1, flash + round((near_ms + 250) * rate / 1000))
            beep = begin + int(np.argmax(match[begin:end])) if begin < len(match) else begin
            lags.append((beep - flash) * 1000 / rate)
        bright = frame.luma > 200
    return lags


def tool(name: str) -> Any:
    """Return tools/NAME.py as a module; the tools are no package."""
    path = Path(__file__).parents[1] / "tools" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def write_demo_tool() -> Any:
    """Return tools/write_demo.py as a module."""
    return tool("write_demo")
