from __future__ import annotations

from pathlib import Path

import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.training.own_scenes.folder import read_folder, source_of


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("monday/1.mp4", "monday"),
        ("park-lyon-1144-44031.flac", "lyon-1144"),
        ("backyard_1.wav", "backyard"),
        ("backyard-002.wav", "backyard"),
        ("backyard (3).wav", "backyard"),
        ("backyard.wav", "backyard"),
        ("backyard.mp4", "backyard"),
        ("park_1.wav", "park_1"),
        ("IMG_0001.mov", "IMG_0001"),
        ("VID_20240101_120000.mp4", "VID_20240101_120000"),
        ("20240101_120000.mp4", "20240101_120000"),
        ("fountain.mp4", "fountain"),
    ],
)
def test_a_source_is_told_by_folder_place_or_name(name: str, source: str) -> None:
    assert source_of(Path("scenes/park") / name, Path("scenes/park")) == source


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_labels_are_folders_and_none_is_no_label(tmp_path: Path) -> None:
    files(tmp_path, "shop/a.wav", "bar/b.wav", "other/c.wav", ".cache/d.wav", "bar/.e", "notes.txt")
    content = read_folder(tmp_path)
    assert content.labels == ("bar", "shop")
    assert [row.name for row in content.rows] == ["bar/b.wav", "shop/a.wav"]
    assert [(row.name, row.scene_label) for row in content.none] == [("other/c.wav", None)]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.wav"], "has no folders in it"),
        (["bar/a.wav"], "only the scene 'bar'"),
        (["none/a.wav"], "has no scene"),
        (["bar/a.wav", "unsure/a.wav"], "'unsure' is what is said when no scene fits"),
        (["bar/a.wav", "a\tb/a.wav"], "is no name for a scene"),
        (["bar/a.wav", "shop/.hidden"], "is empty"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_gets_a_sentence(names: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_folder(files(tmp_path, *names))


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no folder"):
        read_folder(tmp_path / "missing")


def test_one_scene_is_enough_where_labels_are_kept(tmp_path: Path) -> None:
    assert read_folder(files(tmp_path, "bar/a.wav"), least=1).labels == ("bar",)


def test_none_may_be_written_large_and_a_link_to_above_is_not_followed(tmp_path: Path) -> None:
    files(tmp_path, "shop/a.wav", "bar/b.wav", "None/c.wav")
    (tmp_path / "shop" / "up").symlink_to(tmp_path)
    content = read_folder(tmp_path)
    assert content.labels == ("bar", "shop")
    assert [row.name for row in content.rows] == ["bar/b.wav", "shop/a.wav"]
    assert [row.name for row in content.none] == ["None/c.wav"]
