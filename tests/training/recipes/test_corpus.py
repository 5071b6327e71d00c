"""That what is learned from is what a replay would score, and that features on disk are those of their clips."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.evaluation.datasets import Row, read_dataset
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.replay import recordings
from edge_avsc.stream import Stream
from edge_avsc.training.recipes.corpus import Corpus, Views
from edge_avsc.training.recipes.listening import Listener
from edge_avsc.types import NS_PER_S, Window


@pytest.fixture
def rows(ten_scenes: Path) -> tuple[Row, ...]:
    return read_dataset(ten_scenes, "fold1_train.csv").rows[:4]


def views(model: SceneModel, hop_ns: int = NS_PER_S) -> Views:
    return Views(model.bundle.audio, model.bundle.image, True, True, hop_ns)


def test_windows_are_those_of_a_replay(tiny_model: SceneModel, rows: tuple[Row, ...]) -> None:
    columns: list[NDArray[float32]] = []
    embeddings: list[NDArray[float32]] = []

    def note(stream: Stream, window: Window, sound: NDArray[float32] | None) -> None:
        assert window.columns is not None
        assert window.embeddings is not None
        columns.append(window.columns)
        embeddings.append(window.embeddings)

    hop_ns = NS_PER_S // 10
    ((_, stream),) = recordings(audio=rows[0].audio, video=rows[0].video)
    list(Player(tiny_model, hop_ns, on_window=note).play("clip", stream))
    heard = Listener(tiny_model.bundle.audio, tiny_model.bundle.image, hop_ns).windows(rows[0])
    np.testing.assert_array_equal(heard.columns, np.stack(columns))
    assert heard.heard.all()
    assert len(columns) == 3
    for k, expected in enumerate(embeddings):
        found = tiny_model.embed_pictures(heard.pictures[k, : heard.seen[k]])
        np.testing.assert_array_equal(found, expected)


def test_what_is_there_is_not_computed_again(tiny_model: SceneModel, rows: tuple[Row, ...], tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, views(tiny_model))
    lines = list(corpus.build(rows, jobs=1))
    assert lines == [lines[0]]
    assert "4 clips: about" in lines[0]
    stamps = {path: path.stat().st_mtime_ns for path in corpus.folder.iterdir()}
    assert list(corpus.build(rows, jobs=1)) == []
    assert stamps == {path: path.stat().st_mtime_ns for path in corpus.folder.iterdir()}
    assert sum(path.stat().st_size for path in stamps) == corpus.size_bytes()
    assert list(Corpus(tmp_path, views(tiny_model, NS_PER_S // 2)).build(rows[:1], jobs=1))


def test_a_clip_that_cannot_be_read_is_left_out_and_told(
    tiny_model: SceneModel, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    bad = dataclasses.replace(rows[0], name="broken.wav", audio=broken, video=None)
    corpus = Corpus(tmp_path / "features", views(tiny_model))
    lines = list(corpus.build([bad, rows[1]], jobs=1))
    assert any("broken.wav is left out" in line for line in lines)
    assert [clip.row for clip in corpus.clips([bad, rows[1]])] == [rows[1]]


def test_a_changed_file_is_another_clip(tiny_model: SceneModel, rows: tuple[Row, ...], tmp_path: Path) -> None:
    assert rows[0].audio
    assert rows[1].audio
    path = tmp_path / "clip.wav"
    shutil.copyfile(rows[0].audio, path)
    row = dataclasses.replace(rows[0], audio=path, video=None)
    corpus = Corpus(tmp_path / "features", views(tiny_model))
    list(corpus.build([row], jobs=1))
    before = corpus.clips([row])[0].window(0)[0]
    path.write_bytes(rows[1].audio.read_bytes() + b"\0\0")
    list(corpus.build([row], jobs=1))
    assert not np.array_equal(corpus.clips([row])[0].window(0)[0], before)


def test_several_processes_write_the_same(tiny_model: SceneModel, ten_scenes: Path, tmp_path: Path) -> None:
    rows = read_dataset(ten_scenes, "fold1_train.csv").rows[:10]
    one, two = Corpus(tmp_path / "one", views(tiny_model)), Corpus(tmp_path / "two", views(tiny_model))
    list(one.build(rows, jobs=1))
    list(two.build(rows, jobs=2))
    for a, b in zip(one.clips(rows), two.clips(rows), strict=True):
        np.testing.assert_array_equal(a.window(0)[0], b.window(0)[0])
        np.testing.assert_array_equal(a.window(0)[2], b.window(0)[2])
