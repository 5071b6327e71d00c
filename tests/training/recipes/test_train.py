"""A recipe from a dataset to labels: it trains, exports, evaluates and replays, and goes on where it was stopped."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge_avsc.bundle import read_bundle
from edge_avsc.cli import main
from edge_avsc.evaluation.outputs import aligned, read_output, read_reference
from edge_avsc.replay import replay
from edge_avsc.training.recipes.reading import laid_over
from tiny_recipe import TINY


def train(recipe: Path | str, dataset: Path, out: Path, *more: str) -> int:
    return main(["train", str(recipe), str(dataset), "--out", str(out), "--jobs", "1", *more])


@pytest.fixture(scope="module")
def trained(ten_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    assert train(folder / "tiny.yaml", ten_scenes, folder / "out") == 0
    return folder / "out"


def test_a_replay_says_what_validation_said(trained: Path, ten_scenes: Path) -> None:
    said = read_output(trained / "training/validation.output.csv")
    expected = dict(zip(said.filenames, said.probabilities, strict=True))
    lines = (trained / "training/validation.csv").read_text().splitlines()[1:]
    assert len(lines) == 20
    for line in lines[::5]:
        sound, pictures, _ = line.split("\t")
        estimates = list(replay(audio=ten_scenes / sound, video=ten_scenes / pictures, model=trained, hop_s=1.0))
        assert len(estimates) == 1
        np.testing.assert_allclose(list(estimates[0].window_probabilities.values()), expected[sound], atol=1e-3)


def test_evaluate_and_verify_take_it(trained: Path, ten_scenes: Path, tmp_path: Path) -> None:
    assert main(["model", "verify", str(trained)]) == 0
    split = str(trained / "training/validation.csv")
    out = tmp_path / "evaluation"
    assert (
        main(["evaluate", str(ten_scenes), "--split", split, "--model", str(trained), "--out", str(out), "--jobs", "1"])
        == 0
    )
    reference = read_reference(trained / "training/validation.reference.csv")
    ours, theirs = (
        aligned(read_output(path), reference, "output").probabilities
        for path in (trained / "training/validation.output.csv", out / "tiny_task1b_1.output.csv")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_the_bundle_says_what_it_is(trained: Path) -> None:
    bundle = read_bundle(trained)
    assert bundle.name == "tiny"
    assert bundle.measured["weights"] == "float32"
    assert bundle.measured["validation"]["windows"] == 20
    assert set(bundle.measured["validation"]) == {"windows", "clips", "av", "a", "v"}
    assert bundle.provenance.data == ["scenes: 40 clips of 20 locations"]
    assert "A little system" in (trained / "README.md").read_text()


def test_tensorboard_finds_its_events(trained: Path) -> None:
    pytest.importorskip("tensorboardX")
    (events,) = (trained / "training/logs").iterdir()
    assert b"stage_1/log_loss/validation" in events.read_bytes()


def killed_and_resumed(recipe: Path, dataset: Path, out: Path, seed: int) -> int:
    """Train in processes that are killed at random moments, until one comes to its end; return how many were killed."""
    chance, killed = random.Random(seed), 0
    command = [
        sys.executable,
        "-m",
        "edge_avsc.cli",
        "train",
        str(recipe),
        str(dataset),
        "--out",
        str(out),
        "--jobs",
        "1",
    ]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert process.wait(timeout=chance.uniform(3, 6) * (1 + killed / 8)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        else:
            return killed


@pytest.mark.long
def test_killed_at_random_moments_it_comes_to_the_same(
    trained: Path, ten_scenes: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    killed = killed_and_resumed(tiny_recipe, ten_scenes, tmp_path / "out", seed=3)
    assert killed > 0
    print(f"killed {killed} times")
    for name in ("audio.onnx", "image.onnx", "fusion.onnx"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / name).read_bytes()


def test_stopped_within_an_epoch_it_goes_on_the_same(
    trained: Path, ten_scenes: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a killed run leaves is one of its saved states; here the state after the second epoch."""
    command = [sys.executable, "-m", "edge_avsc.cli", "train", str(tiny_recipe), str(ten_scenes)]
    command += ["--out", str(tmp_path / "out"), "--jobs", "1", "--cache", str(trained / "training/features")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "epoch 3" in line:
                process.kill()
    assert not (tmp_path / "out/bundle.yaml").exists()
    assert train(tiny_recipe, ten_scenes, tmp_path / "out", "--cache", str(trained / "training/features")) == 0
    assert "going on at stage 1" in capsys.readouterr().out
    for name in ("audio.onnx", "image.onnx", "fusion.onnx"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / name).read_bytes()


def test_another_recipe_in_the_same_folder_is_refused(
    trained: Path, ten_scenes: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "out")
    raw = yaml.safe_load(tiny_recipe.read_text())
    tiny_recipe.write_text(yaml.safe_dump(laid_over(raw, {"training": {"learning_rate": 0.1}})))
    assert train(tiny_recipe, ten_scenes, tmp_path / "out") == 2
    assert "holds a run of another recipe or dataset; give --out another folder" in capsys.readouterr().err


VARIANTS: dict[str, dict[str, Any]] = {
    "frozen": {
        "frozen_encoders": True,
        "weights": "float16",
        "training": {"stages": [{"epochs": 1, "losses": {"both": 1, "audio": 1, "video": 1}}]},
    },
    "sound_alone": {"picture": None, "training": {"hop_s": 0.1, "stages": [{"epochs": 1, "losses": {"audio": 1}}]}},
    "pictures_alone": {
        "sound": None,
        "fusion": {"kind": "ensemble", "widths": []},
        "training": {"stages": [{"epochs": 1, "losses": {"members": 1}}]},
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_come_to_a_bundle(
    name: str, trained: Path, ten_scenes: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    raw = laid_over(yaml.safe_load(tiny_recipe.read_text()), VARIANTS[name])
    tiny_recipe.write_text(yaml.safe_dump({key: value for key, value in raw.items() if value is not None}))
    out = tmp_path / "out"
    assert train(tiny_recipe, ten_scenes, out, "--cache", str(trained / "training/features")) == 0
    assert main(["model", "verify", str(out)]) == 0
    said = read_output(out / "training/validation.output.csv")
    sound, pictures, _ = (out / "training/validation.csv").read_text().splitlines()[1].split("\t")
    (estimate,) = replay(audio=ten_scenes / sound, video=ten_scenes / pictures, model=out, hop_s=1.0)
    np.testing.assert_allclose(
        list(estimate.window_probabilities.values()), said.probabilities[said.filenames.index(sound)], atol=1e-3
    )


def test_wrong_datasets_get_a_sentence(
    ten_scenes: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def complaint(*arguments: str) -> str:
        assert main(["train", str(tiny_recipe), *arguments, "--out", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    assert "name a dataset's folder" in complaint()
    assert "There is no dataset folder" in complaint(str(tmp_path / "nowhere"))
    lines = (ten_scenes / "evaluation_setup/fold1_train.csv").read_text().splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join(line for line in lines if not line.endswith("\ttram")))
    assert "no clip of 'tram'" in complaint(str(ten_scenes), "--train", str(few))
    few.write_text("\n".join([lines[0], *(line for line in lines if "-100-" in line or "bus" not in line)]))
    assert "There is no list" in complaint(str(ten_scenes), "--train", "none.csv")


def test_the_list_to_train_on_is_not_guessed(
    ten_scenes: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ten_scenes, tmp_path / "scenes")
    setup = tmp_path / "scenes/evaluation_setup"
    (setup / "fold1_train.csv").rename(setup / "some.csv")
    assert train(tiny_recipe, tmp_path / "scenes", tmp_path / "out") == 2
    assert "has no fold1_train.csv; name the list to train on by --train." in capsys.readouterr().err


def test_avsc_lites_recipe_names_what_there_is_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert train("avsc-lite", tmp_path, tmp_path / "out") == 2
    assert "has no folder 'images'" in capsys.readouterr().err
    for name in ("images", "teachers", "ambience", "tau"):
        (data / name).mkdir(parents=True)
    recipe = tmp_path / "own.yaml"
    raw = {
        "name": "own",
        "note": "Short.",
        "program": "avsc-lite",
        "steps": ["pictures"],
        "plan": {"picture_minute": 1},
    }
    recipe.write_text(yaml.safe_dump(raw))
    assert train(recipe, data, tmp_path / "out") == 2
    assert "plan has 'picture_minute', which there is not. Did you mean 'picture_minutes'?" in capsys.readouterr().err
    raw |= {"plan": {}, "steps": ["pictures", "labelled"]}
    recipe.write_text(yaml.safe_dump(raw))
    assert train(recipe, data, tmp_path / "out") == 2
    assert "steps has 'labelled', which there is not." in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--from-scratch",), ("--cache", "kept"), ("--train", "some.csv")])
def test_what_avsc_lites_recipe_does_not_heed_is_refused(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("avsc-lite", tmp_path, tmp_path / "out", *option) == 2
    assert "--train, --cache and --from-scratch are not for avsc-lite; leave them out." in capsys.readouterr().err


def test_a_vote_is_refused_before_anything_is_trained(
    trained: Path, ten_scenes: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where its clips could not be compared, and where a member's folder holds something else."""
    vote, out = tmp_path / "vote.yaml", tmp_path / "out"
    vote.write_text(yaml.safe_dump({"name": "vote", "note": "Two.", "vote_of": ["baseline-openl3", "hou-ugent-4"]}))
    shutil.copytree(trained, out / "baseline-openl3")
    (out / "training").mkdir()
    assert train(vote, ten_scenes, out) == 2
    assert "baseline-openl3 holds another tiny than is wanted" in capsys.readouterr().err
    data = shutil.copytree(ten_scenes, tmp_path / "data")
    for path in (data / "evaluation_setup").glob("*.csv"):
        if path.name != "fold1_train.csv":
            lines = path.read_text().splitlines()
            path.write_text("\n".join([lines[0], *(line.rpartition("\t")[0] + "\t" for line in lines[1:])]) + "\n")
    assert train(vote, data, tmp_path / "other") == 2
    assert "has clips without a label, by which the members could not be compared" in capsys.readouterr().err
