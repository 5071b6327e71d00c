from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch

from edge_avsc.training.export import IR, OPSET, export
from edge_avsc.training.inference import Graph
from edge_avsc.training.quantisation import quantise, store_for

SHAPE = (1, 36, 64)


def small_encoder() -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in ((1, 24), (24, 48), (48, 96), (96, 128)):
        layers += [torch.nn.Conv2d(inputs, outputs, 3, padding=1), torch.nn.ReLU(), torch.nn.AvgPool2d(2)]
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def zero_points(model: onnx.ModelProto) -> set[int]:
    """Return the element types that activations and weights are quantised to."""
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {types[n.input[2]] for n in model.graph.node if n.op_type == "DequantizeLinear"}


@pytest.mark.filterwarnings("ignore")
def test_both_exports_are_int8_of_the_promised_kind_and_close_to_float(tmp_path: Path) -> None:
    source = tmp_path / "x.onnx"
    export(small_encoder(), source, {"x": SHAPE}, ["y"])
    examples = np.random.default_rng(1).standard_normal((8, *SHAPE), np.float32)
    wanted = Graph(source).rows(examples)
    kinds = {
        "cpu": {onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32},
        "trt": {onnx.TensorProto.INT8},
    }
    for device in ("cpu", "trt"):
        target = tmp_path / f"x.{device}.onnx"
        quantise(source, target, examples, device, float_convolutions=1)
        model = onnx.load(target)
        assert zero_points(model) <= kinds[device]
        assert model.ir_version <= IR
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        assert target.stat().st_size < 0.35 * source.stat().st_size
        assert np.abs(Graph(target).rows(examples) - wanted).mean() < 0.1 * wanted.std()


@pytest.mark.filterwarnings("ignore")
def test_the_projection_stays_in_float_for_cpus_at_half_the_size(tmp_path: Path) -> None:
    source, target = tmp_path / "image.onnx", tmp_path / "image.cpu.onnx"
    layers = (torch.nn.Conv2d(3, 256, 8, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    export(torch.nn.Sequential(*layers, torch.nn.Linear(256, 128)), source, {"picture": (3, 32, 32)}, ["embedding"])
    examples = np.random.default_rng(1).standard_normal((8, 3, 32, 32), np.float32)
    quantise(source, target, examples, "cpu")
    kinds = {tensor.data_type: tensor for tensor in onnx.load(target).graph.initializer}
    assert kinds[onnx.TensorProto.FLOAT16].dims == [128, 256]
    wanted = Graph(source).rows(examples)
    assert np.abs(Graph(target).rows(examples) - wanted).mean() < 0.05 * wanted.std()


def test_what_stays_in_float_is_stored_at_half_the_size_for_cpus(tmp_path: Path) -> None:
    source = tmp_path / "x.onnx"
    export(small_encoder(), source, {"x": SHAPE}, ["y"])
    examples = np.random.default_rng(1).standard_normal((8, *SHAPE), np.float32)
    wanted, sizes, apart = Graph(source).rows(examples), {}, {}
    for device in ("cpu", "trt"):
        target = tmp_path / f"x.{device}.onnx"
        store_for(device, source, target)
        sizes[device], apart[device] = target.stat().st_size, np.abs(Graph(target).rows(examples) - wanted).max()
    assert sizes["cpu"] < 0.55 * sizes["trt"]
    assert apart["cpu"] < 0.02 * np.abs(wanted).max()
    assert apart["trt"] == 0


@pytest.mark.filterwarnings("ignore")
def test_the_first_convolution_reads_channels_in_fours_on_cpus(tmp_path: Path) -> None:
    source, target = tmp_path / "image.onnx", tmp_path / "image.cpu.onnx"
    torch.manual_seed(1)
    layers = (torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    export(torch.nn.Sequential(*layers, torch.nn.Linear(16, 8)), source, {"picture": (3, 32, 32)}, ["embedding"])
    examples = np.random.default_rng(1).standard_normal((8, 3, 32, 32), np.float32)
    quantise(source, target, examples, "cpu")
    model = onnx.load(target)
    (kernel,) = (tensor for tensor in model.graph.initializer if list(tensor.dims) == [16, 4, 3, 3])
    assert not onnx.numpy_helper.to_array(kernel)[:, 3].any()
    wanted = Graph(source).rows(examples)
    assert np.abs(Graph(target).rows(examples) - wanted).max() < 0.1 * wanted.std()


class Residual(torch.nn.Module):  # type: ignore[misc]
    """A projection that is added to what it was made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.projection, self.last = (torch.nn.Conv2d(*sizes, 1) for sizes in ((1, 24), (24, 24), (24, 8)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.first(x).relu()
        return self.last(given + self.projection(given)).mean((2, 3))


@pytest.mark.filterwarnings("ignore")
def test_tensorrt_adds_what_convolutions_give_before_it_is_rounded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = tmp_path / "x.onnx"
    export(Residual(), source, {"x": SHAPE}, ["y"])
    examples = np.random.default_rng(1).standard_normal((8, *SHAPE), np.float32)
    wanted, apart = Graph(source).rows(examples), {}
    for device in ("cpu", "trt"):
        target = tmp_path / f"x.{device}.onnx"
        quantise(source, target, examples, device)
        nodes = onnx.load(target).graph.node
        convolved = {node.output[0] for node in nodes if node.op_type == "Conv"}
        (added,) = (node for node in nodes if node.op_type == "Sum")
        assert bool(convolved & set(added.input)) == (device == "trt")
        apart[device] = np.abs(Graph(target).rows(examples) - wanted).max()
    assert max(apart.values()) < 0.1 * wanted.std()
