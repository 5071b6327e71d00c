"""The results of clips, kept on disk as they come, so that an evaluation that was stopped goes on where it was."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

import numpy as np

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.scoring import ClipScores


class ResultStore:
    """The results of one bundle, by the names of the clips; a context manager.

    path: an SQLite file; made where it is missing. key: what the results depend on beside the clips' files; results
    that were kept under another key are discarded, and ``discarded`` says how many.
    Raises ConfigError when *path* cannot be used.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._stamps: dict[str, str] = {}
        self.discarded = 0
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=1.0)
            # Two evaluations that write the same files would spoil each other's.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN EXCLUSIVE")
            self._begin(key)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def _begin(self, key: str) -> None:
        run = self._database.execute
        run("CREATE TABLE IF NOT EXISTS about (key TEXT)")
        run("CREATE TABLE IF NOT EXISTS clips (name TEXT PRIMARY KEY, stamp TEXT, scores BLOB, events TEXT)")
        known = run("SELECT key FROM about").fetchone()
        if known is None or known[0] != key:
            self.discarded = run("DELETE FROM clips").rowcount
            run("DELETE FROM about")
            run("INSERT INTO about VALUES (?)", (key,))

    def missing(self, rows: Collection[Row]) -> list[Row]:
        """Return the clips of which there is no result, or that have changed since; their results are let go."""
        try:
            known = dict(self._database.execute("SELECT name, stamp FROM clips").fetchall())
            self._stamps = {row.name: stamp(row) for row in rows}
            left = [row for row in rows if known.get(row.name) != self._stamps[row.name]]
            stale = [(row.name,) for row in left if row.name in known]
            self._database.execute("BEGIN")
            self._database.executemany("DELETE FROM clips WHERE name = ?", stale)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return left

    def put(self, row: Row, scores: ClipScores) -> None:
        """Keep a clip's result; it is safe on disk afterwards.

        It counts for the files as they were when ``missing`` was asked: one that is still written then is scored again.
        """
        packed = io.BytesIO()
        np.savez(packed, windows=scores.windows, skewed=scores.skewed, skewed_windows=scores.skewed_windows)
        values = (row.name, self._stamps.get(row.name) or stamp(row), packed.getvalue(), json.dumps(scores.events))
        try:
            self._database.execute("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def get(self, row: Row) -> ClipScores | None:
        """Return a clip's result, or None."""
        found = self._database.execute("SELECT scores, events FROM clips WHERE name = ?", (row.name,)).fetchone()
        if found is None:
            return None
        with np.load(io.BytesIO(found[0])) as arrays:
            return ClipScores(
                arrays["windows"], arrays["skewed"], arrays["skewed_windows"], tuple(json.loads(found[1]))
            )

    def _failure(self, error: sqlite3.Error) -> ConfigError:
        if "locked" in str(error):
            return ConfigError(f"Another evaluation writes to {self._path}; wait for it, or give --out another folder.")
        return ConfigError(f"{self._path} cannot hold results ({error}); delete it, or give --out another folder.")


def stamp(row: Row) -> str:
    """Return what changes when a file of a clip changes: where it is, whether it is there, its size and its time."""
    return " ".join("-" if path is None else _file_stamp(path) for path in (row.audio, row.video))


def _file_stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{path.resolve()}:{found.st_size}:{found.st_mtime_ns}"
