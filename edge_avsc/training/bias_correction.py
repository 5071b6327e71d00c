"""Bias correction: what rounded weights do to a convolution's mean output is taken off its bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.backends.onnxruntime import cpu_options, library

EXAMPLES = 128
BATCH = 16


def correct_biases(model: Any, convolutions: list[str], examples: NDArray[float32]) -> None:
    """Shift the biases of the named *convolutions* of an ONNX model, so that their mean outputs survive int8 weights.

    Only biases change; the weights are left for the quantiser to round. examples: ``[n, ...]``, of which some are
    taken. Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", with data.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.name in convolutions and len(node.input) == 3]
    if not nodes:
        return
    errors = _mean_errors(model, nodes, examples[:: max(1, len(examples) // EXAMPLES)])
    for node, error in zip(nodes, errors, strict=True):
        bias = stored[node.input[2]]
        shifted = (onnx.numpy_helper.to_array(bias) - error).astype(float32)
        bias.CopyFrom(onnx.numpy_helper.from_array(shifted, bias.name))


def _mean_errors(model: Any, nodes: list[Any], examples: NDArray[float32]) -> list[NDArray[Any]]:
    """Return what rounding its weights adds to the mean output of each convolution, by channel."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    del twin.graph.output[:]
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in nodes:
        # Beside each convolution, one of the same input by its weights' rounding alone.
        weights, error, mean = f"{node.name}/rounding", f"{node.name}/error", f"{node.name}/mean"
        twin.graph.initializer.append(onnx.numpy_helper.from_array(_rounding(stored[node.input[1]]), weights))
        beside = twin.graph.node.add()
        beside.CopyFrom(node)
        beside.name = error
        del beside.input[1:], beside.output[:]
        beside.input.append(weights)
        beside.output.append(error)
        twin.graph.node.append(onnx.helper.make_node("GlobalAveragePool", [error], [mean]))
        twin.graph.output.append(onnx.helper.make_tensor_value_info(mean, onnx.TensorProto.FLOAT, None))
    session = library().InferenceSession(twin.SerializeToString(), cpu_options(1), providers=["CPUExecutionProvider"])
    source = model.graph.input[0].name
    parts = [session.run(None, {source: examples[i : i + BATCH]}) for i in range(0, len(examples), BATCH)]
    return [np.concatenate(of_one).mean((0, 2, 3)) for of_one in zip(*parts, strict=True)]


def _rounding(tensor: Any) -> NDArray[float32]:
    """Return what the quantiser adds to a convolution's weights: it is symmetric, with a scale per output channel."""
    weights = onnx.numpy_helper.to_array(tensor)
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    scale = np.maximum(largest, np.finfo(float32).tiny) / 127
    return np.asarray(np.rint(weights / scale) * scale - weights, float32)
