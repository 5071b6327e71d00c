"""The windows of a dataset on disk: computed once, read as they are needed, whatever their number."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc import __version__
from edge_avsc.bundle import AudioFrontEnd, ImageFrontEnd
from edge_avsc.errors import ConfigError, EdgeAvscError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.progress import shown
from edge_avsc.evaluation.workers import end_when_interrupted, undisturbed
from edge_avsc.training.recipes.listening import ClipWindows, Listener

_SPARE_BYTES = 1_000_000_000
_TOLD = 5
_ENDINGS = (".columns.npy", ".pictures.npy", ".there.npy")


@dataclass(frozen=True, slots=True)
class Views:
    """What is taken of each clip: the front ends, whether they are used, and from where to where windows go."""

    audio: AudioFrontEnd
    image: ImageFrontEnd
    sound: bool
    pictures: bool
    hop_ns: int

    @property
    def key(self) -> str:
        """What the files depend on, beside their clips."""
        parts = [self.audio.model_dump(), self.image.model_dump(), self.sound, self.pictures, self.hop_ns, __version__]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip whose windows are on disk, in files that begin with *stem*."""

    row: Row
    stem: Path
    windows: int

    def window(self, number: int) -> tuple[NDArray[float32], bool, NDArray[uint8], int]:
        """Return columns, whether they are heard, pictures, and how many of these are there (see ClipWindows)."""
        columns, pictures, there = (np.load(self.stem.with_suffix(ending), mmap_mode="r") for ending in _ENDINGS)
        return np.array(columns[number]), bool(there[number, 0]), np.array(pictures[number]), int(there[number, 1])


class Corpus:
    """The windows of clips, each clip in files of its own in *folder*; what is there is not computed again."""

    def __init__(self, folder: Path, views: Views) -> None:
        self.folder = folder / views.key
        self.views = views

    def build(self, rows: Sequence[Row], jobs: int) -> Iterator[str]:
        """Compute what is not there; yield how large that will be, and the problems of clips that cannot be read.

        Raises ConfigError where the disk is too small.
        """
        left = [row for row in rows if not self.stem(row).with_suffix(".json").is_file()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written ({error.strerror}); give --cache another.") from error
        if left:
            wanted = self._guess(left)
            yield f"features of {len(left)} clips: about {wanted / 1e9:.3g} GB in {self.folder}"
            if wanted + _SPARE_BYTES > free:
                raise ConfigError(
                    f"{self.folder} has {free / 1e9:.3g} GB free; give --cache a disk with {wanted / 1e9 + 1:.3g} GB."
                )
        for _ in shown(self._computed(left, jobs), len(left), "features", sys.stderr):
            pass
        problems = [line for row in rows if (line := json.loads(self._about(row))["problem"])]
        yield from problems[:_TOLD]
        if len(problems) > _TOLD:
            yield f"and {len(problems) - _TOLD} clips more are left out."

    def clips(self, rows: Sequence[Row]) -> list[Clip]:
        """Return the clips that could be read, with how many windows each has."""
        found = []
        for row in rows:
            stem = self.stem(row)
            windows = json.loads(self._about(row))["windows"]
            if windows:
                found.append(Clip(row, stem, windows))
        return found

    def size_bytes(self) -> int:
        """Return how large the files are."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def _guess(self, rows: Sequence[Row]) -> float:
        """Return the size of all by that of the first that can be read."""
        for row in rows:
            self.written(row, self.listener())
            if json.loads(self._about(row))["windows"]:
                stem = self.stem(row)
                return float(len(rows) * sum(stem.with_suffix(ending).stat().st_size for ending in _ENDINGS))
        return 0.0

    def _computed(self, rows: Sequence[Row], jobs: int) -> Iterator[None]:
        if jobs == 1 or len(rows) < 8:
            listener = self.listener()
            for row in rows:
                self.written(row, listener)
                yield
            return
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start, initargs=(self,)) as pool:
            for first in range(0, len(rows), 64 * jobs):  # so many are handed out at once, that memory is flat
                with undisturbed():
                    written = pool.map(_write, rows[first : first + 64 * jobs], chunksize=4)
                yield from written

    def listener(self) -> Listener:
        """Return what makes windows as this corpus has them."""
        return Listener(self.views.audio, self.views.image, self.views.hop_ns)

    def written(self, row: Row, listener: Listener) -> None:
        """Write a clip's files, or the sentence that says why it could not be read."""
        stem = self.stem(row)
        done = stem.with_suffix(".json")
        if done.is_file():
            return
        problem, count = None, 0
        try:
            windows = listener.windows(row, sound=self.views.sound, pictures=self.views.pictures)
            self._save(stem, windows)
            count = len(windows.heard)
        except EdgeAvscError as error:
            problem = f"{row.name} is left out: {error}"
        part = done.with_suffix(".part")
        part.write_text(json.dumps({"windows": count, "problem": problem}))
        part.replace(done)

    def _about(self, row: Row) -> str:
        return self.stem(row).with_suffix(".json").read_text()

    def _save(self, stem: Path, windows: ClipWindows) -> None:
        n = len(windows.heard)
        columns = windows.columns if self.views.sound else np.zeros((n, 0, 0), float32)
        pictures = windows.pictures if self.views.pictures else np.zeros((n, 0, 0, 0, 3), uint8)
        there = np.stack([windows.heard.astype(uint8), windows.seen], axis=1)
        arrays: tuple[NDArray[Any], ...] = (columns, pictures, there)
        for ending, values in zip(_ENDINGS, arrays, strict=True):
            np.save(stem.with_suffix(ending), values)

    def stem(self, row: Row) -> Path:
        """Return the path that a clip's files begin with."""
        # The same clip may be in several lists, and a changed file is another clip.
        about: list[object] = []
        for path in (row.audio, row.video):
            about.append(str(path and path.absolute()))
            if path is not None and path.is_file():
                about += [path.stat().st_size, path.stat().st_mtime_ns]
        return self.folder / hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]


_here: list[tuple[Corpus, Listener]] = []
"""This process's part in it, once it has begun."""


def _start(corpus: Corpus) -> None:
    end_when_interrupted()
    _here.append((corpus, corpus.listener()))


def _write(row: Row) -> None:
    corpus, listener = _here[0]
    corpus.written(row, listener)
