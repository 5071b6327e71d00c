"""The bundle that a head becomes: the encoders of the one it is built upon, a new fusion graph, golden values, card."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc import __version__
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import GraphSpec, read_bundle, sha256_of
from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.card import card
from edge_avsc.training.own_scenes.graph import write_fusion
from edge_avsc.training.own_scenes.head import Head
from edge_avsc.training.own_scenes.judging import THRESHOLD


@dataclass(frozen=True, slots=True)
class Made:
    """What a bundle is made of. upon: the bundle that is built upon. data: one sentence. measured: figures."""

    name: str
    head: Head
    upon: SceneModel
    data: str
    measured: dict[str, Any]


def write_bundle(made: Made, out: Path, work: Path) -> None:
    """Write the bundle in *work*, and then, whole, into *out*."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    upon, folder = made.upon.bundle, made.upon.folder
    graphs: dict[str, Any] = {}
    for kind, parts in upon.graphs.items():
        for part in (parts.audio, parts.image):
            (work / part.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / part.path, work / part.path)
        fusion = work / ("fusion.onnx" if kind == "cpu" else f"fusion.{kind}.onnx")
        write_fusion(made.head, upon, parts.fusion, folder / parts.fusion.path, fusion)
        graphs[kind] = {"audio": _dumped(parts.audio), "image": _dumped(parts.image), "fusion": _fusion(made, fusion)}
    described = _described(made, graphs)
    _write(work / "bundle.yaml", described)
    described["golden"]["tolerance"] = _write_golden(made, work)
    _write(work / "bundle.yaml", described)
    (work / "README.md").write_text(card(made.name, read_bundle(work), upon), encoding="utf-8")
    for path in sorted(work.rglob("*"), key=lambda path: path.name == "bundle.yaml"):
        if path.is_file():
            (out / path.relative_to(work)).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, out / path.relative_to(work))
    shutil.rmtree(work)


def _described(made: Made, graphs: dict[str, Any]) -> dict[str, Any]:
    upon, scene = made.upon.bundle, made.head.scene
    described: dict[str, Any] = upon.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        **described,
        "name": made.name,
        "labels": list(scene.labels),
        "graphs": graphs,
        # Each state's temperature is in the graph, where it reads one expert, and not their mixture.
        "temperature": {"av": 1.0, "a": 1.0, "v": 1.0},
        "unsure": {"score": "none_of_ours", "threshold": THRESHOLD},
        "golden": {"inputs": "golden_inputs.npz", "outputs": "golden_outputs.npz", "tolerance": 1.0},
        "provenance": {
            "data": [made.data, *upon.provenance.data],
            "teachers": [f"{upon.name}: its encoders, as they are, and its head's word", *upon.provenance.teachers],
            "licences": dict(upon.provenance.licences),
            "commit": f"edge_avsc {__version__} upon {upon.name} {upon.provenance.commit}",
        },
        "measured": made.measured,
    }


def _fusion(made: Made, path: Path) -> dict[str, Any]:
    parts = made.upon.bundle.graphs["cpu"].fusion
    inputs = {name: _tensor(parts.inputs[name].shape[-1]) for name in ("audio_embedding", "image_embedding", "present")}
    outputs = {"logits": _tensor(len(made.head.scene.labels)), "none_logit": _tensor(1)}
    return {"path": path.name, "sha256": sha256_of(path), "inputs": inputs, "outputs": outputs}


def _tensor(size: int | str) -> dict[str, Any]:
    return {"shape": ["batch", size], "dtype": "float32"}


def _dumped(part: GraphSpec) -> dict[str, Any]:
    dumped: dict[str, Any] = part.model_dump(mode="json")
    return dumped


def _write(path: Path, described: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")


def _write_golden(made: Made, work: Path) -> float:
    """Write the golden values, on the generated inputs of the bundle that is built upon; return their tolerance.

    The float encoders' embeddings are known where that bundle has them; elsewhere its own encoders count as float.
    """
    golden, folder = made.upon.bundle.golden, made.upon.folder
    shutil.copyfile(folder / golden.inputs, work / "golden_inputs.npz")
    with np.load(folder / golden.inputs) as stored:
        inputs = dict(stored)
    with np.load(folder / golden.outputs) as stored:
        full = {name: stored[name] for name in ("audio_embedding", "image_embedding") if name in stored}
    bundle = read_bundle(work)
    models = {kind: SceneModel(work, bundle, OnnxRuntimeBackend(), kind) for kind in bundle.graphs}
    embedded = {kind: _embedded(model, inputs) for kind, model in models.items()}
    sound, pictures = (full["audio_embedding"], full["image_embedding"]) if len(full) == 2 else embedded["cpu"]
    expected = _judged(models["cpu"], sound, pictures, inputs["present"])
    np.savez_compressed(work / "golden_outputs.npz", probabilities=expected.astype(float32))
    worst = max(
        float(np.abs(_judged(model, *embedded[kind], inputs["present"]) - expected).max())
        for kind, model in models.items()
    )
    # Twice what was seen: other processors round otherwise.
    return max(golden.tolerance, float(np.ceil(200.0 * worst)) / 100.0)


def _embedded(model: SceneModel, inputs: dict[str, NDArray[float32]]) -> tuple[NDArray[float32], NDArray[float32]]:
    sound = np.stack([model.embed_sound(columns) for columns in inputs["log_mel"]])
    return sound, np.concatenate([model.encode_pictures(picture[None]) for picture in inputs["picture"]])


def _judged(
    model: SceneModel, sound: NDArray[float32], pictures: NDArray[float32], present: NDArray[float32]
) -> NDArray[float64]:
    return np.array(
        [
            [
                model.fuse(heard if has_sound else None, seen[None] if has_pictures else None).probabilities
                for heard, seen in zip(sound, pictures, strict=True)
            ]
            for has_sound, has_pictures in present
        ]
    )
