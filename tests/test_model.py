from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.backends._providers import PROVIDERS
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend, available_providers
from edge_avsc.bundle import read_bundle
from edge_avsc.errors import ModelError
from edge_avsc.model import SceneModel, bundle_folders, find_bundle, softmax
from tiny_bundle import write_tiny_bundle


def columns(seed: int = 0) -> NDArray[float32]:
    return np.random.default_rng(seed).normal(0, 1, (37, 16)).astype(float32)


def pictures(count: int, seed: int = 0) -> NDArray[uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(uint8)


def test_a_window_of_both_is_judged_by_both(tiny_model: SceneModel) -> None:
    sound = tiny_model.embed_sound(columns())
    seen = tiny_model.embed_pictures(pictures(2))
    assert sound.shape == (8,)
    assert seen.shape == (2, 8)
    both = tiny_model.fuse(sound, seen)
    assert both.modality == "av"
    assert len(both.probabilities) == len(tiny_model.labels)
    assert sum(both.probabilities) == pytest.approx(1.0)
    assert 0.0 <= both.none_of_ours <= 1.0
    alone, blind = tiny_model.fuse(sound, None), tiny_model.fuse(None, seen)
    assert (alone.modality, blind.modality) == ("a", "v")
    assert len({both.probabilities, alone.probabilities, blind.probabilities}) == 3


def test_what_is_missing_does_not_count(tiny_model: SceneModel) -> None:
    """The graph is told what is there; what stands in for the rest must not matter."""
    sound = tiny_model.embed_sound(columns())
    other = tiny_model.embed_sound(columns(1))
    seen = tiny_model.embed_pictures(pictures(2))
    assert tiny_model.fuse(None, seen) == tiny_model.fuse(None, seen)
    assert tiny_model.fuse(sound, None) != tiny_model.fuse(other, None)


def test_neither_is_no_window(tiny_model: SceneModel) -> None:
    with pytest.raises(ValueError, match="neither sound nor pictures"):
        tiny_model.fuse(None, None)


def test_what_is_no_number_is_no_prediction(tiny_model: SceneModel) -> None:
    """A smoother that took it in would never say anything again."""
    with pytest.raises(
        ModelError, match=r"^CPUExecutionProvider computed what is no number from .*; run 'edge-avsc doctor'"
    ):
        tiny_model.fuse(np.full(8, np.nan, float32), None)


def test_pictures_of_a_window_count_alike_in_any_order(tiny_model: SceneModel) -> None:
    seen = tiny_model.embed_pictures(pictures(2))
    one, other = tiny_model.fuse(None, seen), tiny_model.fuse(None, seen[::-1])
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_pictures_are_embedded_alike_alone_and_together(tiny_model: SceneModel) -> None:
    together = tiny_model.embed_pictures(pictures(5))
    for n in range(5):
        np.testing.assert_allclose(tiny_model.embed_pictures(pictures(5)[n : n + 1])[0], together[n], atol=1e-5)


def test_wrong_shapes_are_refused_by_name(tiny_model: SceneModel) -> None:
    with pytest.raises(ModelError, match="'log_mel' is float32"):
        tiny_model.embed_sound(np.zeros((36, 16), float32))
    with pytest.raises(ModelError, match="'picture' is float32"):
        tiny_model.embed_pictures(np.zeros((1, 8, 8, 3), uint8))
    with pytest.raises(ModelError, match="'audio_embedding' is float32"):
        tiny_model.fuse(np.zeros(7, float32), None)


def test_temperature_is_that_of_the_modality_and_cools_the_probabilities(tmp_path: Path) -> None:
    cool = SceneModel.load(write_tiny_bundle(tmp_path / "cool", temperature={"av": 1.0, "a": 5.0, "v": 1.0}))
    plain = SceneModel.load(write_tiny_bundle(tmp_path / "plain"))
    sound, seen = plain.embed_sound(columns()), plain.embed_pictures(pictures(1))
    assert cool.fuse(None, seen) == plain.fuse(None, seen)
    assert cool.fuse(sound, seen) == plain.fuse(sound, seen)
    hot, cold = plain.fuse(sound, None).probabilities, cool.fuse(sound, None).probabilities
    assert max(cold) < max(hot)
    assert int(np.argmax(cold)) == int(np.argmax(hot))


def test_the_largest_probability_may_be_the_score_of_none(tmp_path: Path) -> None:
    score = {"score": "max_probability", "threshold": 0.6}
    model = SceneModel.load(write_tiny_bundle(tmp_path / "bundle", unsure=score))
    judged = model.fuse(model.embed_sound(columns()), None)
    assert judged.none_of_ours == pytest.approx(1 - max(judged.probabilities))


@given(logits=arrays(np.float64, st.integers(1, 12), elements=st.floats(-1e4, 1e4)))
def test_softmax_is_finite_and_sums_to_one(logits: NDArray[np.float64]) -> None:
    probabilities = softmax(logits)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities[logits == logits.max()] == probabilities.max()).all()


