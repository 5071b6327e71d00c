from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.results import ResultStore
from edge_avsc.evaluation.scoring import ClipScores


def clip(folder: Path, name: str) -> Row:
    path = folder / name
    path.write_bytes(b"sound")
    return Row(name, path, None, "bus", "lisbon-1", "lisbon")


SCORES = ClipScores(
    np.array([[[0.1, 0.9]], [[np.nan, np.nan]]]), np.full((1, 13, 2), 1 / 3), np.array([4]), ("truncated: it ends.",)
)


def test_what_was_put_comes_back_bit_by_bit(tmp_path: Path) -> None:
    rows = [clip(tmp_path, name) for name in ("a.wav", "b.wav")]
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        assert store.missing(rows) == rows
        store.put(rows[0], SCORES)
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        assert store.missing(rows) == rows[1:]
        found = store.get(rows[0])
        assert store.get(rows[1]) is None
    assert found is not None
    for name in ("windows", "skewed", "skewed_windows"):
        np.testing.assert_array_equal(getattr(found, name), getattr(SCORES, name))
    assert found.events == SCORES.events


def test_changed_clip_is_scored_again(tmp_path: Path) -> None:
    row = clip(tmp_path, "a.wav")
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        store.put(row, SCORES)
        assert store.missing([row]) == []
        os.utime(tmp_path / "a.wav", ns=(0, 0))
        assert store.missing([row]) == [row]
        assert store.get(row) is None


def test_clip_that_changes_while_it_is_scored_is_scored_again(tmp_path: Path) -> None:
    """As one that was still being written."""
    row = clip(tmp_path, "a.wav")
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        assert store.missing([row]) == [row]
        row.audio.write_bytes(b"sound and more")  # type: ignore[union-attr]
        store.put(row, SCORES)
        assert store.missing([row]) == [row]


def test_clip_of_the_same_name_elsewhere_is_another(tmp_path: Path) -> None:
    rows = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        rows.append(clip(folder, "a.wav"))
        os.utime(folder / "a.wav", ns=(0, 0))
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        store.put(rows[0], SCORES)
        assert store.missing(rows[1:]) == rows[1:]


def test_other_key_discards(tmp_path: Path) -> None:
    row = clip(tmp_path, "a.wav")
    with ResultStore(tmp_path / "r.sqlite", "key") as store:
        store.put(row, SCORES)
        assert store.discarded == 0
    with ResultStore(tmp_path / "r.sqlite", "other") as store:
        assert store.discarded == 1
        assert store.missing([row]) == [row]


def test_two_at_once_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with ResultStore(path, "key"), pytest.raises(ConfigError, match="Another evaluation writes"):
        ResultStore(path, "key")
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match="cannot hold results"):
        ResultStore(path, "key")
