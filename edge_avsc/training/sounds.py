"""Teach the audio encoder: the teacher's logit maps on random views of unlabelled sound."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float16, float32, float64, int64
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, kl_div, log_softmax, mse_loss, softmax
from tqdm import tqdm

from edge_avsc.features import LogMel
from edge_avsc.training.classes import LABELS
from edge_avsc.training.schedule import Run
from edge_avsc.training.sound_data import RATE_HZ, Recordings, Views, second, seconds_of
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

BATCH = 64
SHARD = 4000
AT_ONCE = 8  # the teacher's work on so many views stays in a CPU's cache: twice as fast as on 40
LABEL_WEIGHT = 0.2
MAP = (8, 5)  # frequency, time: the size of the student's logit map
SPAN = (AUDIO.columns - 1) * AUDIO.hop_samples + AUDIO.n_fft


@dataclass(frozen=True)
class Lessons:
    """Views and what the teacher makes of them, all float16.

    log_mel: ``[n, 37, 128]``. maps: class logits ``[n, 10, 5 (time), 8 (frequency)]``. features: what the logits are
    read from, ``[n, 168, 5, 8]``. seconds: ``[n]``, int64, of which second of the recordings each is a view.
    """

    log_mel: NDArray[float16]
    maps: NDArray[float16]
    features: NDArray[float16]
    seconds: NDArray[int64]

    def only(self, rows: NDArray[int64]) -> Lessons:
        """Return some of the lessons."""
        return Lessons(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Field:
    """Lessons from labelled recordings, and of each view the class and the fold of its recording, both ``[n]``."""

    lessons: Lessons
    labels: NDArray[int64]
    folds: NDArray[int64]

    def without(self, fold: int | None) -> Field:
        """Return what is not from *fold*; all where it is None."""
        rows = np.arange(len(self.folds)) if fold is None else np.flatnonzero(self.folds != fold)
        return Field(self.lessons.only(rows), self.labels[rows], self.folds[rows])

    def draw(self, random: np.random.Generator, count: int) -> NDArray[int64]:
        """Return the rows of *count* views; each class that is there comes as often as any other."""
        counts = np.bincount(self.labels)
        chances = np.cumsum(1 / counts[self.labels])
        rows = np.searchsorted(chances, random.random(count) * chances[-1])
        return np.asarray(np.minimum(rows, len(self.labels) - 1), int64)


def split(recordings: Recordings, seed: int, kept_out: float = 0.12) -> tuple[Recordings, Recordings]:
    """Return the recordings to train on and those kept out of it."""
    order = np.random.default_rng(seed).permutation(len(recordings.names)).astype(int64)
    border = round(kept_out * len(order))
    return recordings.only(np.sort(order[border:])), recordings.only(np.sort(order[:border]))


def rarity(teacher: SoundTeacher, recordings: Recordings) -> NDArray[float64]:
    """Return a weight for each second that makes the teacher's ten classes about equally frequent."""
    heard = [second(recordings, *where) for where in seconds_of(recordings)]
    starts = tqdm(range(0, len(heard), 256), desc="rarity", mininterval=5.0)
    logits = np.concatenate([class_logits(teacher, np.stack(heard[i : i + 256])) for i in starts]).astype(float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    frequency = shares.mean(0)
    weights = (shares / (frequency + 0.01)).sum(1)
    return np.asarray(np.clip(weights / weights.mean(), 0.05, 10.0), float64)


def lessons(teacher: SoundTeacher, views: Views, folder: Path, *, shards: int, seed: int) -> Lessons:
    """Draw views and ask the teacher, *shards* times SHARD; finished shards in *folder* are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    front_end = LogMel(AUDIO)
    for index in tqdm(range(shards), desc=folder.name, mininterval=5.0):
        path = folder / f"{index:03d}.npz"
        if not path.is_file():
            _draw_shard(teacher, views, front_end, np.random.default_rng([seed, index]), path)
    stored = [np.load(folder / f"{index:03d}.npz") for index in range(shards)]
    return Lessons(*(np.concatenate([s[field.name] for s in stored]) for field in fields(Lessons)))


def _draw_shard(
    teacher: SoundTeacher, views: Views, front_end: LogMel, random: np.random.Generator, path: Path
) -> None:
    drawn: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(Lessons)}
    for _ in range(SHARD // AT_ONCE):
        of, sounds = zip(*(views.draw(random) for _ in range(AT_ONCE)), strict=True)
        starts = random.integers(0, RATE_HZ - SPAN + 1, len(sounds))
        columns = [front_end.columns(s[t : t + SPAN]) for s, t in zip(sounds, starts, strict=True)]
        with torch.inference_mode():
            features = teacher.features(torch.from_numpy(np.stack(sounds)))
            maps = adaptive_avg_pool2d(teacher.feed_forward(features), MAP)
            features = adaptive_avg_pool2d(features, MAP)
        drawn["log_mel"].append(np.stack(columns))
        drawn["maps"].append(maps.movedim(2, 3).numpy())
        drawn["features"].append(features.movedim(2, 3).numpy())
        drawn["seconds"].append(np.array(of, int64))
    part = path.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **{name: _halved(np.concatenate(rows)) for name, rows in drawn.items()})
    part.replace(path)


def _halved(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(float16) if values.dtype == float32 else values


def train(model: Any, data: Lessons, path: Path, *, epochs: float, minutes: float, seed: int) -> None:
    """Train *model* (an AudioClassifier) in place; the run is saved in *path* and resumed from there."""
    steps = round(epochs * len(data.log_mel) / BATCH)
    random, run, scale = _start(model, data, path, lr=1.5e-3, steps=steps, minutes=minutes, seed=seed)
    while run.done() < 1:
        order = random.permutation(len(data.log_mel))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            if run.done() >= 1:
                break
            chosen = order[start : start + BATCH]
            run.learn(_taught(model, data, chosen, scale, random)[0])
    run.finish()


def adapt(
    model: Any,
    data: Lessons,
    field: Field,
    path: Path,
    *,
    steps: int,
    minutes: float,
    seed: int,
) -> None:
    """Fine-tune *model* in place on lessons from the *field*, half of each batch, and *data* that it knows already.

    All classes are drawn alike, and the labels are heeded as if all were there (logit adjustment, Menon et al. 2021),
    so that what is rare or absent in the field does not become unlikely. They weigh little beside the teacher's word,
    since a few places say little about a scene.
    """
    random, run, scale = _start(model, data, path, lr=8e-4, steps=steps, minutes=minutes, seed=seed)
    there = np.bincount(field.labels, minlength=len(LABELS)) > 0
    absent = torch.log(torch.from_numpy(np.where(there, 1.0, 0.01)).float())
    wanted = torch.from_numpy(field.labels)
    while run.done() < 1:
        known = random.integers(0, len(data.log_mel), BATCH // 2)
        new = field.draw(random, BATCH // 2)
        inputs = _joined(data.only(known), field.lessons.only(new))
        loss, logits = _taught(model, inputs, np.arange(BATCH), scale, random)
        heeded = cross_entropy(logits[BATCH // 2 :] + absent, wanted[new], label_smoothing=0.1)
        run.learn(loss + LABEL_WEIGHT * heeded)
    run.finish()


def _start(
    model: Any, data: Lessons, path: Path, *, lr: float, steps: int, minutes: float, seed: int
) -> tuple[np.random.Generator, Run, Any]:
    torch.manual_seed(seed)
    model.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.02, fused=True)
    run = Run(model, optimiser, path, steps=steps, minutes=minutes)
    model.train()
    scale = data.features[:4000].astype(float32).std((0, 2, 3), keepdims=True) + 1e-2
    return np.random.default_rng([seed, run.step]), run, torch.from_numpy(scale)


def _joined(one: Lessons, other: Lessons) -> Lessons:
    return Lessons(*(np.concatenate([getattr(one, f.name), getattr(other, f.name)]) for f in fields(Lessons)))


def _taught(
    model: Any, data: Lessons, rows: NDArray[int64], scale: Any, random: np.random.Generator
) -> tuple[Any, Any]:
    """Return how far *model* is from the teacher on some lessons, and its logits there.

    Maps before pooling say more than what is pooled; the teacher's features say more than its logits (hints, Romero et
    al. 2015).
    """
    log_mel, targets, features = (values[rows].astype(float32) for values in (data.log_mel, data.maps, data.features))
    # A little noise, so that no view looks the same twice.
    log_mel += random.standard_normal(log_mel.shape, float32) * float32(0.05)
    maps, hints = model.dense(torch.from_numpy(log_mel))
    logits, wanted = maps.mean((2, 3)), torch.from_numpy(targets).mean((2, 3))
    soft = kl_div(log_softmax(logits / 2, 1), softmax(wanted / 2, 1), reduction="batchmean") * 4
    hard = kl_div(log_softmax(logits, 1), softmax(wanted, 1), reduction="batchmean")
    near = mse_loss(maps, torch.from_numpy(targets))
    hint = mse_loss(hints, torch.from_numpy(features) / scale)
    return 0.2 * near + 0.5 * soft + hard + 0.5 * hint, logits
