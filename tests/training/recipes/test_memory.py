"""That memory does not grow with the number of clips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge_avsc.evaluation.datasets import read_dataset
from edge_avsc.training.recipes.reading import laid_over, read_recipe
from edge_avsc.training.recipes.settings import Recipe
from edge_avsc.training.recipes.train import Place, corpus_of
from tiny_recipe import TINY

MB = 1024  # of ru_maxrss, which Linux counts in kB


def repeated(scenes: Path, folder: Path, clips: int) -> Path:
    """Write a dataset whose *clips* clips are links to those of *scenes*, under names of their own."""
    lines = (scenes / "evaluation_setup/fold1_train.csv").read_text().splitlines()
    for name in ("audio", "video", "evaluation_setup"):
        (folder / name).mkdir(parents=True)
    listed = [lines[0]]
    for number in range(clips):
        sound, pictures, label = lines[1 + number % (len(lines) - 1)].split("\t")
        names = [
            f"{kind}/{Path(file).stem}{number}{Path(file).suffix}"
            for kind, file in (("audio", sound), ("video", pictures))
        ]
        for file, name in zip((sound, pictures), names, strict=True):
            os.link(scenes / file, folder / name)
        listed.append("\t".join([*names, label]))
    (folder / "evaluation_setup/fold1_train.csv").write_text("\n".join(listed))
    return folder


def peak(recipe: Path, dataset: Path, out: Path) -> int:
    """Train in a process of its own and return the most memory that it took, in kB."""
    command = [sys.executable, "-m", "edge_avsc.cli", "train", str(recipe), str(dataset)]
    process = subprocess.Popen([*command, "--out", str(out), "--jobs", "1"], stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss


def lend_features(recipe: Path, scenes: Path, dataset: Path, out: Path) -> None:
    """Give the clips of *dataset* the features of those that they are links to, so that decoding costs nothing."""
    found = read_recipe(str(recipe))
    assert isinstance(found, Recipe)
    corpus = corpus_of(found, Place(dataset, out, out / "training/features", jobs=1))
    originals = read_dataset(scenes, "fold1_train.csv").rows
    list(corpus.build(originals, jobs=1))
    for number, row in enumerate(read_dataset(dataset, "fold1_train.csv").rows):
        lent, own = corpus.stem(originals[number % len(originals)]), corpus.stem(row)
        for ending in (".columns.npy", ".pictures.npy", ".there.npy", ".json"):
            os.link(lent.with_suffix(ending), own.with_suffix(ending))


@pytest.fixture
def one_epoch(tmp_path: Path) -> Path:
    recipe = tmp_path / "tiny.yaml"
    stages = [{"epochs": 1, "losses": {"both": 1, "audio": 1, "video": 1}}]
    recipe.write_text(yaml.safe_dump(laid_over(TINY, {"training": {"batch": 32, "stages": stages}})))
    return recipe


@pytest.mark.long
def test_training_takes_no_more_with_twelve_thousand_clips(ten_scenes: Path, one_epoch: Path, tmp_path: Path) -> None:
    peaks = []
    for count in (1200, 12_000):
        dataset, out = repeated(ten_scenes, tmp_path / f"of_{count}", count), tmp_path / f"out_{count}"
        lend_features(one_epoch, ten_scenes, dataset, out)
        peaks.append(peak(one_epoch, dataset, out))
    print(f"most memory: {peaks[0] / MB:.0f} MB with 1,200 clips, {peaks[1] / MB:.0f} MB with 12,000")
    # A row of the list, and where its windows are, is all that a clip may cost: some kB.
    assert peaks[1] - peaks[0] < 60 * MB


@pytest.mark.long
def test_features_take_no_more_with_more_clips(ten_scenes: Path, one_epoch: Path, tmp_path: Path) -> None:
    peaks = [
        peak(one_epoch, repeated(ten_scenes, tmp_path / f"of_{count}", count), tmp_path / f"out_{count}")
        for count in (60, 480)
    ]
    print(f"most memory: {peaks[0] / MB:.0f} MB with 60 clips, {peaks[1] / MB:.0f} MB with 480")
    assert peaks[1] - peaks[0] < 30 * MB
