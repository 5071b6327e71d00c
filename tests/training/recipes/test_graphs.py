from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from edge_avsc.training.recipes.graphs import export_graphs
from edge_avsc.training.recipes.settings import Recipe
from edge_avsc.training.recipes.system import System, front_ends
from tiny_recipe import TINY


def exported(folder: Path, weights: str) -> dict[str, NDArray[np.float32]]:
    """Export a system; return what its audio graph and its audio network make of the same windows."""
    torch.manual_seed(1)
    recipe = Recipe.model_validate({**TINY, "weights": weights})
    system = System(recipe)
    folder.mkdir()
    export_graphs(system, *front_ends(recipe), folder, recipe.weights)
    audio, _ = front_ends(recipe)
    columns = torch.randn(3, audio.columns, audio.column_size)
    session = onnxruntime.InferenceSession(str(folder / "audio.onnx"))
    (embedding,) = session.run(None, {"log_mel": columns.numpy()})
    assert system.audio
    with torch.no_grad():
        return {"graph": embedding, "torch": system.audio(columns).numpy()}


def test_graphs_say_what_the_networks_say_and_float16_nearly(tmp_path: Path) -> None:
    full = exported(tmp_path / "full", "float32")
    np.testing.assert_allclose(full["graph"], full["torch"], atol=1e-5)
    half = exported(tmp_path / "half", "float16")
    np.testing.assert_allclose(half["graph"], half["torch"], atol=2e-2)
    assert not np.array_equal(half["graph"], full["graph"])
    sizes = [(tmp_path / name / "audio.onnx").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.75 * sizes[1]


def test_graphs_are_of_the_opset_that_devices_know(tmp_path: Path) -> None:
    exported(tmp_path / "full", "float32")
    for path in (tmp_path / "full").iterdir():
        graph = onnx.load(path)
        assert graph.ir_version <= 8
        assert max(entry.version for entry in graph.opset_import) <= 17


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "LICENSE").write_text("mine")
    recipe = Recipe.model_validate(TINY)
    export_graphs(System(recipe), *front_ends(recipe), folder, "float32")
    assert {path.name for path in folder.iterdir()} == {"LICENSE", "audio.onnx", "image.onnx", "fusion.onnx"}


def test_what_is_absent_has_no_influence_even_if_it_is_no_number(tmp_path: Path) -> None:
    exported(tmp_path / "full", "float32")
    session = onnxruntime.InferenceSession(str(tmp_path / "full/fusion.onnx"))
    shapes = {one.name: one.shape for one in session.get_inputs()}
    sound = np.random.default_rng(1).normal(0, 1, (1, *shapes["audio_embedding"][1:])).astype(np.float32)
    said = []
    for absent in (0.0, 7.0, np.nan):
        picture = np.full((1, *shapes["image_embedding"][1:]), absent, np.float32)
        inputs = {"audio_embedding": sound, "image_embedding": picture, "present": np.array([[1, 0]], np.float32)}
        said.append(session.run(None, inputs)[0])
    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])
