from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_avsc.cli import main
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.calibration import hold_out, unlike_all
from edge_avsc.training.own_scenes.embedding import Embedder
from edge_avsc.training.own_scenes.folder import read_folder
from edge_avsc.training.own_scenes.graph import write_fusion
from edge_avsc.training.own_scenes.head import Head, fit_head
from edge_avsc.training.own_scenes.judging import STATES, Evidence, Scene, classes_in, judge
from edge_avsc.training.own_scenes.label_statistics import write_label_statistics
from edge_avsc.training.own_scenes.shipped import shipped_words
from edge_avsc.training.own_scenes.train import Plan, train
from edge_avsc.training.own_scenes.windows import Windows, gather
from recordings import Pictures, cut, write_recording
from tiny_bundle import write_tiny_bundle
from training.own_scenes.drawn import pictures, sound, taught, write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("own") / "scenes")


@pytest.fixture(scope="module")
def trained(scenes: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "mine"
    assert main(["train", "own-scenes", str(scenes), "--out", str(out), "--model", str(tiny_folder)]) == 0
    return out


@pytest.fixture(scope="module")
def windows(scenes: Path, tiny_folder: Path) -> Windows:
    embedder = Embedder(SceneModel.load(tiny_folder))
    content = read_folder(scenes)
    return gather(content.rows, {row.name: embedder.score(row) for row in content.rows}, content.labels, 1)


def lines(plan: Plan) -> list[str]:
    return list(train(plan))


def test_the_bundle_runs_at_once_and_tells_the_scenes(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_recording(tmp_path / "new.mkv", 4.0, sound=sound("garden", 7, 4.0), pictures=pictures("garden", 7))
    labels = tmp_path / "labels.jsonl"
    assert main(["replay", str(clip), "--model", str(trained), "--jsonl", str(labels)]) == 0
    said = [json.loads(line) for line in labels.read_text().splitlines()]
    assert {max(line["window_probabilities"], key=line["window_probabilities"].get) for line in said} == {"garden"}
    assert main(["model", "verify", str(trained)]) == 0
    assert main(["model", "info", str(trained)]) == 0
    assert "cellar, garden, kitchen" in capsys.readouterr().out
    card = (trained / "README.md").read_text()
    assert "## It cannot" in card
    assert "Weights: CC0" in card


def test_held_out_figures_are_told_in_every_state(trained: Path) -> None:
    measured = SceneModel.load(trained).bundle.measured
    assert measured["data"]["garden"]["sources"] == 3
    for state in STATES:
        assert measured["held_out"][state]["sources"] == 9
        assert measured["held_out"][state]["macro_accuracy"] > 0.8


def test_every_window_is_held_out_with_its_whole_source(windows: Windows) -> None:
    for source in np.unique(windows.sources):
        assert len(np.unique(windows.folds[windows.sources == source])) == 1


@pytest.mark.parametrize("known", [0, 2])
def test_the_graph_computes_what_was_judged(known: int, windows: Windows, tiny_folder: Path, tmp_path: Path) -> None:
    """*known*: how many of the scenes the bundle that is built upon has already."""
    labels = ["cellar", "garden", "attic"] if known else ["attic", "loft", "shed"]
    upon = SceneModel.load(_with_labels(tmp_path / "upon", [*labels, *"abcdefg"]))
    head, shipped = _head(windows, upon)
    assert bool(head.scene.shares) == bool(known)
    spec = upon.bundle.graphs["cpu"].fusion
    write_fusion(head, upon.bundle, spec, upon.folder / spec.path, tmp_path / "fusion.onnx")
    graph = upon.backend.load(tmp_path / "fusion.onnx", spec.model_copy(update={"outputs": _outputs(head)}))
    assert head.sound is not None
    assert head.pictures is not None
    for state in STATES:
        mine = windows.has(state)
        evidence = Evidence(
            head.sound.logits(windows.sound[mine], 3),
            head.pictures.logits(windows.pictures[mine], 3),
            unlike_all(head.sound.cosines(windows.sound[mine], 3)),
            unlike_all(head.pictures.cosines(windows.pictures[mine], 3)),
            {each: said[mine] for each, said in shipped.items()},
        )
        probabilities, odds = judge(state, evidence, head.reading, head.scene)
        present = np.tile(np.array([["a" in state, "v" in state]], np.float32), (int(mine.sum()), 1))
        said = graph.run(
            {
                "audio_embedding": windows.sound[mine].astype(np.float32),
                "image_embedding": windows.pictures[mine].astype(np.float32),
                "present": present,
            }
        )
        assert np.abs(np.exp(said["logits"]) - probabilities).max() < 1e-4
        assert np.abs(said["none_logit"][:, 0] - odds).max() < 0.1
    model = onnx.load(tmp_path / "fusion.onnx")
    assert model.ir_version <= 8
    assert model.opset_import[0].version <= 17


def test_alone_no_modality_is_surer_than_both_together(windows: Windows, tiny_model: SceneModel) -> None:
    head, shipped = _head(windows, tiny_model)
    held_out, both = hold_out(windows, shipped), windows.has("av")
    evidence = held_out.read(head.reading, both)
    surety = {state: classes_in(state, evidence, head.reading, head.scene).max(axis=1).mean() for state in STATES}
    assert surety["a"] <= surety["av"] + 0.01
    assert surety["v"] <= surety["av"] + 0.01


def test_training_again_decodes_nothing_again(scenes: Path, trained: Path, tiny_folder: Path) -> None:
    before = (trained / "fusion.onnx").read_bytes()
    told = lines(Plan(scenes, trained, upon=str(tiny_folder)))
    assert "36 of 36 recordings are embedded already." in told
    assert (trained / "fusion.onnx").read_bytes() == before


def test_kept_labels_stay_and_new_ones_join_them(scenes: Path, tmp_path: Path) -> None:
    upon = SceneModel.load(write_tiny_bundle(tmp_path / "upon"))
    write_label_statistics(upon, taught())
    told = lines(Plan(scenes, tmp_path / "out", upon=str(upon.folder), keep_labels=True))
    model = SceneModel.load(tmp_path / "out")
    assert model.labels == (*upon.labels, "cellar", "garden", "kitchen")
    assert model.bundle.measured["held_out"]["av"]["kept_labels_stay"] > 0.5
    assert any("good" in line for line in told)


def test_labels_are_not_kept_without_statistics(scenes: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no label_statistics\.npz.*tools/write_label_statistics\.py"):
        lines(Plan(scenes, tmp_path / "out", upon=str(tiny_folder), keep_labels=True))


def test_what_is_none_of_the_scenes_is_learnt(tiny_folder: Path, tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", ("cellar", "kitchen", "none"))
    lines(Plan(folder, tmp_path / "out", upon=str(tiny_folder)))
    model = SceneModel.load(tmp_path / "out")
    assert model.labels == ("cellar", "kitchen")
    assert model.bundle.measured["held_out"]["av"]["none_called_none_of_ours"] > 0.7


def test_unreadable_recordings_are_told_counted_and_left_out(tiny_folder: Path, tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", sources=2)
    (folder / "cellar" / "notes.txt").write_text("nothing")
    cut(write_recording(folder / "garden" / "torn.mp4", 3.0), 0.3)
    write_recording(folder / "garden" / "black.mkv", 3.0, sound=None, pictures=Pictures(draw=_black))
    write_recording(folder / "garden" / "short.wav", 0.5)
    told = lines(Plan(folder, tmp_path / "out", upon=str(tiny_folder)))
    assert any("4 of 28 recordings could not be used" in line for line in told)
    assert len((tmp_path / "out/training/problems.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("seconds", "sentence"), [(1.0, r"'garden' has only 1 windows .* record at least 4.5 s"), (0.4, "None of the rec")]
)
def test_too_little_gets_a_sentence(seconds: float, sentence: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", ("cellar",), sources=2)
    (folder / "garden").mkdir()
    write_recording(folder / "garden" / "a.wav", seconds, sound=sound("garden", 1, seconds))
    with pytest.raises(ConfigError, match=sentence):
        lines(Plan(folder, tmp_path / "out", upon=str(tiny_folder)))


def test_sound_of_one_scene_and_pictures_of_another_tell_nothing_apart(tiny_folder: Path, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "scenes/kitchen").mkdir(parents=True, exist_ok=True)
        (tmp_path / "scenes/garden").mkdir(exist_ok=True)
        write_recording(
            tmp_path / f"scenes/kitchen/monday{number}.wav", 5.0, sound=sound("kitchen", number, 5.0), pictures=None
        )
        write_recording(
            tmp_path / f"scenes/garden/tuesday{number}.mkv", 5.0, sound=None, pictures=pictures("garden", number)
        )
    with pytest.raises(ConfigError, match=r"so nothing tells them apart; record sound or pictures of at least two"):
        lines(Plan(tmp_path / "scenes", tmp_path / "out", str(tiny_folder)))


def test_scenes_of_one_recording_are_learnt_but_not_judged(tiny_folder: Path, tmp_path: Path) -> None:
    for label in ("cellar", "garden"):
        (tmp_path / "scenes" / label).mkdir(parents=True)
        write_recording(tmp_path / "scenes" / label / "a.wav", 6.0, sound=sound(label, 1, 6.0))
    told = lines(Plan(tmp_path / "scenes", tmp_path / "out", upon=str(tiny_folder)))
    assert any("'cellar' has one source" in line for line in told)
    assert any("nothing could be judged" in line for line in told)
    assert any("'cellar' has no pictures" in line for line in told)
    model = SceneModel.load(tmp_path / "out")
    seen = model.fuse(None, np.ones((1, 8), np.float32))
    assert seen.none_of_ours > model.bundle.unsure.threshold  # nobody taught it what the places look like


@pytest.mark.parametrize("out", ["", "cellar/out"])
def test_the_bundle_must_not_lie_among_the_scenes(out: str, scenes: Path, tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="lies inside"):
        lines(Plan(scenes, scenes / out, upon=str(tiny_folder)))


def test_what_knows_the_recordings_is_not_built_upon(scenes: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="build upon avsc-lite instead"):
        lines(Plan(scenes, tmp_path / "again", str(trained)))


def test_what_is_not_ours_is_not_overwritten(
    scenes: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert main(["train", "own-scenes", str(scenes), "--out", str(tmp_path), "--model", str(tiny_folder)]) == 2
    assert "holds something else already" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "mine"


def test_options_of_other_recipes_are_refused(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "own-scenes", str(scenes), "--from-scratch"]) == 2
    assert main(["train", "avsc-lite", str(scenes), "--keep-labels"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 2
    assert "Traceback" not in error


def test_a_still_is_a_window_of_pictures_alone(scenes: Path, tiny_model: SceneModel) -> None:
    path = scenes / "cellar" / "place0" / "still.png"
    embedded = Embedder(tiny_model).score(Row("still", path, path, None, "still", None))
    assert len(embedded.pictures) == 1
    assert np.isnan(embedded.sound).all()
    assert not np.isnan(embedded.pictures).any()


def _head(windows: Windows, upon: SceneModel) -> tuple[Head, dict[str, np.ndarray]]:
    shipped = dict(shipped_words(upon, windows))
    scene = Scene(windows.classes, windows.has_none, upon.labels)
    return fit_head(windows, hold_out(windows, shipped), scene), shipped


def _with_labels(folder: Path, labels: list[str]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return write_tiny_bundle(folder, labels=labels)


def _outputs(head: Head) -> dict[str, object]:
    from edge_avsc.bundle import TensorSpec

    return {
        "logits": TensorSpec(shape=("batch", len(head.scene.labels))),
        "none_logit": TensorSpec(shape=("batch", 1)),
    }


def _black(frame: int) -> np.ndarray:
    return np.zeros((48, 64, 3), np.uint8)
