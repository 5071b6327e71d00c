"""From two trained encoders to the experts of the fusion head: corrections, "none of ours" from sound, temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import float32, float64
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.features import LogMel
from edge_avsc.training.classes import group_of
from edge_avsc.training.fusion import Experts, FusionHead
from edge_avsc.training.sound_data import Recordings, second, seconds_of
from edge_avsc.training.sounds import SPAN
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

if TYPE_CHECKING:
    from edge_avsc.training.heads import Material


@dataclass(frozen=True)
class TaughtSeconds:
    """Seconds of unlabelled sound: ``log_mel`` ``[n, 37, 128]``, the teacher's logits ``[n, 10]``, recordings."""

    log_mel: NDArray[float32]
    teacher: NDArray[float32]
    names: list[str]

    @property
    def is_event(self) -> NDArray[np.bool_]:
        """Return where the second is of a lone sound event, not of a place."""
        return np.array([name.startswith(_EVENTS) for name in self.names])


# ESC-10's names begin with the event: what is heard is no place at all, so it teaches "none of ours".
_EVENTS = (
    "Baby_cry",
    "Chainsaw",
    "Clock_tick",
    "Dog_bark",
    "Fire_crackling",
    "Helicopter",
    "Person_sneeze",
    "Rain",
    "Rooster",
    "Sea_waves",
)


def taught_seconds(teacher: SoundTeacher, recordings: Recordings, cache: Path) -> TaughtSeconds:
    """Return all seconds of *recordings* as they are, with what the teacher says of them; *cache* (.npz) keeps them."""
    where = seconds_of(recordings)
    if not cache.is_file():
        front_end = LogMel(AUDIO)
        log_mel, logits = [], []
        for start in tqdm(range(0, len(where), 128), desc=cache.stem, mininterval=5.0):
            heard = np.stack([second(recordings, *place) for place in where[start : start + 128]])
            logits.append(class_logits(teacher, heard))
            log_mel.append(np.stack([front_end.columns(one[:SPAN]) for one in heard]))
        np.savez(cache, log_mel=np.concatenate(log_mel), teacher=np.concatenate(logits))
    stored = np.load(cache)
    return TaughtSeconds(stored["log_mel"], stored["teacher"], [recordings.names[i] for i, _ in where])


def make_experts(sound: Any, picture: Any, seconds: Any, field: Any, strange: Any, material: Material) -> Experts:
    """Turn an AudioClassifier and an ImageClassifier into experts.

    seconds, field, strange: the sound's embeddings ``[n, 128]``. *field*: of labelled recordings that were trained on,
    all classes alike; what it says of them on the average is its prior where it will be used, and is taken off.
    *seconds*, *strange*: of *material*'s seconds, which were trained on, and of its strange views, which were not: how
    far the student strays from the teacher there sets its temperature.
    """
    wanted = torch.softmax(torch.from_numpy(material.strange.maps.astype(float32)).mean((2, 3)), 1)
    with torch.inference_mode():
        mean = torch.log_softmax(sound.head(field), 1).mean(0)
        temperature = _soft_temperature(sound.head(strange) - mean, wanted)
    weight, bias = _event_direction(seconds.clone(), torch.from_numpy(material.seconds.is_event).float())
    return Experts(
        sound_weight=sound.head.weight.detach(),
        sound_bias=(sound.head.bias - mean).detach(),
        picture_weight=picture.head.weight.detach(),
        picture_bias=picture.head.bias.detach(),
        group_of_category=[group_of(name) for name in material.train_pictures.names],
        picture_priors=material.picture_priors,
        sound_none_weight=weight,
        sound_none_bias=bias,
        sound_temperature=temperature,
        picture_temperature=1.0,
    )


def _soft_temperature(logits: Any, wanted: Any) -> float:
    """Return the temperature in 0.5..5 with the least cross-entropy against the distributions *wanted*."""
    grid = [0.5 * 1.05**step for step in range(48)]
    losses = [float(-(wanted * torch.log_softmax(logits / t, 1)).sum(1).mean()) for t in grid]
    return round(grid[losses.index(min(losses))], 3)


def _event_direction(embeddings: Any, is_event: Any) -> tuple[Any, float]:
    """Return weight ``[1, 128]`` and bias of a logistic regression of events against places, both equally frequent."""
    weight = torch.zeros(1, embeddings.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    scale = embeddings.std(0) + 1e-3
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")
    ratio = (1 - is_event).sum() / is_event.sum()

    def loss() -> Any:
        optimiser.zero_grad()
        logits = ((embeddings / scale) @ weight.T + bias)[:, 0]
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits, is_event, pos_weight=ratio)
        value = value + 0.01 * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return (weight / scale).detach(), float(bias.detach())


def words(head: FusionHead, audio: Any, image: Any) -> tuple[NDArray[float64], NDArray[float64]]:
    """Return what each expert says alone of embeddings ``[n, 128]``: log-probabilities ``[n, 10]``."""
    with torch.inference_mode():
        sound, picture = (head(audio, image, torch.tensor([p] * len(audio)))[0] for p in ((1.0, 0.0), (0.0, 1.0)))
    return sound.double().numpy(), picture.double().numpy()


def alarm_threshold(head: FusionHead, image_embeddings: Any, false_alarms: float) -> float:
    """Return the probability of "none of ours" that this share of *image_embeddings* ``[n, 128]``, all ours, pass."""
    present = torch.tensor([[0.0, 1.0]] * len(image_embeddings))
    with torch.inference_mode():
        none = head(torch.zeros_like(image_embeddings), image_embeddings, present)[1]
    return round(float(none.quantile(1 - false_alarms).sigmoid()), 4)
