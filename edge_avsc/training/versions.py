"""Encoders and heads as the graphs that ship, in float and int8, and what they say of every set there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy import float32, int64
from numpy.typing import NDArray

from edge_avsc.training.experts import Unseen
from edge_avsc.training.export import export
from edge_avsc.training.heads import Fitted, Known, Material, fit_head
from edge_avsc.training.inference import Graph, Trio, softmax
from edge_avsc.training.measure import Words
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.quantisation import quantise, store_for
from edge_avsc.training.recordings import Windows
from edge_avsc.training.sounds import Field
from edge_avsc.training.spec import AUDIO, AUDIO_FEATURES, IMAGE, IMAGE_FEATURES

DEVICES: tuple[Literal["cpu", "trt"], ...] = ("cpu", "trt")
KINDS = ("", *(f".{device}" for device in DEVICES))  # "" is float
PICTURE = (3, IMAGE.size_px, IMAGE.size_px)
LOG_MEL = (AUDIO.columns, AUDIO.n_mels)
EXAMPLES = 600
FIELD_VIEWS = 2000

Answers = dict[str, dict[str, Words]]  # set -> modality state -> words


@dataclass(frozen=True)
class Version:
    """One audio encoder and a head, fitted on the graphs for CPUs: the graphs of each kind."""

    trios: dict[str, Trio]
    fitted: Fitted

    def words(self, kind: str, audio: NDArray[float32] | None, image: NDArray[float32] | None) -> Words:
        """Return what is said of embeddings ``[n, 128]``, either of which may be None."""
        state = ("a" if audio is not None else "") + ("v" if image is not None else "")
        logits, none = self.trios[kind].fused(audio, image)
        return Words(softmax(logits / self.fitted.temperature[state]), none)


@dataclass(frozen=True)
class Sight:
    """What one kind of image encoder sees, float32 ``[n, 128]``: validation pictures, and windows (their mean)."""

    pictures: NDArray[float32]
    windows: NDArray[float32]


def export_image(image: Any, pictures: Pictures, folder: Path, seed: int) -> dict[str, Graph]:
    """Write the image encoder as ``image.onnx``, ``image.cpu.onnx`` and ``image.trt.onnx``; return them by kind."""
    export(image, folder / "image.onnx", {"picture": PICTURE}, ["image_embedding"])
    seen = pictures.inputs(_some(len(pictures.images), seed))
    for device in DEVICES:
        # On CPUs a whole graph of int8 says the same on each, to the bit; GPUs do not, so there it is the exacter one:
        # of 49 convolutions, 20 in float leave 1.0 % of the labels of other places another one, nine 2.1 %; a few more
        # and the file is over 5 MB.
        first = 0 if device == "cpu" else 20
        quantise(folder / "image.onnx", folder / f"image.{device}.onnx", seen, device, float_convolutions=first)
    return {kind: Graph(folder / f"image{kind}.onnx") for kind in KINDS}


def _some(count: int, seed: int) -> NDArray[int64]:
    return np.random.default_rng(seed).permutation(count)[:EXAMPLES]


def sight(image: Graph, pictures: Pictures, windows: Windows) -> Sight:
    """Return the embeddings of all pictures and windows."""
    assert windows.pictures is not None
    flat = image.rows(windows.pictures.reshape(-1, *PICTURE))
    return Sight(seen_pictures(image, pictures), flat.reshape(len(windows.labels), -1, flat.shape[1]).mean(1))


def seen_pictures(image: Graph, pictures: Pictures) -> NDArray[float32]:
    """Return the embeddings ``[n, 128]`` of all *pictures*."""
    rows = np.arange(len(pictures.images))
    return np.concatenate([image.rows(pictures.inputs(rows[i : i + 64])) for i in range(0, len(rows), 64)])


@dataclass(frozen=True)
class Hearing:
    """An AudioClassifier and its encoder's graphs by kind.

    field: embeddings ``[n, 128]`` of the field, by the graph for CPUs. prior: what is said of them on the average.
    """

    audio: Any
    graphs: dict[str, Graph]
    field: NDArray[float32]
    prior: Any

    def logits(self, log_mel: NDArray[float32]) -> Any:
        """Return what the graph for CPUs makes of log-mel windows ``[n, 36, 256]``, less the prior: ``[n, 10]``."""
        return _said(self.audio, self.graphs[".cpu"].rows(log_mel)) - self.prior


def _said(audio: Any, embeddings: NDArray[float32]) -> Any:
    import torch

    with torch.inference_mode():
        return torch.log_softmax(audio.head(torch.from_numpy(embeddings)), 1)


def hearing(audio: Any, material: Material, fold: int | None, folder: Path, seed: int) -> Hearing:
    """Export an AudioClassifier's encoder into *folder*; *fold*: that it learnt nothing from, if any.

    It stays in float: response norms stand between its convolutions, so that int8 has to round each time. Even with
    AVX2 alone that takes a quarter longer (1.09 ms, float 0.84), and 9 % of labels become another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    export(audio.encoder, folder / "audio.onnx", {"log_mel": LOG_MEL}, ["audio_embedding"])
    for device in DEVICES:
        store_for(device, folder / "audio.onnx", folder / f"audio.{device}.onnx")
    field = material.field.without(fold)
    graphs = {kind: Graph(folder / f"audio{kind}.onnx") for kind in KINDS}
    views = field.lessons.log_mel[field.draw(np.random.default_rng(seed), FIELD_VIEWS)].astype(float32)
    in_field = graphs[".cpu"].rows(views)
    return Hearing(audio, graphs, in_field, _said(audio, in_field).mean(0))


