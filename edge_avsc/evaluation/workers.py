"""Clips scored by several processes, each with a model of its own on one thread."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from edge_avsc.errors import ModelError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.scoring import ClipScorer, ClipScores
from edge_avsc.model import SceneModel

_AHEAD = 2
"""How many clips for each process are handed out at once: enough that none waits, few enough that memory is flat."""


S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Scorer(Protocol[S_co]):
    """Makes something of clips, one after the other; what is wrong with one it raises."""

    def score(self, row: Row) -> S_co:
        """Return what is made of a clip."""


@dataclass(frozen=True, slots=True)
class Scored(Generic[S]):
    """What became of a clip: its scores, or the sentence that says why there are none."""

    row: Row
    scores: S | None
    problem: str | None


def score_clips(folder: Path, rows: Sequence[Row], jobs: int) -> Generator[Scored[ClipScores], None, None]:
    """Score clips with the bundle in *folder*, as :func:`each_clip` does."""
    return each_clip(folder, rows, jobs, ClipScorer)


def each_clip(
    folder: Path, rows: Sequence[Row], jobs: int, make: Callable[[SceneModel], Scorer[S]]
) -> Generator[Scored[S], None, None]:
    """Score clips, *jobs* at a time, and yield each when it is done, in any order.

    make: turns the bundle in *folder*, loaded, into a scorer; what a process can import by its name. A clip that cannot
    be read, or that takes its process down with it, is yielded with its problem. Raises ModelError when the bundle
    cannot be loaded.
    """
    if not rows:
        return
    # Also where other processes score: what is wrong with the bundle is to be said once, and here.
    scorer = make(SceneModel.load(folder))
    if jobs == 1 or len(rows) < 2:
        for row in rows:
            yield score_clip(scorer, row)
        return
    left = deque(rows)
    while left:
        flying: dict[Future[Scored[S]], Row] = {}
        jobs = min(jobs, len(left))
        try:
            yield from _score_in_parallel(_pool(folder, jobs, make), left, flying, jobs)
        except BrokenProcessPool:
            # One of these crashed its process. Each alone, the one that does it again is known.
            for row in flying.values():
                yield _score_alone(_pool(folder, 1, make), row)


def score_clip(scorer: Scorer[S], row: Row) -> Scored[S]:
    """Score a clip; whatever is wrong with it becomes a sentence, and only a broken bundle is raised."""
    try:
        return Scored(row, scorer.score(row), None)
    except ModelError:
        raise
    except Exception as error:
        return Scored(row, None, str(error) or f"{row.name}: {type(error).__name__}.")


def _score_in_parallel(
    pool: ProcessPoolExecutor, left: deque[Row], flying: dict[Future[Scored[S]], Row], jobs: int
) -> Iterator[Scored[S]]:
    """Take clips off *left*; those in *flying* are handed out and not yet yielded."""
    try:
        while left or flying:
            while left and len(flying) < jobs * _AHEAD:
                with undisturbed():
                    flying[pool.submit(_score, left[0])] = left[0]
                left.popleft()
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                scored = future.result()
                del flying[future]
                yield scored
    finally:
        pool.shutdown(cancel_futures=True)


def _score_alone(pool: ProcessPoolExecutor, row: Row) -> Scored[Any]:
    with pool:
        try:
            with undisturbed():
                scored = pool.submit(_score, row)
            return scored.result()
        except BrokenProcessPool:
            return Scored(row, None, f"{row.name} crashes the process that reads it; record it, or copy it, again.")


def _pool(folder: Path, jobs: int, make: Callable[[SceneModel], Scorer[S]]) -> ProcessPoolExecutor:
    # A forked process would share the threads' locks of the libraries that are loaded.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start, initargs=(folder, make))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait: a process that begins here inherits that, and would print a traceback while it still imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_when_interrupted() -> None:
    """Let a process that began :func:`undisturbed` end at once, and in silence, with Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


_scorers: list[Scorer[Any]] = []
"""The scorer of this process, once it has begun."""


def _start(folder: Path, make: Callable[[SceneModel], Scorer[Any]]) -> None:
    """Begin a process: it ends at once with Ctrl-C, and when the process that began it is gone."""
    end_when_interrupted()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _scorers.append(make(SceneModel.load(folder)))


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _score(row: Row) -> Scored[Any]:
    return score_clip(_scorers[0], row)
