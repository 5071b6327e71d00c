"""The bundle's folder: graphs, golden values, bundle.yaml, card and its pictures."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.bundle import sha256_of
from edge_avsc.errors import ConfigError
from edge_avsc.model import SceneModel
from edge_avsc.training import figures
from edge_avsc.training.card import write_card
from edge_avsc.training.classes import LABELS
from edge_avsc.training.drawings import draw_confusion, draw_reliability
from edge_avsc.training.folds import FOLDS
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.heads import Material
from edge_avsc.training.inference import Graph, Trio, softmax
from edge_avsc.training.own_scenes.embedding import Embeddings, nothing
from edge_avsc.training.own_scenes.label_statistics import FILE as STATISTICS
from edge_avsc.training.own_scenes.label_statistics import write_label_statistics
from edge_avsc.training.places import learn_places
from edge_avsc.training.provenance import provenance
from edge_avsc.training.recordings import Clip
from edge_avsc.training.running import on_stream
from edge_avsc.training.spec import AUDIO, AUDIO_FEATURES, IMAGE, IMAGE_FEATURES
from edge_avsc.training.versions import (
    DEVICES,
    KINDS,
    LOG_MEL,
    PICTURE,
    Answers,
    Sight,
    Trials,
    Version,
    answers,
    complete,
    export_image,
    hearing,
    seen_pictures,
    sight,
    where_unseen,
)


@dataclass(frozen=True)
class Ingredients:
    """All that a bundle is made of.

    image: an ImageClassifier. audio: an AudioClassifier, taught on all recordings; fold_audios: those that learnt
    nothing in each fold. training: what the card says about how much was trained. more_sound: names of further
    folders of unlabelled sound.
    """

    image: Any
    audio: Any
    fold_audios: list[Any]
    material: Material
    trials: Trials
    clips: list[Clip]
    training: dict[str, Any]
    commit: str
    seed: int
    more_sound: tuple[str, ...] = ()


def write_bundle(made: Ingredients, work: Path, out: Path) -> None:
    """Export, quantise, calibrate and measure in *work*, then write the bundle into *out*."""
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    images = export_image(made.image.encoder, made.material.train_pictures, work, made.seed)
    seen = {kind: sight(graph, made.material.val_pictures, made.trials.joint) for kind, graph in images.items()}
    whole, *folds = _versions(made, images, seen[".cpu"], work)
    audio = work / _folder(None)
    first, second = ([versions[i] for versions in folds] for i in (0, 1))
    said = {kind: answers(whole[0], first, kind, seen[kind], made.trials, made.material) for kind in KINDS}
    again = answers(whole[1], second, ".cpu", seen[".cpu"], made.trials, made.material)
    measured = {**_measured(made, whole, said, again), **figures.sizes(work, audio)}
    _draw(said[".cpu"], whole[0], made.trials, out)
    golden = _write_golden(whole[0], out)
    for path in (
        *(
            folder / f"{name}.{device}.onnx"
            for device in DEVICES
            for name, folder in (("audio", audio), ("image", work))
        ),
        audio / "fusion.onnx",
    ):
        shutil.copyfile(path, out / path.name)
    description = {
        "schema": 1,
        "name": "avsc-lite",
        "labels": list(LABELS),
        "window_s": 1.0,
        "audio": AUDIO.model_dump(),
        "image": _plain(IMAGE.model_dump()),
        "graphs": {device: _graphs(out, device) for device in DEVICES},
        "missing_modality": "present_input",
        "temperature": whole[0].fitted.temperature,
        "unsure": {"score": "none_of_ours", "threshold": whole[0].fitted.threshold},
        "golden": golden,
        "provenance": provenance(made.commit, made.more_sound),
        "measured": measured,
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=120)
    (out / "bundle.yaml").write_text(text, encoding="utf-8")
    _write_statistics(made.material, out)
    write_card(out)


def _write_statistics(material: Material, out: Path) -> None:
    (out / STATISTICS).unlink(missing_ok=True)
    # Where the head is sure of no label anywhere, there is nothing to rehearse by.
    with contextlib.suppress(ConfigError):
        write_label_statistics(model := SceneModel.load(out), _embedded(model, material))


def _embedded(model: SceneModel, material: Material) -> Iterator[Embeddings]:
    """Yield what the bundle that ships makes of each training picture, and of each recording of unlabelled sound."""
    parts = model.bundle.graphs["cpu"]
    pictures, seconds = material.train_pictures, material.seconds
    no_sound, no_picture = (
        nothing(parts.audio.outputs["audio_embedding"]),
        nothing(parts.image.outputs["image_embedding"]),
    )
    for first in range(0, len(pictures.images), 64):
        rows = np.arange(first, min(first + 64, len(pictures.images)))
        for seen in model.encode_pictures(pictures.inputs(rows)):
            yield Embeddings(no_sound[None], seen[None])
    names = np.array(seconds.names)
    for name in np.unique(names):
        heard = np.stack([model.embed_sound(columns) for columns in seconds.log_mel[names == name]])
        yield Embeddings(heard, np.tile(no_picture, (len(heard), 1)))


def _folder(fold: int | None) -> str:
    return "all" if fold is None else f"without_{fold}"


def _versions(made: Ingredients, images: dict[str, Graph], seen: Sight, work: Path) -> list[list[Version]]:
    """Return for the audio encoder taught on all, then for each fold's: a version, and one of another seed."""
    cases = dict(zip((None, *range(FOLDS)), (made.audio, *made.fold_audios), strict=True))
    heard = {
        fold: hearing(audio, made.material, fold, work / _folder(fold), made.seed) for fold, audio in cases.items()
    }
    known = where_unseen([heard[fold] for fold in range(FOLDS)], made.material.field)
    places = learn_places(seen_pictures(images[".cpu"], made.material.train_pictures), made.material.places)
    seeds = (made.seed, made.seed + 1)
    return [
        complete(
            heard[fold],
            known.without(fold),
            made.image,
            images,
            seen.pictures,
            places,
            made.material,
            work / _folder(fold),
            seeds,
        )
        for fold in cases
    ]


