"""A bundle of kilobytes with random but fixed weights: all that the product does with a model, at no cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import read_bundle, sha256_of
from edge_avsc.model import SceneModel

LABELS = [
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
]
AUDIO = {
    "front_end": "log_mel",
    "sample_rate_hz": 16000,
    "channels": 1,
    "n_fft": 512,
    "hop_samples": 400,
    "n_mels": 16,
    "fmin_hz": 20.0,
    "fmax_hz": 7600.0,
    "columns": 37,
    "normalisation": {"floor": 1e-5, "mean": -4.5, "scale": 5.0},
}
IMAGE = {
    "size_px": 16,
    "frames_per_s": 2,
    "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


def write_tiny_bundle(folder: Path, **changes: Any) -> Path:
    """Write the bundle into *folder*; *changes* replace top-level keys of bundle.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    graphs = {"audio": _audio(rng), "image": _image(rng), "fusion": _fusion(rng)}
    described = {}
    for part, graph in graphs.items():
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path = folder / f"{part}.onnx"
        path.write_bytes(model.SerializeToString())
        described[part] = {
            "path": path.name,
            "sha256": sha256_of(path),
            "inputs": {tensor.name: {"shape": _shape(tensor)} for tensor in graph.input},
            "outputs": {tensor.name: {"shape": _shape(tensor)} for tensor in graph.output},
        }
    description = {
        "schema": 1,
        "name": "tiny",
        "labels": LABELS,
        "window_s": 1.0,
        "audio": AUDIO,
        "image": IMAGE,
        "graphs": {"cpu": described},
        "missing_modality": "present_input",
        "temperature": {"av": 1.0, "a": 1.0, "v": 1.0},
        "unsure": {"score": "none_of_ours", "threshold": 0.9},
        "golden": {"inputs": "golden_inputs.npz", "outputs": "golden_outputs.npz", "tolerance": 0.001},
        "provenance": {"data": [], "teachers": [], "licences": {"weights": "CC0"}, "commit": "none"},
    }
    (folder / "bundle.yaml").write_text(yaml.safe_dump({**description, **changes}, sort_keys=False))
    _write_golden(folder, rng)
    return folder


def _write_golden(folder: Path, rng: np.random.Generator) -> None:
    # Loading by name would ask for the golden files.
    model = SceneModel(folder, read_bundle(folder), OnnxRuntimeBackend())
    log_mel = rng.normal(0, 1, (4, 37, 16)).astype(np.float32)
    picture = rng.normal(0, 1, (4, 3, 16, 16)).astype(np.float32)
    sounds, pictures = (
        [model.embed_sound(one) for one in log_mel],
        [model.encode_pictures(one[None]) for one in picture],
    )
    states = (
        [model.fuse(a, v).probabilities for a, v in zip(sounds, pictures, strict=True)],
        [model.fuse(a, None).probabilities for a in sounds],
        [model.fuse(None, v).probabilities for v in pictures],
    )
    present = np.array([[1, 1], [1, 0], [0, 1]], np.float32)
    np.savez(folder / "golden_inputs.npz", log_mel=log_mel, picture=picture, present=present)
    np.savez(folder / "golden_outputs.npz", probabilities=np.array(states))


def _audio(rng: np.random.Generator) -> Any:
    # Flattening keeps every value of every column visible in the embedding, so that a wrong column shows.
    return helper.make_graph(
        [
            helper.make_node("Flatten", ["log_mel"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["audio_embedding"]),
        ],
        "audio",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["batch", 37, 16])],
        [helper.make_tensor_value_info("audio_embedding", TensorProto.FLOAT, ["batch", 8])],
        [_constant("w", rng.normal(0, 0.05, (37 * 16, 8)))],
    )


def _image(rng: np.random.Generator) -> Any:
    return helper.make_graph(
        [
            helper.make_node("Flatten", ["picture"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["image_embedding"]),
        ],
        "image",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("image_embedding", TensorProto.FLOAT, ["batch", 8])],
        [_constant("w", rng.normal(0, 0.05, (3 * 16 * 16, 8)))],
    )


def _fusion(rng: np.random.Generator) -> Any:
    nodes = [
        helper.make_node("Greater", ["present", "half"], ["there"]),
        helper.make_node("Split", ["there", "one_each"], ["has_audio", "has_image"], axis=1),
        helper.make_node("Where", ["has_audio", "audio_embedding", "zero"], ["a"]),
        helper.make_node("Where", ["has_image", "image_embedding", "zero"], ["v"]),
        helper.make_node("Concat", ["a", "v"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["logits"]),
        helper.make_node("MatMul", ["both", "w_none"], ["none_logit"]),
    ]
    inputs = {"audio_embedding": 8, "image_embedding": 8, "present": 2}
    outputs = {"logits": 10, "none_logit": 1}
    return helper.make_graph(
        nodes,
        "fusion",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in outputs.items()],
        [
            _constant("half", np.array(0.5)),
            _constant("zero", np.array(0.0)),
            numpy_helper.from_array(np.array([1, 1], np.int64), "one_each"),
            _constant("w", rng.normal(0, 1.0, (16, 10))),
            _constant("w_none", rng.normal(0, 0.1, (16, 1))),
        ],
    )


def _constant(name: str, values: NDArray[np.float64]) -> Any:
    return numpy_helper.from_array(values.astype(np.float32), name)


def _shape(tensor: Any) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim]
