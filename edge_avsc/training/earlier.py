"""Take up what an earlier bundle learnt: its int8 weights, to learn on from or as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy import float32
from numpy.typing import NDArray
from torch import nn

from edge_avsc.training.narrowing import resize


def take_up_pictures(model: Any, bundle: Path, *, to_learn_on: bool = True) -> None:
    """Put the image encoder and the pictures' linear head of *bundle* into *model*, an ImageClassifier.

    The model's blocks become as wide as the bundle's.
    to_learn_on: each int8 weight that can learn becomes a random one of those that round to it. Exact ones would be
    rounded right back whenever what is learnt next is less than half a step: on pictures the int8 graph then lost most
    of what four hundred steps had taught (6 % of labels differed from float).
    """
    kept = _layers(bundle / "image.cpu.onnx")
    resize(model.encoder, [len(weight) for weight, *_ in kept[3:-2:3]])
    convolutions = [module for module in model.encoder.modules() if isinstance(module, nn.Conv2d)]
    layers = [*convolutions, model.encoder.projection]
    random = np.random.default_rng(1)
    with torch.no_grad():
        for layer, (weight, step, bias) in zip(layers, kept, strict=True):
            weight = weight[:, : layer.weight.shape[1]]  # the first may read a further channel, of weight zero
            within = random.uniform(-0.5, 0.5, weight.shape) if to_learn_on and layer.weight.requires_grad else 0.0
            layer.weight.copy_(_tensor(weight + step * within))
            layer.bias.copy_(_tensor(bias))
        stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(bundle / "fusion.onnx").graph.initializer}
        model.head.weight.copy_(_tensor(stored["picture.weight"]))
        model.head.bias.copy_(_tensor(stored["picture.bias"]))


def _layers(path: Path) -> list[tuple[NDArray[Any], Any, NDArray[Any]]]:
    """Return weight, its step of int8 and bias of each convolution and linear layer, in the order they run in."""
    graph = onnx.load(path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values, steps = dict(stored), dict.fromkeys(stored, 0.0)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in stored for name in node.input):
            quantised, scale, zero = (stored[name] for name in node.input)
            scale, zero = (one.astype(float32).reshape(-1, *[1] * (quantised.ndim - 1)) for one in (scale, zero))
            values[node.output[0]], steps[node.output[0]] = (quantised.astype(float32) - zero) * scale, scale
        if node.op_type == "Cast" and node.input[0] in stored:
            values[node.output[0]], steps[node.output[0]] = stored[node.input[0]], 0.0
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return [(values[node.input[1]], steps[node.input[1]], values[node.input[2]]) for node in layers]


def _tensor(values: NDArray[Any]) -> Any:
    return torch.from_numpy(np.array(values, float32))
