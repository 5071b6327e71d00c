"""A recipe's networks, whole: what a bundle's three graphs are exported from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation, ImageFrontEnd
from edge_avsc.training.classes import LABELS
from edge_avsc.training.recipes.fusions import FusionNet
from edge_avsc.training.recipes.picture_networks import PictureEncoder
from edge_avsc.training.recipes.settings import Recipe
from edge_avsc.training.recipes.sound_networks import SoundEncoder


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows: columns ``[n, columns, column_size]``, heard ``[n]``, normalised pictures ``[n, k, 3, s, s]``, of which
    ``seen`` ``[n, k]`` are there; or, where encoders are frozen, embeddings in their place. labels: ``[n]``.
    """

    columns: Any
    heard: Any
    pictures: Any
    seen: Any
    labels: Any

    def on(self, device: str) -> Batch:
        """Return it on a device."""
        tensors = (self.columns, self.heard, self.pictures, self.seen, self.labels)
        return Batch(*(tensor.to(device) for tensor in tensors))


class System(nn.Module):  # type: ignore[misc]
    """Two encoders and a fusion. load: whether known weights are loaded where the recipe wants them."""

    def __init__(self, recipe: Recipe, labels: tuple[str, ...] = LABELS, *, load: bool = False) -> None:
        super().__init__()
        self.labels = labels
        self.audio = SoundEncoder(recipe.sound, load=load) if recipe.sound else None
        self.image = PictureEncoder(recipe.picture, load=load) if recipe.picture else None
        self.fusion = FusionNet(
            recipe.fusion,
            self.audio.sizes if self.audio else [],
            self.image.sizes if self.image else [],
            len(labels),
        )

    def embed(self, batch: Batch) -> tuple[Any, Any]:
        """Return the embeddings of sound and of pictures, the mean of those that are there."""
        audio = self.audio(batch.columns) if self.audio else None
        if self.image is None:
            return audio, None
        n, k = batch.seen.shape
        each = self.image(batch.pictures.flatten(0, 1)).reshape(n, k, -1)
        weights = batch.seen / batch.seen.sum(1, keepdim=True).clamp(min=1.0)
        return audio, (each * weights[:, :, None]).sum(1)

    def logits(self, audio: Any, image: Any, heard: Any, seen: Any) -> Any:
        """Return what the bundle says ``[n, labels]``: by both where both are there, else by the one that is."""
        judged = self.fusion(audio, image)
        return choose(judged, heard, seen, len(self.labels))


def choose(judged: dict[str, Any], heard: Any, seen: Any, labels: int) -> Any:
    """Return, of the logits of each part, those that fit what is there ``[n]``; zeros, a uniform guess, by nothing."""
    nothing = torch.zeros(1, labels, device=heard.device)
    audio = judged.get("audio", nothing)
    video = judged.get("video", nothing)
    both = judged.get("both", audio if "video" not in judged else video)
    one = torch.where(heard[:, None], audio, torch.where(seen[:, None], video, nothing))
    return torch.where((heard & seen)[:, None], both, one)


def parameters_of(module: Any, *, statistics: bool = False) -> int:
    """Return how many parameters a module has; *statistics*: with batch norm's running ones, as Keras counts."""
    count = int(sum(p.numel() for p in module.parameters()))
    if statistics:
        count += sum(
            m.running_mean.numel() + m.running_var.numel()
            for m in module.modules()
            if isinstance(m, nn.modules.batchnorm._BatchNorm)
        )
    return count


def counts(recipe: Recipe, *, statistics: bool = False) -> dict[str, int]:
    """Return how many parameters each part of a recipe has, without making room for them (see parameters_of)."""
    with torch.device("meta"):
        system = System(recipe, recipe.labels or LABELS)
    parts = {"audio": system.audio, "image": system.image, "fusion": system.fusion}
    return {name: parameters_of(part, statistics=statistics) for name, part in parts.items() if part is not None}


# What stands in for a modality that a recipe does not have: as little as the road takes.
NO_SOUND = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=8000,
    channels=1,
    n_fft=400,
    hop_samples=400,
    n_mels=1,
    fmin_hz=20.0,
    fmax_hz=4000.0,
    columns=18,
    normalisation=AudioNormalisation(floor=1e-6, mean=0.0, scale=1.0),
)


def front_ends(recipe: Recipe) -> tuple[AudioFrontEnd, ImageFrontEnd]:
    """Return both front ends of a recipe's bundle."""
    picture = recipe.picture.front() if recipe.picture else no_picture()
    return recipe.sound.front() if recipe.sound else NO_SOUND, picture


def no_picture() -> ImageFrontEnd:
    """Return the smallest front end for pictures."""
    return ImageFrontEnd.model_validate(
        {"size_px": 8, "frames_per_s": 1, "normalisation": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}
    )
