"""From two trained encoders to the experts of the fusion head: corrections, "none of ours" from sound, temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import float32, float64, int64
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.features import LogMel
from edge_avsc.training.classes import group_of
from edge_avsc.training.fusion import Experts, FusionHead, best_temperature
from edge_avsc.training.sound_data import Recordings, second, seconds_of
from edge_avsc.training.sounds import SPAN
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

if TYPE_CHECKING:
    from edge_avsc.training.heads import Known, Material


@dataclass(frozen=True)
class TaughtSeconds:
    """Seconds of unlabelled sound: ``log_mel`` ``[n, 36, 256]``, the teacher's logits ``[n, 10]``, recordings."""

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


@dataclass(frozen=True)
class Unseen:
    """What sound experts say of views of labelled recordings that they learnt nothing of.

    logits: float64 ``[n, 10]``, before any temperature. labels, folds: of the views, ``[n]``.
    """

    logits: NDArray[float64]
    labels: NDArray[int64]
    folds: NDArray[int64]

    def without(self, fold: int | None) -> Unseen:
        """Return what is not from *fold*; all where it is None."""
        rows = np.arange(len(self.folds)) if fold is None else np.flatnonzero(self.folds != fold)
        return Unseen(self.logits[rows], self.labels[rows], self.folds[rows])

    def temperature(self) -> float:
        """Return the temperature with the least log-loss where each class comes as often as any other."""
        counts = np.bincount(self.labels)
        rows = np.concatenate(
            [np.resize(np.flatnonzero(self.labels == c), counts.max()) for c in np.flatnonzero(counts)]
        )
        return best_temperature(self.logits[rows], self.labels[rows])


def make_experts(sound: Any, picture: Any, known: Known, material: Material) -> Experts:
    """Turn an AudioClassifier and an ImageClassifier into experts, with what is *known* of them."""
    # What is heard in labelled recordings is a place too, however like an event a bus or a tram may sound.
    heard = torch.cat([known.seconds, known.field])
    is_event = torch.zeros(len(heard), dtype=torch.bool)
    is_event[: len(known.seconds)] = torch.from_numpy(material.seconds.is_event)
    weight, bias = event_direction(heard, is_event)
    return Experts(
        sound_weight=sound.head.weight.detach(),
        sound_bias=(sound.head.bias - known.prior).detach(),
        picture_weight=picture.head.weight.detach(),
        picture_bias=picture.head.bias.detach(),
        places_weight=known.places[0],
        places_bias=known.places[1],
        group_of_category=[group_of(name) for name in material.train_pictures.names],
        picture_priors=material.picture_priors,
        sound_none_weight=weight,
        sound_none_bias=bias,
        sound_temperature=known.unseen.temperature(),
    )


def event_direction(embeddings: Any, is_event: Any) -> tuple[Any, float]:
    """Return weight ``[1, 128]`` and bias of a logistic regression of events against places, both equally frequent."""
    is_event = is_event.float()
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


def words(head: FusionHead, logits: NDArray[float64], image: Any) -> tuple[NDArray[float64], NDArray[float64]]:
    """Return what each expert says alone, log-probabilities ``[n, 10]``.

    logits: the sound expert's ``[n, 10]``. image: embeddings ``[n, 128]``.
    """
    with torch.inference_mode():
        picture = head(torch.zeros_like(image), image, torch.tensor([[0.0, 1.0]] * len(image)))[0]
        sound = head.heard(torch.from_numpy(logits))
    return sound.numpy(), picture.double().numpy()


def alarm_threshold(head: FusionHead, image_embeddings: Any, false_alarms: float) -> float:
    """Return the probability of "none of ours" that this share of *image_embeddings* ``[n, 128]``, all ours, pass."""
    present = torch.tensor([[0.0, 1.0]] * len(image_embeddings))
    with torch.inference_mode():
        none = head(torch.zeros_like(image_embeddings), image_embeddings, present)[1]
    return round(float(none.quantile(1 - false_alarms).sigmoid()), 4)
