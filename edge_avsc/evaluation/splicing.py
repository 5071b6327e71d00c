"""Clips spliced into one long recording whose scene changes are known."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_avsc.bundle import ImageFrontEnd
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.replay import recordings
from edge_avsc.sources import PICTURES, SOUND, open_recording, parts
from edge_avsc.sources.media_extent import extent
from edge_avsc.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioChunk,
    Item,
    Role,
    SourceEnded,
    SourceEvent,
    VideoFrame,
    available_ns,
)
from edge_avsc.video_track import WantedFrames

LONGEST_NS = 10 * NS_PER_S
"""Of a clip at most its first ten seconds are played, so that memory does not depend on the clips."""

_GRID_NS = 10 * NS_PER_MS
"""Clips are cut to whole hundredths of a second, which are whole samples at the usual rates: no gap between clips."""

_BLOCK_SAMPLES = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip in the long recording, [start_ns, end_ns)."""

    row: Row
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The clips of a long recording in their order, and of each that cannot be part of it, a sentence."""

    rows: tuple[Row, ...]
    problems: dict[str, str]


def plan(
    rows: Sequence[Row], *, seconds: float, stay_s: float, seed: int, length_ns: Callable[[Row], int] | None = None
) -> Plan:
    """Plan a recording of about *seconds*, scene after scene, each of about *stay_s*.

    A scene is one or more clips of one label. Labels come in turn, each as often as any other, in a new order each
    time and never twice in a row; how long a scene stays is drawn evenly from half to one and a half of *stay_s*, and
    its last clip is played to its end. A label's clips come in turn too, in a new order each time.
    length_ns: tells how long a clip is, or raises ConfigError; it reads the files by default.
    Raises ConfigError for fewer than two labels.
    """
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        if row.scene_label is not None:
            by_label.setdefault(row.scene_label, []).append(row)
    random = np.random.default_rng(seed)
    lengths = _Lengths(length_ns or _extent)
    # A label that cannot be read at all would let the one before it follow itself.
    readable = [label for label in sorted(by_label) if any(map(lengths.of, by_label[label]))]
    clips = {label: _in_turn(by_label[label], random) for label in readable}
    planned: list[Row] = []
    left_ns = seconds * NS_PER_S
    while left_ns > 0:
        scenes = 0
        for label in _order(list(clips), random, planned[-1].scene_label if planned else None):
            stay_ns = random.uniform(0.5, 1.5) * stay_s * NS_PER_S
            stay = _stay(clips[label], len(by_label[label]), stay_ns, lengths)
            planned += stay
            left_ns -= sum(map(lengths.of, stay))
            scenes += bool(stay)
            if left_ns <= 0 and scenes >= 2:
                break
        if scenes < 2:
            raise ConfigError("Scenes that change need clips of two labels that can be read; name another list.")
    return Plan(tuple(planned), lengths.problems)


class _Lengths:
    """How long clips are, asked once each; those that cannot be read have no length, and a problem."""

    def __init__(self, read: Callable[[Row], int]) -> None:
        self.problems: dict[str, str] = {}
        self._read = read
        self._known: dict[str, int] = {}

    def of(self, row: Row) -> int:
        if row.name not in self._known:
            try:
                self._known[row.name] = self._read(row)
            except ConfigError as error:
                self._known[row.name], self.problems[row.name] = 0, str(error)
        return self._known[row.name]


def _extent(row: Row) -> int:
    files: tuple[tuple[Path | None, Role], ...] = ((row.audio, "audio"), (row.video, "video"))
    ends = [extent(str(path), role).found_ns for path, role in files if path is not None]
    return min([LONGEST_NS, *ends])


def _stay(clips: Iterator[Row], n: int, left_ns: float, lengths: _Lengths) -> list[Row]:
    """Return clips that last so long together; none where none of all *n* can be read.

    Two turns may hold the others' unreadable ones in a row: only 2 n - 1 draws have every clip among them.
    """
    chosen: list[Row] = []
    unread = 0
    while left_ns > 0 and unread < 2 * n:
        row = next(clips)
        length_ns = lengths.of(row)
        if length_ns:
            chosen.append(row)
        left_ns, unread = left_ns - length_ns, 0 if length_ns else unread + 1
    return chosen


def _in_turn(rows: list[Row], random: np.random.Generator) -> Iterator[Row]:
    while True:
        yield from (rows[i] for i in random.permutation(len(rows)))


def _order(labels: list[str], random: np.random.Generator, last: str | None) -> list[str]:
    order = [labels[i] for i in random.permutation(len(labels))]
    # No scene follows itself.
    return [*order[1:], order[0]] if order[:1] == [last] else order


class Splice:
    """The items of clips, one after the other, as one recording that begins at 0.

    Sound goes on from clip to clip as one signal, so a window over a change hears both scenes. A clip without sound or
    without pictures is a source that has ended and that the next clip begins again. ``pieces`` and ``problems`` fill
    while items are read: what was played when, and of each clip that could not be read, a sentence. *each* is put
    around the clips, to show progress.
    """

    def __init__(
        self,
        plan: Plan,
        image: ImageFrontEnd,
        *,
        each: Callable[[Iterator[Row]], Iterator[Row]] = iter,
    ) -> None:
        sound = SOUND if any(row.audio for row in plan.rows) else frozenset()
        pictures = PICTURES if any(row.video for row in plan.rows) else frozenset()
        self.roles: frozenset[Role] = sound | pictures
        self.pieces: list[Piece] = []
        self.problems = dict(plan.problems)
        self._rows = each(iter(plan.rows))
        self._image = image

    def items(self) -> Iterator[Item]:
        """Yield all items in order of time, and SourceEnded for each role at the end; once."""
        start_ns = 0
        for row in self._rows:
            try:
                clip = _read(row, start_ns, self._image)
            except ConfigError as error:
                self.problems[row.name] = str(error)
                continue
            yield from (SourceEnded(role, start_ns) for role in sorted(self.roles - clip.roles))
            yield from _moved(clip, start_ns)
            self.pieces.append(Piece(row, start_ns, start_ns + clip.length_ns))
            start_ns += clip.length_ns
        yield from (SourceEnded(role, start_ns) for role in sorted(self.roles))


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip's items, from 0 on, and how long all that it has lasts."""

    roles: frozenset[Role]
    items: list[Item]
    length_ns: int


