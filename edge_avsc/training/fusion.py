"""The fusion head: each encoder's evidence as a calibrated expert, and their product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import float64, int64
from numpy.typing import NDArray
from torch import nn

from edge_avsc.training.classes import GROUPS, LABELS, NONE, VEHICLE_SHARES
from edge_avsc.training.places import places_to_labels

# Which group of pictures speaks for each class, and with what share of its likelihood.
_GROUP_OF_LABEL = [GROUPS.index("bus" if label in VEHICLE_SHARES else label) for label in LABELS]
_SHARE_OF_LABEL = [VEHICLE_SHARES.get(label, 1.0) for label in LABELS]

# "None of ours" goes more by the likeliest categories than by sums over many unlikely ones: AUROC on pictures .912, by
# plain sums .909, by the likeliest alone .910; in the same order at 160 and at 208 px.
SHARPNESS = 2.0

# The places' share of the word on pictures: as much as costs nothing on validation pictures, which are MiniPlaces' own
# (log-loss, classes alike: .436 without, .430 with a tenth or two of it, .436 with three, .448 with four). As a
# product, with a power of .2 to .5 for this word, .434 to .447.
PLACES_SHARE = 0.3


@dataclass(frozen=True)
class Experts:
    """The linear heads, with the corrections that make them speak for equally frequent classes.

    sound_bias: less the mean log-posterior on unlabelled sound. picture_priors: each group's share of the pictures.
    places_weight, places_bias: of the places that ``places_to_labels`` has rows for.
    An expert's temperature makes its word as sure as it should be (the pictures' is set by ``sharpen``); its floor is
    how much of that word is kept for "any class", so that none can veto the other.
    """

    sound_weight: Any
    sound_bias: Any
    picture_weight: Any
    picture_bias: Any
    places_weight: Any
    places_bias: Any
    group_of_category: list[int]
    picture_priors: list[float]
    sound_none_weight: Any
    sound_none_bias: float
    sound_temperature: float
    sound_floor: float = 0.2
    picture_floor: float = 0.05
    sound_none_share: float = 0.25


class FusionHead(nn.Module):  # type: ignore[misc]
    """Embeddings and ``present`` (sound, picture: 1 or 0) to ``logits`` ``[n, 10]`` and ``none_logit`` ``[n, 1]``.

    The logits are the sum of the experts' log-probabilities, the product of experts for ten equally frequent classes;
    where both are there, a trained mixing may take the sum's place (see ``mix``). The expert of pictures is a mixture
    of what their MiniPlaces categories say and what their places of Places365 do.
    What an absent modality's embedding holds, even NaN, has no influence.
    """

    mixing: Any
    mixing_bias: Any

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        product = torch.eye(len(LABELS)).repeat(1, 2)
        self.register_buffer("mixing", product)
        self.register_buffer("mixing_bias", torch.zeros(len(LABELS)))
        self.sound = _linear(experts.sound_weight, experts.sound_bias)
        self.picture = _linear(experts.picture_weight, experts.picture_bias)
        self.places = _linear(experts.places_weight, experts.places_bias)
        self.sound_none = _linear(experts.sound_none_weight, torch.tensor([experts.sound_none_bias]))
        self.sound_temperature, self.picture_temperature = experts.sound_temperature, 1.0
        self.sound_floor, self.picture_floor = experts.sound_floor, experts.picture_floor
        self.sound_none_share = experts.sound_none_share
        members = torch.zeros(len(experts.group_of_category), len(GROUPS))
        for category, group in enumerate(experts.group_of_category):
            members[category, group] = 1.0 / experts.picture_priors[group]
        to_labels = torch.zeros(NONE, len(LABELS))
        for label, (group, share) in enumerate(zip(_GROUP_OF_LABEL, _SHARE_OF_LABEL, strict=True)):
            to_labels[group, label] = share
        self.register_buffer("members", members)
        self.register_buffer("to_labels", to_labels)
        self.register_buffer("places_to_labels", torch.from_numpy(places_to_labels()))

    def sharpen(self, temperature: float) -> None:
        """Make the word of pictures as sure as this temperature does."""
        self.picture_temperature = temperature

    def mix(self, weight: Any, bias: Any) -> None:
        """Let both experts' log-probabilities be weighed by *weight* ``[10, 20]`` and *bias* ``[10]``."""
        self.mixing, self.mixing_bias = weight.float(), bias.float()

    def mixed(self, sound: NDArray[float64], picture: NDArray[float64]) -> NDArray[float64]:
        """Return the logits ``[n, 10]`` of both experts' log-probabilities ``[n, 10]``."""
        both = np.concatenate([sound, picture], 1)
        return np.asarray(both @ self.mixing.double().numpy().T + self.mixing_bias.double().numpy(), float64)

    def heard(self, logits: Any) -> Any:
        """Return the sound expert's log-probabilities, its floor included, for its logits ``[n, 10]``."""
        return _floored_log(torch.softmax(logits / self.sound_temperature, 1), self.sound_floor)

    def forward(self, audio_embedding: Any, image_embedding: Any, present: Any) -> tuple[Any, Any]:
        """Return the logits and the log-odds of "none of ours"."""
        heard, seen = present[:, 0:1] > 0.5, present[:, 1:2] > 0.5
        nothing = torch.zeros(1)
        audio = torch.where(heard, audio_embedding, nothing)
        image = torch.where(seen, image_embedding, nothing)
        # Softmax over categories, then sums: the log-sum-exp of each group, less its prior.
        categories = self.picture(image)
        groups = torch.softmax(categories, 1) @ self.members
        picture = (groups[:, :NONE] + 1e-9) @ self.to_labels
        places = torch.softmax(self.places(image), 1) @ self.places_to_labels
        picture, places = (word / word.sum(1, keepdim=True) for word in (picture, places))
        picture = ((1 - PLACES_SHARE) * picture + PLACES_SHARE * places) ** (1 / self.picture_temperature)
        picture = picture / picture.sum(1, keepdim=True)
        sound = torch.where(heard, self.heard(self.sound(audio)), nothing)
        picture = torch.where(seen, _floored_log(picture, self.picture_floor), nothing)
        mixed = torch.cat([sound, picture], 1) @ self.mixing.T + self.mixing_bias
        logits = torch.where(heard & seen, mixed, sound + picture)
        sharp = torch.softmax(SHARPNESS * categories, 1) @ self.members
        ours = sharp[:, :NONE].mean(1, keepdim=True)
        picture_none = (torch.log(sharp[:, NONE:] + 1e-12) - torch.log(ours + 1e-12)) / SHARPNESS
        sound_none = self.sound_none(audio)
        share = torch.where(seen, torch.full((1,), self.sound_none_share), torch.ones(1))
        none = torch.where(heard, sound_none * share, nothing) + torch.where(seen, picture_none, nothing)
        return logits, none


def _linear(weight: Any, bias: Any) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _floored_log(probabilities: Any, floor: float) -> Any:
    return torch.log(probabilities * (1 - floor) + floor / len(LABELS))


def log_loss(logits: NDArray[float64], labels: NDArray[int64], temperature: float = 1.0) -> float:
    """Return the mean natural log-loss of ``logits / temperature`` ``[n, 10]`` against *labels* ``[n]``."""
    scaled = logits / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(labels)), labels]).mean())


def best_temperature(logits: NDArray[float64], labels: NDArray[int64]) -> float:
    """Return the temperature in 0.3..4 with the least log-loss, on a fine grid."""
    grid = np.exp(np.linspace(np.log(0.3), np.log(4.0), 120))
    return float(grid[int(np.argmin([log_loss(logits, labels, t) for t in grid]))])
