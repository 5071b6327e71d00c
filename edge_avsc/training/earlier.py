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


def take_up_pictures(model: Any, bundle: Path, *, to_learn_on: bool = True) -> None:
    """Put the image encoder and the pictures' linear head of *bundle* into *model*, an ImageClassifier.

    to_learn_on: each int8 weight becomes a random one of those that round to it. Exact ones would be rounded right back
    whenever what is learnt next is less than half a step: on pictures the int8 graph then lost most of what four
    hundred steps had taught (6 % of labels differed from float).
    """
    convolutions = [module for module in model.encoder.modules() if isinstance(module, nn.Conv2d)]
    layers = [*convolutions, model.encoder.projection]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, _layers(bundle / "image.cpu.onnx", to_learn_on), strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(bundle / "fusion.onnx").graph.initializer}
        model.head.weight.copy_(_tensor(stored["picture.weight"]))
        model.head.bias.copy_(_tensor(stored["picture.bias"]))


def _layers(path: Path, to_learn_on: bool) -> list[tuple[Any, Any]]:
    """Return weight and bias of each convolution and linear layer, in the order they run in."""
    random = np.random.default_rng(1)
    graph = onnx.load(path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = dict(stored)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in stored for name in node.input):
            quantised, scale, zero = (stored[name] for name in node.input)
            shape = (-1, *[1] * (quantised.ndim - 1))
            whole = quantised.astype(float32) - zero.astype(float32).reshape(shape)
            if to_learn_on:
                whole += random.uniform(-0.5, 0.5, whole.shape).astype(float32)
            values[node.output[0]] = whole * scale.reshape(shape)
        if node.op_type == "Cast" and node.input[0] in stored:
            values[node.output[0]] = stored[node.input[0]]
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return [(_tensor(values[node.input[1]]), _tensor(values[node.input[2]])) for node in layers]


def _tensor(values: NDArray[Any]) -> Any:
    return torch.from_numpy(np.array(values, float32))
