"""The exports of an encoder that ship: one for CPUs, one for TensorRT; in int8, or in float."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy import float16, float32, int64
from numpy.typing import NDArray

from edge_avsc.backends.onnxruntime import library
from edge_avsc.training.bias_correction import correct_biases
from edge_avsc.training.export import tidy


class _Examples:
    """Feeds calibration examples one by one, as ONNX Runtime's calibrator wants them."""

    def __init__(self, name: str, examples: NDArray[float32]) -> None:
        self._rows: Iterator[dict[str, Any]] = ({name: examples[i : i + 1]} for i in range(len(examples)))

    def get_next(self) -> dict[str, Any] | None:
        return next(self._rows, None)


def quantise(
    source: Path,
    target: Path,
    examples: NDArray[float32],
    device: Literal["cpu", "trt"],
    *,
    float_convolutions: int = 0,
) -> None:
    """Write the int8 QDQ form of *source*, with ranges from *examples* ``[n, ...]`` and biases corrected on them.

    cpu: unsigned activations, signed weights per channel (U8S8). trt: symmetric S8S8, biases left in float.
    What projects the pooled features stays in float, and so do sums: rounded to int8, they differ between processors by
    whole steps, and they are where a symmetric range is coarsest.
    float_convolutions: how many of the first ones stay in float, where int8 costs most and gains least. Float weights
    are stored in half precision; those of convolutions for CPUs only: TensorRT was not tried with it.
    """
    library()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    CalibrationDataReader.register(_Examples)
    name = onnx.load(source).graph.input[0].name
    trt = device == "trt"
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        network = onnx.load(prepared)
        nodes = network.graph.node
        _keep_sums_in_float(nodes)
        convolutions = [node.name for node in nodes if node.op_type == "Conv"]
        last = [node.name for node in nodes if node.op_type in ("ReduceMean", "Gemm")]
        correct_biases(network, convolutions[float_convolutions:], examples)
        onnx.save(network, prepared)
        quantize_static(
            str(prepared),
            str(target),
            _Examples(name, examples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8 if trt else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*convolutions[:float_convolutions], *last],
            extra_options={
                "ActivationSymmetric": trt,
                "WeightSymmetric": True,
                "QuantizeBias": not trt,
                # TensorRT rounds what int8 reads next, not each convolution: sums take float. On CPUs it would be slow.
                "OpTypesToExcludeOutputQuantization": ["Conv"] if trt else [],
            },
        )
    store_for(device, target, target)


def store_for(device: Literal["cpu", "trt"], source: Path, target: Path) -> None:
    """Write *source* as it ships: float weights in half precision, those of convolutions for CPUs only."""
    model = onnx.load(source)
    if device == "cpu":
        _read_four_channels(model)
    _halve_weights(model, ("Gemm",) if device == "trt" else ("Gemm", "Conv"))
    tidy(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def _read_four_channels(model: Any) -> None:
    """Give what a first convolution in int8 reads further channels up to a multiple of four, with weights of zero.

    Nothing changes but the time: with VNNI, ONNX Runtime's fast convolution takes channels in fours, and a picture's
    three took the slow way, twice as long.
    """
    nodes, stored = model.graph.node, {tensor.name: tensor for tensor in model.graph.initializer}
    conv = next(node for node in nodes if node.op_type == "Conv")
    made_by = {node.output[0]: node for node in nodes}
    source = made_by.get(conv.input[0])
    if source is None or source.op_type != "DequantizeLinear":
        return
    kernel = stored[made_by[conv.input[1]].input[0]]
    missing = -kernel.dims[1] % 4
    if not missing:
        return
    values = onnx.numpy_helper.to_array(kernel)
    kernel.CopyFrom(onnx.numpy_helper.from_array(np.pad(values, [(0, 0), (0, missing), (0, 0), (0, 0)]), kernel.name))
    pads = onnx.numpy_helper.from_array(np.array([0, 0, 0, 0, 0, missing, 0, 0], int64), f"{conv.name}/missing")
    model.graph.initializer.append(pads)
    padded = onnx.helper.make_node("Pad", [source.input[0], pads.name], [f"{conv.name}/padded"])
    source.input[0] = padded.output[0]
    nodes.insert(list(nodes).index(source), padded)


def _keep_sums_in_float(nodes: Any) -> None:
    """Write each Add as a Sum, the same, which ONNX Runtime does not fuse with the roundings around it."""
    for node in nodes:
        if node.op_type == "Add":
            node.op_type = "Sum"


def _halve_weights(model: Any, op_types: tuple[str, ...]) -> None:
    """Store the float weights of such nodes in half precision; ONNX Runtime widens them once, when it loads."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    wide = [n.input[1] for n in model.graph.node if n.op_type in op_types and n.input[1] in stored]
    for name in wide:
        weights = onnx.numpy_helper.to_array(stored[name])
        stored[name].CopyFrom(onnx.numpy_helper.from_array(weights.astype(float16), f"{name}_half"))
        widened = onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, widened)
