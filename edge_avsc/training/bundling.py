"""The bundle's folder: graphs, golden values, bundle.yaml, card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.bundle import read_bundle, sha256_of
from edge_avsc.training import experts
from edge_avsc.training.card import write_card
from edge_avsc.training.classes import LABELS
from edge_avsc.training.export import export
from edge_avsc.training.figures import DEVICES, figures, paired_embeddings, sizes
from edge_avsc.training.fusion import best_temperature
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.inference import Trio, softmax
from edge_avsc.training.pairs import Pairs, Verdict
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.pictures import to_input
from edge_avsc.training.quantisation import quantise
from edge_avsc.training.recordings import Windows
from edge_avsc.training.sounds import Lessons
from edge_avsc.training.spec import AUDIO, AUDIO_FEATURES, IMAGE, IMAGE_FEATURES

FALSE_ALARMS = 0.05
PICTURE = (3, IMAGE.size_px, IMAGE.size_px)
LOG_MEL = (AUDIO.columns, AUDIO.n_mels)


@dataclass(frozen=True)
class Ingredients:
    """All that a bundle is made of.

    threshold: of "none of ours", reached by FALSE_ALARMS of our own. seconds: sound trained on; kept_out: sound never
    trained on; strange: random views of it. pairs, verdict: what the fusion was fitted and chosen by.
    """

    audio: Any
    image: Any
    fusion: Any
    threshold: float
    strange: Lessons
    pairs: Pairs
    verdict: Verdict
    calibration_pictures: Pictures
    seconds: experts.TaughtSeconds
    val_pictures: Pictures
    kept_out: experts.TaughtSeconds
    sound_windows: Windows
    joint_windows: Windows
    commit: str
    seed: int


def write_bundle(made: Ingredients, work: Path, out: Path) -> None:
    """Export, quantise, calibrate and measure in *work*, then write the bundle into *out*."""
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    _export_all(made, work)
    full, cpu, trt = Trio.load(work, ""), Trio.load(work, ".cpu"), Trio.load(work, ".trt")
    temperature = _temperatures(made, full)
    golden = _write_golden(full, [cpu, trt], temperature, out)
    measured = {**figures(made, full, cpu, trt, temperature), **sizes(work)}
    for name in ("audio.cpu", "audio.trt", "image.cpu", "image.trt", "fusion"):
        shutil.copyfile(work / f"{name}.onnx", out / f"{name}.onnx")
    description = {
        "schema": 1,
        "name": "avsc-lite",
        "labels": list(LABELS),
        "window_s": 1.0,
        "audio": AUDIO.model_dump(),
        "image": _plain(IMAGE.model_dump()),
        "graphs": {kind: _graphs(out, kind) for kind in DEVICES},
        "missing_modality": "present_input",
        "temperature": temperature,
        "unsure": {"score": "none_of_ours", "threshold": made.threshold},
        "golden": golden,
        "provenance": _provenance(made.commit),
        "measured": measured,
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=120)
    (out / "bundle.yaml").write_text(text, encoding="utf-8")
    write_card(read_bundle(out), out / "README.md")


def _export_all(made: Ingredients, work: Path) -> None:
    export(made.audio, work / "audio.onnx", {"log_mel": LOG_MEL}, ["audio_embedding"])
    export(made.image, work / "image.onnx", {"picture": PICTURE}, ["image_embedding"])
    inputs: dict[str, tuple[int, ...]] = {
        "audio_embedding": (AUDIO_FEATURES,),
        "image_embedding": (IMAGE_FEATURES,),
        "present": (2,),
    }
    export(made.fusion, work / "fusion.onnx", inputs, ["logits", "none_logit"])
    random = np.random.default_rng(made.seed)
    heard = made.seconds.log_mel[random.choice(len(made.seconds.log_mel), 400, replace=False)]
    chosen = random.choice(len(made.calibration_pictures.images), 400, replace=False)
    seen = to_input(made.calibration_pictures.images[chosen].astype(float32))
    for device in DEVICES:
        quantise(work / "audio.onnx", work / f"audio.{device}.onnx", heard, device, float_convolutions=1)
        quantise(work / "image.onnx", work / f"image.{device}.onnx", seen, device, float_convolutions=3)


def _temperatures(made: Ingredients, trio: Trio) -> dict[str, float]:
    audio, image = paired_embeddings(made, trio)
    states = {"av": (audio, image), "a": (audio, None), "v": (None, image)}
    return {
        state: round(best_temperature(trio.fused(*both)[0], made.pairs.labels), 3) for state, both in states.items()
    }


def _write_golden(full: Trio, int8: list[Trio], temperature: dict[str, float], out: Path) -> dict[str, Any]:
    inputs = golden_inputs()
    expected = _golden_outputs(full, inputs, temperature)
    np.savez_compressed(out / "golden_inputs.npz", allow_pickle=False, **inputs)
    np.savez_compressed(out / "golden_outputs.npz", allow_pickle=False, **expected)
    worst = max(
        np.abs(_golden_outputs(trio, inputs, temperature)["probabilities"] - expected["probabilities"]).max()
        for trio in int8
    )
    tolerance = max(0.05, 0.01 * np.ceil(200 * worst))  # twice what was seen: other CPUs round otherwise
    return {
        "inputs": "golden_inputs.npz",
        "outputs": "golden_outputs.npz",
        "tolerance": round(float(tolerance), 2),
    }


def _golden_outputs(
    trio: Trio, inputs: dict[str, NDArray[float32]], temperature: dict[str, float]
) -> dict[str, NDArray[float32]]:
    audio, image = trio.audio(inputs["log_mel"])[0], trio.image(inputs["picture"])[0]
    states = {"av": (audio, image), "a": (audio, None), "v": (None, image)}
    probabilities = [softmax(trio.fused(*both)[0] / temperature[state]) for state, both in states.items()]
    return {
        "audio_embedding": audio,
        "image_embedding": image,
        "probabilities": np.stack(probabilities).astype(float32),
    }


def _graphs(out: Path, kind: str) -> dict[str, Any]:
    def entry(path: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> dict[str, Any]:
        def tensors(shapes: dict[str, list[Any]]) -> dict[str, Any]:
            return {name: {"shape": ["batch", *shape], "dtype": "float32"} for name, shape in shapes.items()}

        return {"path": path, "sha256": sha256_of(out / path), "inputs": tensors(inputs), "outputs": tensors(outputs)}

    audio, image = {"audio_embedding": [AUDIO_FEATURES]}, {"image_embedding": [IMAGE_FEATURES]}
    return {
        "audio": entry(f"audio.{kind}.onnx", {"log_mel": list(LOG_MEL)}, audio),
        "image": entry(f"image.{kind}.onnx", {"picture": list(PICTURE)}, image),
        "fusion": entry("fusion.onnx", {**audio, **image, "present": [2]}, {"logits": [10], "none_logit": [1]}),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _provenance(commit: str) -> dict[str, Any]:
    return {
        "data": [
            "MiniPlaces, training pictures (labels by category; groups in edge_avsc/training/classes.py)",
            "unlabelled sound: Pixabay, CC0 and CC BY recordings, Lorient urban soundscapes, vehicles passing by, "
            "ESC-10, street recordings of the package soundscapy",
            "impulse responses of microphones, for augmentation",
            "validation only, never trained on: MiniPlaces validation pictures (they calibrate); recordings in TAU "
            "layout (their mean level and spectrum set the range of the sound's augmentation)",
        ],
        "teachers": [
            "EfficientNet-Lite0, ImageNet weights (first weights of the image encoder)",
            "CP-Mobile, first place of DCASE 2023 Task 1 (taught the audio encoder); trained on TAU Urban 2022 Mobile, "
            "it may have heard locations of TAU Urban Audio-Visual Scenes 2021, those of the test fold included",
        ],
        "licences": {
            "weights": "CC BY-NC 4.0",
            "EfficientNet-Lite0": "Apache-2.0",
            "MiniPlaces": "MIT Places terms (research)",
            "ESC-10": "CC BY 3.0",
            "ambience": "Pixabay licence, CC0, CC BY",
        },
        "commit": commit,
    }
