from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from edge_avsc.cli import main
from edge_avsc.evaluation.datasets import read_dataset
from edge_avsc.evaluation.flaws import flaws
from edge_avsc.training.classes import LABELS
from evaluation.tau_folder import CLIPS, write_list
from recordings import Sound, write_recording


@pytest.fixture
def dataset(tau: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tau, tmp_path / "tau")


def kinds(dataset: Path) -> list[str]:
    return [flaw.kind for flaw in flaws(read_dataset(dataset), io.StringIO(), LABELS)]


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_whole_dataset_has_no_flaws(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds(dataset) == []
    assert main(["evaluate", str(dataset), "--check"]) == 0
    assert "5 clips checked: nothing is wrong." in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mkv", ".mp4"])
def test_cut_files_are_found_without_decoding(suffix: str, tmp_path: Path) -> None:
    sound = Sound(rate_hz=16_000, channels=1)
    path = write_recording(tmp_path / f"a{suffix}", 4.0, sound=sound, options={"movflags": "faststart"})
    write_list(tmp_path, [f"a{suffix}\t\tbus"])
    assert kinds(tmp_path) == []
    cut(path, 0.6)
    assert kinds(tmp_path) == ["truncated"]


def test_missing_unreadable_and_uneven_clips(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / f"audio/{CLIPS[0][0]}.wav").unlink()
    (dataset / f"video/{CLIPS[1][0]}.mkv").write_bytes(b"no video at all")
    write_recording(dataset / f"audio/{CLIPS[2][0]}.wav", 3.0, pictures=None)
    write_recording(dataset / f"audio/{CLIPS[4][0]}.wav", 0.5, pictures=None)
    assert kinds(dataset) == ["missing", "unreadable", "uneven", "too short"]
    assert main(["evaluate", str(dataset), "--check"]) == 2
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "5 clips checked: 1 missing, 1 unreadable, 1 uneven, 1 too short."
    assert f"There is no file {dataset}/audio/{CLIPS[0][0]}.wav" in said


@pytest.mark.parametrize("kind", ["missing", "unreadable", "truncated"])
def test_a_file_of_both_modalities_is_told_once(kind: str, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", 4.0, sound=Sound(), options={"movflags": "faststart"})
    write_list(tmp_path, ["a.mp4\ta.mp4\tbus"])
    assert kinds(tmp_path) == []
    if kind == "truncated":
        cut(path, 0.6)
    else:
        path.unlink()
    if kind == "unreadable":
        path.write_bytes(b"no recording at all")
    assert kinds(tmp_path) == [kind]


def test_labels_that_the_model_lacks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled = {"a.wav": "bus", "b.wav": "tramm", "c.wav": "bus,tram"}
    for name in labelled:
        write_recording(tmp_path / name, 2.0, pictures=None)
    write_list(tmp_path, [f"{name}\t\t{label}" for name, label in labelled.items()])
    assert kinds(tmp_path) == ["of an unknown label"] * 2
    assert main(["evaluate", str(tmp_path), "--check"]) == 2
    said = capsys.readouterr().out
    assert "b.wav is labelled 'tramm', which the model does not know; " in said
    assert "Did you mean 'tram'?" in said
    assert "3 clips checked: 2 of an unknown label." in said
    write_list(tmp_path, ["a.wav\t\tbus", "b.wav\t\t"])
    assert kinds(tmp_path) == ["without a label"]


def test_leaks_and_repeats(dataset: Path) -> None:
    rows = [f"audio/{name}.wav\t\t{label}" for name, label in CLIPS]
    write_list(dataset, [*rows, rows[0]])
    write_list(dataset, ["audio/park-lyon-3-99.wav\t\tpark", "audio/park-oslo-3-99.wav\t\tpark"], "fold1_train")
    found = list(flaws(read_dataset(dataset), io.StringIO(), LABELS))
    assert [flaw.kind for flaw in found] == ["repeated", "leaking"]
    assert "lyon-3 (1 clips)" in found[1].detail