def where_unseen(hearings: list[Hearing], field: Field) -> Unseen:
    """Return what the encoder of each fold says of that fold's views."""
    rows = [np.flatnonzero(field.folds == fold) for fold in range(len(hearings))]
    said = [one.logits(field.lessons.log_mel[of].astype(float32)) for one, of in zip(hearings, rows, strict=True)]
    order = np.concatenate(rows)
    return Unseen(np.concatenate([part.double().numpy() for part in said]), field.labels[order], field.folds[order])


def complete(
    heard: Hearing,
    unseen: Unseen,
    image: Any,
    images: dict[str, Graph],
    pictures: NDArray[float32],
    places: tuple[Any, Any],
    material: Material,
    folder: Path,
    seeds: tuple[int, ...],
) -> list[Version]:
    """Fit a head for each seed, and return it with the encoders as a version.

    unseen: what such hearings say where they learnt nothing. pictures: the int8 image encoder's embeddings of the
    validation pictures ``[n, 128]``. places: the head that learnt what places its training pictures show.
    """
    import torch

    known = Known(
        prior=heard.prior,
        unseen=unseen,
        strange=heard.logits(material.strange.log_mel.astype(float32)).double().numpy(),
        seconds=torch.from_numpy(heard.graphs[".cpu"].rows(material.seconds.log_mel)),
        field=torch.from_numpy(heard.field),
        pictures=torch.from_numpy(pictures),
        places=places,
    )
    versions = []
    for seed in seeds:
        fitted = fit_head(heard.audio, image, known, material, seed)
        path = folder / ("fusion.onnx" if seed == seeds[0] else f"fusion_{seed}.onnx")
        _export_head(fitted.head, path)
        trios = {kind: Trio(heard.graphs[kind], images[kind], Graph(path)) for kind in KINDS}
        versions.append(Version(trios, fitted))
    return versions


def _export_head(head: Any, path: Path) -> None:
    inputs: dict[str, tuple[int, ...]] = {
        "audio_embedding": (AUDIO_FEATURES,),
        "image_embedding": (IMAGE_FEATURES,),
        "present": (2,),
    }
    export(head, path, inputs, ["logits", "none_logit"])


@dataclass(frozen=True)
class Trials:
    """The labelled windows: with sound, ten classes; with both, of street traffic; and the fold of each."""

    sound: Windows
    joint: Windows
    sound_folds: NDArray[int64]
    joint_folds: NDArray[int64]


def answers(
    whole: Version, folds: list[Version], kind: str, seen: Sight, trials: Trials, material: Material
) -> Answers:
    """Return the words of one kind of graph about every set, labelled windows only by who learnt nothing there."""
    strange = whole.trios[kind].audio.rows(material.strange.log_mel.astype(float32))
    audio, image = strange[whole.fitted.pairs.sounds], seen.pictures[whole.fitted.pairs.pictures]
    kept_out = whole.trios[kind].audio.rows(material.kept_out.log_mel)
    return {
        "miniplaces_val": {"v": whole.words(kind, None, seen.pictures)},
        "tau_sound": _out_of_fold(folds, kind, trials.sound.log_mel, None, trials.sound_folds),
        "tau_joint": _out_of_fold(folds, kind, trials.joint.log_mel, seen.windows, trials.joint_folds),
        "class_pairs_kept_out": {
            "a": whole.words(kind, audio, None),
            "v": whole.words(kind, None, image),
            "av": whole.words(kind, audio, image),
        },
        "kept_out_sound": {"a": whole.words(kind, kept_out, None)},
    }


def _out_of_fold(
    versions: list[Version], kind: str, log_mel: NDArray[float32], image: NDArray[float32] | None, folds: NDArray[int64]
) -> dict[str, Words]:
    states = ("a",) if image is None else ("a", "v", "av")
    said = {state: Words(np.empty((len(folds), 10)), np.empty(len(folds))) for state in states}
    for fold, version in enumerate(versions):
        rows = folds == fold
        if not rows.any():
            continue
        audio = version.trios[kind].audio.rows(log_mel[rows])
        for state, words in said.items():
            part = version.words(kind, audio if "a" in state else None, image[rows] if "v" in state else None)  # type: ignore[index]
            words.probabilities[rows], words.none[rows] = part.probabilities, part.none
    return said
