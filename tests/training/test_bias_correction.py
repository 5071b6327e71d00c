from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch

from edge_avsc.training.bias_correction import correct_biases
from edge_avsc.training.export import export
from edge_avsc.training.inference import Graph


def coarse_network(folder: Path) -> Path:
    """Return two convolutions whose small weights, beside a large one in each channel, int8 loses."""
    torch.manual_seed(1)
    layers = [torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3)]
    for layer in (layers[0], layers[2]):
        layer.weight.data[:, 1:] = 0.003
        layer.weight.data[:, 0, 0, 0] = 1.0
    path = folder / "network.onnx"
    export(torch.nn.Sequential(*layers), path, {"x": (4, 9, 9)}, ["y"])
    return path


def rounded(model: onnx.ModelProto, folder: Path) -> Graph:
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.ndim == 4:
            scale = np.abs(weights).max((1, 2, 3), keepdims=True) / 127
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.rint(weights / scale) * scale, tensor.name))
    onnx.save(model, folder / "rounded.onnx")
    return Graph(folder / "rounded.onnx")


def test_the_mean_output_survives_rounded_weights(tmp_path: Path) -> None:
    path = coarse_network(tmp_path)
    examples = np.random.default_rng(1).random((32, 4, 9, 9), np.float32)
    wanted = Graph(path).rows(examples).mean((0, 2, 3))
    plain, corrected = onnx.load(path), onnx.load(path)
    names = [node.name for node in corrected.graph.node if node.op_type == "Conv"]
    correct_biases(corrected, names, examples)
    without = np.abs(rounded(plain, tmp_path).rows(examples).mean((0, 2, 3)) - wanted)
    with_it = np.abs(rounded(corrected, tmp_path).rows(examples).mean((0, 2, 3)) - wanted)
    assert without.max() > 0.05
    assert with_it.max() < 0.01 * without.max()


def test_weights_and_unnamed_convolutions_are_left_alone(tmp_path: Path) -> None:
    path = coarse_network(tmp_path)
    examples = np.random.default_rng(1).random((8, 4, 9, 9), np.float32)
    before, after = onnx.load(path), onnx.load(path)
    convolutions = [node for node in after.graph.node if node.op_type == "Conv"]
    correct_biases(after, [convolutions[1].name], examples)
    pairs = zip(before.graph.initializer, after.graph.initializer, strict=True)
    changed = {a.name for a, b in pairs if a.raw_data != b.raw_data}
    assert changed == {convolutions[1].input[2]}


def test_without_convolutions_to_correct_nothing_changes(tmp_path: Path) -> None:
    path = coarse_network(tmp_path)
    model = onnx.load(path)
    correct_biases(model, [], np.zeros((2, 4, 9, 9), np.float32))
    assert model == onnx.load(path)