def _read(row: Row, start_ns: int, image: ImageFrontEnd) -> _Clip:
    wanted = WantedFrames(-start_ns, image.frames_per_s)
    ((_, stream),) = recordings(audio=row.audio, video=row.video)
    items: list[Item] = []
    with contextlib.ExitStack() as opened:
        sources = []
        for source, roles, _ in parts(stream):
            recording = open_recording(
                source.uri,
                roles,
                wants=wanted.wants,
                picture_px=2 * image.size_px,
                block_samples=_BLOCK_SAMPLES,
            )
            sources.append(opened.enter_context(contextlib.closing(recording)))
        for item in heapq.merge(*(source.items() for source in sources), key=available_ns):
            # A chunk that reaches over the end is still to be cut.
            if available_ns(item) > LONGEST_NS + NS_PER_S:
                break
            items.append(item)
        roles = frozenset(role for source in sources for role in source.roles)
    ends = [item.time_ns for item in items if isinstance(item, SourceEnded)]
    length_ns = min([LONGEST_NS, *ends]) // _GRID_NS * _GRID_NS
    if length_ns == 0:
        raise ConfigError(f"{row.name} is empty, so it cannot be part of a recording.")
    return _Clip(roles, items, length_ns)


def _moved(clip: _Clip, start_ns: int) -> Iterator[Item]:
    """Yield what a clip shows within its length, at the times of the long recording."""
    base: int | None = None
    for item in clip.items:
        if isinstance(item, AudioChunk):
            if base is None:
                base = round((start_ns + item.time_ns) * item.rate_hz / NS_PER_S) - item.index
            left = round((clip.length_ns - item.time_ns) * item.rate_hz / NS_PER_S)
            if left > 0:
                yield AudioChunk(item.samples[:left], item.rate_hz, base + item.index, start_ns + item.time_ns)
        elif isinstance(item, VideoFrame) and item.time_ns < clip.length_ns:
            yield VideoFrame(start_ns + item.time_ns, item.luma, item.image)
        elif isinstance(item, SourceEvent):
            yield replace(item, time_ns=start_ns + min(item.time_ns, clip.length_ns))
