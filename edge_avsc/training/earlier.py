"""Take up what an earlier bundle learnt: its int8 weights as the first weights of a new run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy import float32
from numpy.typing import NDArray
from torch import nn


def take_up_pictures(model: Any, bundle: Path) -> None:
    """Put the image encoder and the pictures' linear head of *bundle* into *model*, an ImageClassifier."""
    convolutions = [module for module in model.encoder.modules() if isinstance(module, nn.Conv2d)]
    layers = [*convolutions, model.encoder.projection]
    with torch.no_grad():
        for layer, (_, (weight, bias)) in zip(layers, _layers(bundle / "image.cpu.onnx"), strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        _take_up_head(model, bundle, "picture")


def take_up_sound(model: Any, bundle: Path, log_mel: NDArray[float32]) -> None:
    """Put the audio encoder and the sound's linear head of *bundle* into *model*, an AudioClassifier.

    A bundle has its batch norms folded into the convolutions. They are unfolded by what they would have seen of
    *log_mel* ``[n, 37, 128]``, so that the network says the same and learns on as if it had never stopped.
    """
    found = _layers(bundle / "audio.cpu.onnx")
    shortcuts = [pair for name, pair in found if "shortcut" in name]
    normed = [pair for name, pair in found if "shortcut" not in name]
    modules = list(model.encoder.modules())
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    plain = [module.shortcut for module in modules if isinstance(getattr(module, "shortcut", None), nn.Conv2d)]
    main = [module for module in modules if isinstance(module, nn.Conv2d) and module.bias is None]
    with torch.no_grad():
        for convolution, (weight, bias) in zip(plain, shortcuts, strict=True):
            convolution.weight.copy_(weight)
            convolution.bias.copy_(bias)
        for convolution, norm, (weight, bias) in zip(main, norms, normed, strict=True):
            convolution.weight.copy_(weight)
            norm.bias.copy_(bias)
        _unfold(model, norms, torch.from_numpy(log_mel))
        _take_up_head(model, bundle, "sound")


def _take_up_head(model: Any, bundle: Path, name: str) -> None:
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(bundle / "fusion.onnx").graph.initializer}
    model.head.weight.copy_(_tensor(stored[f"{name}.weight"]))
    model.head.bias.copy_(_tensor(stored[f"{name}.bias"]))


def _unfold(model: Any, norms: list[Any], log_mel: Any) -> None:
    seen: dict[Any, tuple[Any, Any]] = {}

    def look(norm: Any, inputs: tuple[Any, ...]) -> None:
        seen[norm] = (inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3)))

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    model.eval()
    model(log_mel)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in seen.items():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.add_(mean)


def _layers(path: Path) -> list[tuple[str, tuple[Any, Any]]]:
    """Return the name of the weight, weight and bias of each convolution and linear layer, in the order they run in.

    Each int8 weight becomes a random one of those that round to it. Exact ones would be rounded right back whenever
    what is learnt next is less than half a step: on pictures the int8 graph then lost most of what four hundred steps
    had taught (6 % of labels differed from float).
    """
    random = np.random.default_rng(1)
    graph = onnx.load(path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = dict(stored)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in stored for name in node.input):
            quantised, scale, zero = (stored[name] for name in node.input)
            shape = (-1, *[1] * (quantised.ndim - 1))
            whole = quantised.astype(float32) - zero.astype(float32).reshape(shape)
            whole += random.uniform(-0.5, 0.5, whole.shape).astype(float32)
            values[node.output[0]] = whole * scale.reshape(shape)
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return [(node.input[1], (_tensor(values[node.input[1]]), _tensor(values[node.input[2]]))) for node in layers]


def _tensor(values: NDArray[Any]) -> Any:
    return torch.from_numpy(np.array(values, float32))
