"""A system's three graphs as ONNX files, in float32, or with their weights kept in float16."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from edge_avsc.bundle import AudioFrontEnd, ImageFrontEnd
from edge_avsc.errors import ConfigError
from edge_avsc.training.export import OPSET, tidy
from edge_avsc.training.recipes.system import System, choose

_SMALL = 256
"""Weights of fewer numbers stay float32: they cost nothing, and scales and shifts are among them."""

_LARGEST = 2**31 - 2**20


def export_graphs(
    system: System, audio: AudioFrontEnd, image: ImageFrontEnd, folder: Path, weights: Literal["float32", "float16"]
) -> dict[str, dict[str, Any]]:
    """Write audio.onnx, image.onnx and fusion.onnx; return of each its path and the shapes of its tensors."""
    system = system.cpu().eval()
    sound = system.audio or _Nothing()
    pictures = system.image or _Nothing()
    columns = torch.zeros(2, audio.columns, audio.column_size)
    picture = torch.zeros(2, 3, image.size_px, image.size_px)
    with torch.no_grad():
        audio_shape, image_shape = sound(columns).shape[1:], pictures(picture).shape[1:]
    embeddings = {"audio_embedding": tuple(audio_shape), "image_embedding": tuple(image_shape)}
    signatures: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
        "audio": (sound, {"log_mel": tuple(columns.shape[1:])}, {"audio_embedding": tuple(audio_shape)}),
        "image": (pictures, {"picture": tuple(picture.shape[1:])}, {"image_embedding": tuple(image_shape)}),
        "fusion": (_Judge(system), {**embeddings, "present": (2,)}, {"logits": (len(system.labels),)}),
    }
    described = {}
    for name, (module, inputs, outputs) in signatures.items():
        path = folder / f"{name}.onnx"
        _export(module, path, inputs, list(outputs), weights)
        described[name] = {"path": path.name, "inputs": inputs, "outputs": outputs}
    return described


def _export(module: Any, path: Path, inputs: dict[str, tuple[int, ...]], outputs: list[str], weights: str) -> None:
    # Of graphs over 2 GB the exporter leaves the weights in files of their own beside it.
    with tempfile.TemporaryDirectory(dir=path.parent) as room, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated, but needs no further package
        torch.onnx.export(
            module.eval(),
            tuple(torch.zeros(2, *shape) for shape in inputs.values()),
            f"{room}/{path.name}",
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in [*inputs, *outputs]},
            opset_version=OPSET,
            dynamo=False,
        )
        graph = onnx.load(f"{room}/{path.name}")
    if weights == "float16":
        halve(graph)
    tidy(graph)
    if graph.ByteSize() > _LARGEST:
        raise ConfigError(f"{path} would be over 2 GB, which ONNX cannot hold; let the recipe say 'weights: float16'.")
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def halve(model: Any) -> None:
    """Keep float32 weights as float16, with a Cast behind each: half the file, and computed in float32 as before."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _SMALL:
            continue
        values = numpy_helper.to_array(tensor)
        name, kept = tensor.name, f"{tensor.name}.half"
        limits = np.finfo(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values.clip(limits.min, limits.max).astype(np.float16), kept))
        casts.append(onnx.helper.make_node("Cast", [kept], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Nothing(nn.Module):  # type: ignore[misc]
    """Stands for an encoder that a recipe does not have: one zero for whatever comes."""

    def forward(self, x: Any) -> Any:
        return x.flatten(1).mean(1, keepdim=True) * 0.0


class _Judge(nn.Module):  # type: ignore[misc]
    """The fusion as the bundle has it; what an absent modality's embedding holds, even NaN, has no influence."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.fusion, self.labels = system.fusion, len(system.labels)

    def forward(self, audio_embedding: Any, image_embedding: Any, present: Any) -> Any:
        heard, seen = present[:, 0] > 0.5, present[:, 1] > 0.5
        where = heard.reshape(-1, *[1] * (audio_embedding.dim() - 1))
        audio = torch.where(where, audio_embedding, torch.zeros(1))
        image = torch.where(seen[:, None], image_embedding, torch.zeros(1))
        # Keeps both inputs in the graph of a system that has one modality only.
        nothing = 0.0 * (audio.flatten(1).sum(1, keepdim=True) + image.sum(1, keepdim=True))
        return choose(self.fusion(audio, image), heard, seen, self.labels) + nothing
