"""What is wrong with a dataset, found without decoding it: missing, unreadable and cut files, and leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Dataset, Row
from edge_avsc.evaluation.progress import shown
from edge_avsc.sources.media_extent import Extent, extent
from edge_avsc.types import NS_PER_MS, NS_PER_S, Role
from edge_avsc.windows import TAIL_NS, WINDOW_NS

_SHORT_BY_NS = 500 * NS_PER_MS
"""Headers and packets differ by a little; a file is cut, and its two modalities are uneven, by more than this."""

_TOLD = 10
"""So many flaws of a kind are told one by one."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong: *kind* is what it is counted under, *detail* one sentence that names it."""

    kind: str
    detail: str


def check(dataset: Dataset, stream: TextIO, labels: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the files of a list and with the list; progress is shown on *stream*.

    labels: those that the model knows. The last line counts all flaws by kind, and is the only one where there is none.
    """
    counts: Counter[str] = Counter()
    for flaw in flaws(dataset, stream, labels):
        counts[flaw.kind] += 1
        if counts[flaw.kind] <= _TOLD:
            yield flaw.detail
        if counts[flaw.kind] == _TOLD + 1:
            yield f"More are {flaw.kind}, and are only counted."
    found = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    yield f"{len(dataset.rows)} clips checked: {found or 'nothing is wrong'}."


def flaws(dataset: Dataset, stream: TextIO, labels: Sequence[str]) -> Iterator[Flaw]:
    """Yield every flaw: those of the clips in the order of the list, then those of the list."""
    found = ((row, list(_of_clip(row))) for row in dataset.rows)
    for _, of_clip in shown(found, len(dataset.rows), "check", stream):
        yield from of_clip
    for name in dataset.repeated:
        yield Flaw("repeated", f"{dataset.split} names {name} more than once; it is scored once.")
    yield from _of_labels(dataset, labels)
    yield from _leaks(dataset)


def _of_clip(row: Row) -> Iterator[Flaw]:
    ends: list[int] = []
    # Both columns may name one file, which is wrong in one way but once.
    of_files: dict[tuple[str, Path], Flaw] = {}
    roles: tuple[Role, ...] = ("audio", "video")
    for role, path in zip(roles, (row.audio, row.video), strict=True):
        if path is None:
            continue
        try:
            found = extent(str(path), role)
        except ConfigError as error:
            kind = "unreadable" if path.exists() else "missing"
            of_files.setdefault((kind, path), Flaw(kind, str(error)))
            continue
        ends.append(found.found_ns)
        if found.cut or (found.stated_ns is not None and found.found_ns + _SHORT_BY_NS < found.stated_ns):
            of_files.setdefault(("truncated", path), Flaw("truncated", _cut(str(path), found)))
    yield from of_files.values()
    if ends and max(ends) + TAIL_NS < WINDOW_NS:
        yield Flaw("too short", f"{row.name} is shorter than a window of 1 s; it cannot be scored.")
    if len(ends) == 2 and abs(ends[0] - ends[1]) > _SHORT_BY_NS:
        sound_s, pictures_s = (end / NS_PER_S for end in ends)
        yield Flaw("uneven", f"{row.name}: its sound ends at {sound_s:.2f} s, its pictures at {pictures_s:.2f} s.")


def _cut(path: str, found: Extent) -> str:
    promised = "its header promises more"
    if found.stated_ns is not None and not found.cut:
        promised = f"its header promises {found.stated_ns / NS_PER_S:.2f} s"
    return f"{path} is cut short: it ends at {found.found_ns / NS_PER_S:.2f} s, but {promised}; copy it again."


def _of_labels(dataset: Dataset, labels: Sequence[str]) -> Iterator[Flaw]:
    for label, sentence in dataset.wrong_labels(labels):
        yield Flaw("without a label" if label is None else "of an unknown label", sentence)


def _leaks(dataset: Dataset) -> Iterator[Flaw]:
    trained = {row.location for row in dataset.train}
    clips = Counter(row.location for row in dataset.rows if row.location in trained)
    for location, n in sorted(clips.items()):
        yield Flaw(
            "leaking", f"The location {location} ({n} clips) is in the list of training clips too: its figures flatter."
        )
