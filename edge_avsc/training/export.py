"""Networks to ONNX files: opset 17, IR 8, a free batch dimension, padding inside the convolutions."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

OPSET = 17
IR = 8


def export(model: Any, path: Path, inputs: dict[str, tuple[int, ...]], outputs: list[str]) -> None:
    """Write *model* as fp32 ONNX; *inputs* maps names to shapes without the batch dimension."""
    examples = tuple(torch.zeros(2, *shape) for shape in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated, but needs no further package
        torch.onnx.export(
            model.eval(),
            examples,
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in [*inputs, *outputs]},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(path)
    pad_strided(graph)
    tidy(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def pad_strided(model: Any) -> None:
    """Give each unpadded strided convolution TensorFlow's "same" padding for even sizes: more at the end."""
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type != "Conv" or max(attributes["strides"]) == 1 or any(attributes.get("pads", [])):
            continue
        kernel = attributes["kernel_shape"][0]
        if kernel == 1:
            continue
        kept = [a for a in node.attribute if a.name != "pads"]
        del node.attribute[:]
        end = kernel // 2
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", [end - 1, end - 1, end, end])])


def tidy(model: Any) -> None:
    """Drop what export tools leave behind: stale inner shapes, documentation, names of tools."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "edge_avsc", "", ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in model.graph.output:
        # A strided convolution was traced without its padding; only the batch dimension is free.
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    used = {node.domain for node in model.graph.node}
    imports = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    model.ir_version = IR


def parameters_of(path: Path) -> int:
    """Return the number of weights stored in an ONNX file."""
    graph = onnx.load(path).graph
    return sum(int(torch.Size(t.dims).numel()) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT)


def macs_of(path: Path) -> int:
    """Return the multiply-adds of one input's convolutions and matrix products in an ONNX file."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    weights = {t.name: tuple(t.dims) for t in graph.initializer}
    shapes = {
        value.name: tuple(max(1, d.dim_value) for d in value.type.tensor_type.shape.dim)
        for value in [*graph.value_info, *graph.output]
    }
    total = 0
    for node in graph.node:
        kernel = next((weights[name] for name in node.input[1:2] if name in weights), None)
        if kernel is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        places = shapes[node.output[0]][2:] if node.op_type == "Conv" else ()
        total += math.prod(kernel) * math.prod(places)
    return total
