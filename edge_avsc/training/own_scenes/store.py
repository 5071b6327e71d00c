"""Embeddings of recordings, kept on disk as they come: what was embedded once is not decoded again."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from edge_avsc import __version__
from edge_avsc.bundle import Bundle
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.results import stamp
from edge_avsc.training.own_scenes.embedding import HOP_S, Embeddings


class EmbeddingStore:
    """A file for each recording, named after its path; it counts only for this bundle and while that is unchanged."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self.folder = folder
        self._asked: dict[str, str] = {}
        parts = bundle.graphs["cpu"]
        self._made_by = f"{__version__} {parts.audio.sha256} {parts.image.sha256} {HOP_S} {bundle.audio} {bundle.image}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure(error) from error

    def get(self, row: Row) -> Embeddings | None:
        """Return what is kept of a recording as it is now, or None."""
        of = self._asked[row.name] = self._of(row)
        try:
            with np.load(self._path(row)) as kept:
                if str(kept["of"]) == of:
                    return Embeddings(kept["sound"], kept["pictures"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # missing, or torn by a crash: embedded again
        return None

    def put(self, row: Row, embeddings: Embeddings) -> None:
        """Keep a recording's embeddings, of it as it was when it was asked for.

        Raises ConfigError where they cannot be written.
        """
        path = self._path(row)
        beside = path.with_suffix(".part")
        try:
            with beside.open("wb") as file:
                np.savez(
                    file,
                    of=np.array(self._asked.get(row.name) or self._of(row)),
                    sound=embeddings.sound,
                    pictures=embeddings.pictures,
                )
            os.replace(beside, path)
        except OSError as error:
            raise self._failure(error) from error

    def size_bytes(self) -> int:
        """Return how much is kept."""
        return sum(path.stat().st_size for path in self.folder.glob("*.npz"))

    def _path(self, row: Row) -> Path:
        return self.folder / f"{hashlib.sha256(row.name.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.npz"

    def _of(self, row: Row) -> str:
        return f"{self._made_by} {stamp(row)}"

    def _failure(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self.folder} cannot be written ({error.strerror or error}); give --out another folder.")