def _measured(made: Ingredients, whole: list[Version], said: dict[str, Answers], again: Answers) -> dict[str, Any]:
    worth = figures.accuracies(said[".cpu"], whole[0].fitted, made.trials, made.material)
    verdict = whole[0].fitted.verdict
    return {
        "of": "the graphs for CPUs, unless said otherwise; windows of 1 s; tau_*: cross-validated by location",
        **worth,
        "streaming": on_stream(said[".cpu"]["tau_sound"]["a"], made.trials.sound, whole[0].fitted.threshold, "a"),
        "clips": figures.on_clips(whole[0], made.clips),
        "fusion": {
            "shipped": "trained head" if verdict.trained_is_better else "product of experts",
            "product_of_experts_log_loss": round(verdict.product_log_loss, 4),
            "trained_head_log_loss": round(verdict.trained_log_loss, 4),
        },
        "int8_cpu_against_float": figures.exports_apart(said[".cpu"], said[""], made.material),
        "int8_trt_against_float": figures.exports_apart(said[".trt"], said[""], made.material),
        "second_seed_differences": figures.seeds_apart(
            worth, figures.accuracies(again, whole[1].fitted, made.trials, made.material)
        ),
        "folds": FOLDS,
        "training": made.training,
        "processor": figures.processor(),
        "median_ms_one_cpu_thread": figures.times(whole[0].trios[".cpu"]),
    }


def _draw(said: Answers, version: Version, trials: Trials, out: Path) -> None:
    heard = {"recordings: sound": (said["tau_sound"]["a"], trials.sound.labels)}
    names = {"a": "sound", "v": "pictures", "av": "both"}
    pairs = {
        f"class pairs: {name}": (said["class_pairs_kept_out"][state], version.fitted.pairs.labels)
        for state, name in names.items()
    }
    draw_confusion({**heard, **pairs}, out / "confusion.png")
    draw_reliability({**heard, **pairs}, out / "reliability.png")


def _write_golden(version: Version, out: Path) -> dict[str, Any]:
    temperature, full = version.fitted.temperature, version.trios[""]
    inputs = golden_inputs()
    expected = _golden_outputs(full, inputs, temperature)
    np.savez_compressed(out / "golden_inputs.npz", allow_pickle=False, **inputs)
    np.savez_compressed(out / "golden_outputs.npz", allow_pickle=False, **expected)
    worst = max(
        np.abs(_golden_outputs(trio, inputs, temperature)["probabilities"] - expected["probabilities"]).max()
        for trio in (version.trios[f".{device}"] for device in DEVICES)
    )
    # Twice what was seen, and room for other processors, which round otherwise (by up to 0.05, aarch64).
    tolerance = max(0.1, 0.01 * np.ceil(200 * worst))
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
