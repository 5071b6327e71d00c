"""What ``measured`` in bundle.yaml says, gathered from the graphs that ship."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.training import measure
from edge_avsc.training.classes import NONE
from edge_avsc.training.export import parameters_of
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.inference import Trio

if TYPE_CHECKING:
    from edge_avsc.training.bundling import Ingredients

DEVICES: tuple[Literal["cpu", "trt"], ...] = ("cpu", "trt")


def paired_embeddings(made: Ingredients, trio: Trio) -> tuple[NDArray[float32], NDArray[float32]]:
    """Return audio and image embeddings of the class pairs ``[n, 128]``."""
    audio = trio.audio.rows(made.strange.log_mel)[made.pairs.sounds]
    image = measure.picture_embeddings(trio, made.val_pictures)[made.pairs.pictures]
    return audio, image


def figures(made: Ingredients, full: Trio, cpu: Trio, trt: Trio, temperature: dict[str, float]) -> dict[str, Any]:
    """Return every figure that is not about size."""
    audio, image = paired_embeddings(made, cpu)
    compared = {
        f"int8_{name}_against_float": measure.int8_against_float(
            trio, full, made.joint_windows, made.val_pictures, temperature
        )
        for name, trio in zip(DEVICES, (cpu, trt), strict=True)
    }
    return {
        "of": "the int8 graphs for CPUs, unless said otherwise; windows of 1 s",
        "miniplaces_val": measure.on_pictures(cpu, made.val_pictures, temperature["v"]),
        "tau_sound": measure.on_windows(cpu, made.sound_windows, temperature),
        "tau_joint": measure.on_windows(cpu, made.joint_windows, temperature),
        "class_pairs_kept_out": measure.on_pairs(cpu, audio, image, made.pairs.labels, temperature),
        "fusion": {
            "shipped": "trained head" if made.verdict.trained_is_better else "product of experts",
            "product_of_experts_log_loss": round(made.verdict.product_log_loss, 4),
            "trained_head_log_loss": round(made.verdict.trained_log_loss, 4),
        },
        "kept_out_sound": _kept_out_sound(made, cpu),
        "none_of_ours": _none_of_ours(made, cpu),
        **compared,
        "median_ms_one_cpu_thread": _times(cpu),
    }


def _kept_out_sound(made: Ingredients, trio: Trio) -> dict[str, Any]:
    logits, none = trio.fused(trio.audio.rows(made.kept_out.log_mel), None)
    events, called = made.kept_out.is_event, 1 / (1 + np.exp(-none)) > made.threshold
    agree = logits.argmax(1) == made.kept_out.teacher.argmax(1)
    return {
        "seconds": len(agree),
        "agrees_with_teacher": round(float(agree.mean()), 4),
        "events": int(events.sum()),
        "event_auroc": round(measure.auroc(none, events), 4),
        "places_called_none_of_ours": round(float(called[~events].mean()), 4),
        "events_called_none_of_ours": round(float(called[events].mean()), 4),
    }


def _none_of_ours(made: Ingredients, trio: Trio) -> dict[str, float]:
    none = trio.fused(None, measure.picture_embeddings(trio, made.val_pictures))[1]
    called = 1 / (1 + np.exp(-none)) > made.threshold
    others = made.val_pictures.groups == NONE
    return {
        "false_alarm_rate": round(float(called[~others].mean()), 4),
        "found_among_other_pictures": round(float(called[others].mean()), 4),
    }


def _times(trio: Trio) -> dict[str, float]:
    inputs = golden_inputs()
    log_mel, picture, present = (inputs[name][:1] for name in ("log_mel", "picture", "present"))
    audio, image = trio.audio(log_mel)[0], trio.image(picture)[0]
    return {
        "audio": round(trio.audio.median_ms(log_mel), 3),
        "image": round(trio.image.median_ms(picture), 3),
        "fusion": round(trio.fusion.median_ms(audio, image, present), 3),
    }


def sizes(folder: Path) -> dict[str, Any]:
    """Return the bytes of each export in *folder* and the parameters of each part."""
    files = {device: [f"audio.{device}.onnx", f"image.{device}.onnx", "fusion.onnx"] for device in DEVICES}
    return {
        "bytes": {device: sum((folder / name).stat().st_size for name in names) for device, names in files.items()},
        "parameters": {name: parameters_of(folder / f"{name}.onnx") for name in ("audio", "image", "fusion")},
    }