def absent_provider() -> str:
    """A provider that this build of ONNX Runtime does not have; every build lacks one of them."""
    return next(name for name, known in PROVIDERS.items() if known not in available_providers())


def test_a_list_of_providers_allows_to_fall_back_and_that_is_said(tiny_folder: Path) -> None:
    name = absent_provider()
    model = SceneModel.load(tiny_folder, provider=[name, "cpu"])
    assert model.backend.provider == "CPUExecutionProvider"
    assert model.fallback == (
        f"{PROVIDERS[name]} is not in this build of ONNX Runtime; CPUExecutionProvider serves instead."
    )
    assert SceneModel.load(tiny_folder, provider=["cpu", name]).fallback is None


def test_without_leave_to_fall_back_nothing_serves(tiny_folder: Path) -> None:
    name = absent_provider()
    for asked in (name, [name], [name, name]):
        with pytest.raises(ModelError, match=f"^{PROVIDERS[name]} is not in this build [^.]*\\.$"):
            SceneModel.load(tiny_folder, provider=asked)


def test_a_backend_that_computes_something_else_is_refused_with_the_numbers(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))
    with np.load(folder / "golden_outputs.npz") as expected:
        off = expected["probabilities"].copy()
    off[1, 2, 3] += 0.25
    np.savez(folder / "golden_outputs.npz", probabilities=off)
    with pytest.raises(ModelError, match=r"differs by 0\.25.* over the tolerance of 0\.001; restore"):
        SceneModel.load(folder)


@pytest.mark.parametrize("broken", ["golden_inputs.npz", "golden_outputs.npz"])
def test_golden_files_that_are_damaged_are_named(tiny_folder: Path, tmp_path: Path, broken: str) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))
    (folder / broken).write_bytes((folder / broken).read_bytes()[:100])
    with pytest.raises(ModelError, match=rf"{broken} cannot be read .*restore the bundle\.$"):
        SceneModel.load(folder)
    np.savez(folder / broken, something=np.zeros(3))
    with pytest.raises(ModelError, match="do not fit its graphs"):
        SceneModel.load(folder)


def test_graphs_for_another_device_must_be_there(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="no graphs for 'trt', only for"):
        SceneModel(tiny_folder, read_bundle(tiny_folder), OnnxRuntimeBackend(), "trt")


def test_an_unknown_model_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ModelError, match="There is no model 'avsc-life'"):
        SceneModel.load("avsc-life")


def test_a_changed_bundle_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))
    with (folder / "fusion.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=r"fusion\.onnx is not the file"):
        SceneModel.load(folder)


def test_a_folder_is_found_as_it_is_given(tiny_folder: Path) -> None:
    assert find_bundle(tiny_folder) == tiny_folder
    assert find_bundle(str(tiny_folder) + os.sep) == tiny_folder


def test_shipped_bundles_are_found_by_name() -> None:
    for folder in bundle_folders():
        for shipped in folder.iterdir():
            if shipped.is_dir():
                assert find_bundle(shipped.name).name == shipped.name
                assert find_bundle(f"models/{shipped.name}").name == shipped.name


@pytest.mark.parametrize("name", ["", ".", "no such", "/no/such/avsc-lite", "../avsc-lite", "models/other/avsc-lite"])
def test_what_is_neither_a_bundles_folder_nor_a_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        SceneModel.load(name)
