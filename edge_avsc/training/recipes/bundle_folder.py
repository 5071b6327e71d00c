"""A trained recipe's bundle: graphs, golden values, bundle.yaml, card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc import __version__
from edge_avsc.bundle import sha256_of
from edge_avsc.golden import verify
from edge_avsc.model import softmax
from edge_avsc.training.recipes.graphs import export_graphs
from edge_avsc.training.recipes.settings import Recipe
from edge_avsc.training.recipes.system import System, front_ends, parameters_of

PRESENT = np.array([[1, 1], [1, 0], [0, 1]], float32)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a bundle is made of.

    temperature: by state of the modalities. threshold: of "unsure". data: what it was trained on, a sentence each.
    teachers: known weights that it began with. measured: the validation's figures.
    """

    recipe: Recipe
    system: System
    temperature: dict[str, float]
    threshold: float
    data: list[str]
    teachers: list[str]
    measured: dict[str, Any]


def write_bundle(made: Trained, out: Path) -> None:
    """Export into *out* and check the result against the networks that were trained."""
    audio, image = front_ends(made.recipe)
    out.mkdir(parents=True, exist_ok=True)
    described = export_graphs(made.system, audio, image, out, made.recipe.weights)
    inputs, expected = _golden(made)
    np.savez_compressed(out / "golden_inputs.npz", allow_pickle=False, **inputs)
    np.savez_compressed(out / "golden_outputs.npz", allow_pickle=False, probabilities=expected)
    graphs = {name: _spec(out, **one) for name, one in described.items()}
    parts = {"audio": made.system.audio, "image": made.system.image, "fusion": made.system.fusion}
    half = made.recipe.weights == "float16"
    description = {
        "schema": 1,
        "name": made.recipe.name,
        "labels": list(made.system.labels),
        "window_s": 1.0,
        "audio": _plain(audio.model_dump()),
        "image": _plain(image.model_dump()),
        "graphs": {"cpu": graphs},
        "missing_modality": "present_input",
        "temperature": made.temperature,
        "unsure": {"score": "max_probability", "threshold": made.threshold},
        "golden": {
            "inputs": "golden_inputs.npz",
            "outputs": "golden_outputs.npz",
            "tolerance": 0.02 if half else 0.001,
        },
        "provenance": {
            "data": made.data,
            "teachers": made.teachers,
            "licences": {"weights": "those of the data and of the weights that it began with; see the recipe"},
            "commit": f"edge_avsc {__version__}",
        },
        "measured": {
            "recipe": made.recipe.note,
            "weights": "float16, computed in float32" if half else "float32",
            "parameters": {name: parameters_of(part) for name, part in parts.items() if part is not None},
            **made.measured,
        },
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=120)
    (out / "bundle.yaml").write_text(text, encoding="utf-8")
    (out / "README.md").write_text(_card(made), encoding="utf-8")
    for _ in verify(out):
        pass


def _spec(out: Path, path: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    def tensors(shapes: dict[str, Any]) -> dict[str, Any]:
        return {name: {"shape": ["batch", *shape], "dtype": "float32"} for name, shape in shapes.items()}

    return {"path": path, "sha256": sha256_of(out / path), "inputs": tensors(inputs), "outputs": tensors(outputs)}


def _golden(made: Trained, count: int = 4) -> tuple[dict[str, NDArray[float32]], NDArray[float32]]:
    """Return generated inputs and what the trained networks say of them, by state."""
    import torch

    chance = np.random.default_rng(1)
    audio, image = front_ends(made.recipe)
    columns = chance.normal(-4.0, 2.0, (count, audio.columns, audio.column_size)).astype(float32)
    pictures = chance.normal(0.0, 1.0, (count, 3, image.size_px, image.size_px)).astype(float32)
    system = made.system.cpu().eval()
    with torch.no_grad():
        heard = system.audio(torch.from_numpy(columns)) if system.audio else None
        seen = system.image(torch.from_numpy(pictures)) if system.image else None
        probabilities = []
        for has_sound, has_picture in PRESENT:
            state = "av" if has_sound and has_picture else "a" if has_sound else "v"
            there = [torch.full((count,), bool(one)) for one in (has_sound, has_picture)]
            logits = system.logits(heard, seen, *there).numpy().astype(float64) / made.temperature[state]
            probabilities.append([softmax(row) for row in logits])
    inputs = {"log_mel": columns, "picture": pictures, "present": PRESENT}
    return inputs, np.array(probabilities, float32)


def _card(made: Trained) -> str:
    data = "".join(f"- {line}\n" for line in made.data)
    return (
        f"# {made.recipe.name}\n\n{made.recipe.note}\n\nTrained by `edge-avsc train`; `edge-avsc model info` prints "
        f"all that is known of it.\n\nData:\n{data}\nFigures of the validation clips, which chose the epoch and the "
        f"temperatures:\n```yaml\n{yaml.safe_dump(made.measured, sort_keys=False)}```\n"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
