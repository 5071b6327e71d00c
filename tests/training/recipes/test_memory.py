"""That memory does not grow with the number of clips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge_avsc.training.recipes.reading import laid_over
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


@pytest.mark.long
def test_memory_is_flat_over_twelve_thousand_clips(ten_scenes: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    stages = [{"epochs": 1, "losses": {"both": 1, "audio": 1, "video": 1}}]
    recipe.write_text(yaml.safe_dump(laid_over(TINY, {"training": {"batch": 32, "stages": stages}})))
    counts = (1200, 12_000)
    peaks = [
        peak(recipe, repeated(ten_scenes, tmp_path / f"of_{count}", count), tmp_path / f"out_{count}")
        for count in counts
    ]
    print(f"most memory: {peaks[0] / MB:.0f} MB with 1,200 clips, {peaks[1] / MB:.0f} MB with 12,000")
    # A row of the list, and where its windows are, is all that a clip may cost: some kB.
    assert peaks[1] - peaks[0] < 60 * MB
