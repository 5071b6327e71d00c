"""Teach the audio encoder: the teacher's logit maps on random views of unlabelled sound."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float16, float32, float64, int64
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, kl_div, log_softmax, mse_loss, softmax
from tqdm import tqdm

from edge_avsc.features import mel_filter_bank
from edge_avsc.training import team
from edge_avsc.training.classes import LABELS
from edge_avsc.training.device import BATCHES_AT_ONCE, DEVICE, RATE_FACTOR, half_precision, made_ahead
from edge_avsc.training.schedule import Run
from edge_avsc.training.sound_data import RATE_HZ, Recordings, Views, second, seconds_of
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

BATCH = 64 * BATCHES_AT_ONCE
SHARD = 4000
AT_ONCE = 8 * BATCHES_AT_ONCE  # the teacher's work on eight views stays in a CPU's cache: twice as fast as on 40
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
    paths = [folder / f"{index:03d}.npz" for index in range(shards)]
    missing = team.share([index for index, path in enumerate(paths) if not path.is_file()])
    orders = [(index, draw) for index in missing for draw in range(SHARD // AT_ONCE)]
    drawn = made_ahead(_Draws(views, seed), orders)
    for index in tqdm(missing, desc=folder.name, mininterval=5.0):
        parts = [_taught_draw(teacher, *next(drawn)) for _ in range(SHARD // AT_ONCE)]
        part = paths[index].with_suffix(".part.npz")
        np.savez(
            part,
            allow_pickle=False,
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Lessons)},
        )
        part.replace(paths[index])
    team.wait()
    stored = [np.load(path) for path in paths]
    return Lessons(*(np.concatenate([s[field.name] for s in stored]) for field in fields(Lessons)))


@dataclass(frozen=True)
class _Draws:
    views: Views
    seed: int

    def __getitem__(self, order: tuple[int, int]) -> tuple[NDArray[float32], NDArray[int64], NDArray[int64]]:
        """Return the sounds ``[AT_ONCE, 32000]`` of a shard's draw, where in them to begin, and of which seconds."""
        random = np.random.default_rng([self.seed, *order])
        of, sounds = zip(*(self.views.draw(random) for _ in range(AT_ONCE)), strict=True)
        return np.stack(sounds), random.integers(0, RATE_HZ - SPAN + 1, AT_ONCE), np.array(of, int64)


def _taught_draw(teacher: SoundTeacher, sounds: Any, starts: Any, of: Any) -> Lessons:
    with torch.inference_mode():
        sounds = sounds.to(DEVICE)
        columns = log_mel(torch.stack([sounds[i, t : t + SPAN] for i, t in enumerate(starts.tolist())]))
        features = teacher.to(DEVICE).features(sounds)
        maps = adaptive_avg_pool2d(teacher.feed_forward(features), MAP).movedim(2, 3)
        features = adaptive_avg_pool2d(features, MAP).movedim(2, 3)
        columns, maps, features = (one.half().cpu().numpy() for one in (columns, maps, features))
    return Lessons(columns, maps, features, of.numpy())


@cache
def _bank() -> tuple[Any, Any]:
    window = torch.hann_window(AUDIO.n_fft, periodic=True, device=DEVICE)
    return window, torch.from_numpy(mel_filter_bank(AUDIO)).to(DEVICE)


def log_mel(sounds: Any) -> Any:
    """Return the columns ``[n, 37, 128]`` of tensors ``[n, SPAN]``, as ``LogMel`` makes them one by one."""
    (window, bank), norm = _bank(), AUDIO.normalisation
    spectrum = torch.fft.rfft(sounds.unfold(1, AUDIO.n_fft, AUDIO.hop_samples) * window)
    power = spectrum.real.square() + spectrum.imag.square()
    return (torch.log(power @ bank + norm.floor) - norm.mean) / norm.scale


def train(model: Any, data: Lessons, path: Path, *, epochs: float, minutes: float, seed: int) -> None:
    """Train *model* (an AudioClassifier) in place; the run is saved in *path* and resumed from there."""
    steps = round(epochs * len(data.log_mel) / BATCH)
    random, run, scale = _start(model, data, path, lr=1.5e-3, steps=steps, minutes=minutes, seed=seed)
    known = _on_device(data)
    while run.done() < 1:
        order = random.permutation(len(data.log_mel))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            if run.done() >= 1:
                break
            run.learn(_taught(model, _rows(known, order[start : start + BATCH]), scale)[0])
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
    began_with: str,
) -> None:
    """Fine-tune *model* in place on lessons from the *field*, half of each batch, and *data* that it knows already.

    All classes are drawn alike, and the labels are heeded as if all were there (logit adjustment, Menon et al. 2021),
    so that what is rare or absent in the field does not become unlikely. They weigh little beside the teacher's word,
    since a few places say little about a scene.
    """
    random, run, scale = _start(
        model, data, path, lr=8e-4, steps=steps, minutes=minutes, seed=seed, began_with=began_with
    )
    there = np.bincount(field.labels, minlength=len(LABELS)) > 0
    absent = torch.log(torch.from_numpy(np.where(there, 1.0, 0.01)).float()).to(DEVICE)
    wanted = torch.from_numpy(field.labels).to(DEVICE)
    known, new = _on_device(data), _on_device(field.lessons)
    while run.done() < 1:
        rows = field.draw(random, BATCH // 2)
        halves = _rows(known, random.integers(0, len(data.log_mel), BATCH // 2)), _rows(new, rows)
        loss, logits = _taught(model, tuple(torch.cat(pair) for pair in zip(*halves, strict=True)), scale)
        heeded = cross_entropy(logits[BATCH // 2 :] + absent, wanted[_indices(rows)], label_smoothing=0.1)
        run.learn(loss + LABEL_WEIGHT * heeded)
    run.finish()


def _start(
    model: Any,
    data: Lessons,
    path: Path,
    *,
    lr: float,
    steps: int,
    minutes: float,
    seed: int,
    began_with: str = "nothing",
) -> tuple[np.random.Generator, Run, Any]:
    torch.manual_seed(seed + team.RANK)
    model.to(DEVICE, memory_format=torch.channels_last)  # a quarter faster on a CPU
    # A team's steps are fewer and larger.
    rate, steps = lr * RATE_FACTOR * team.SIZE**0.5, round(steps / team.SIZE)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02, fused=True)
    run = Run(model, optimiser, path, steps=steps, minutes=minutes, began_with=began_with)
    model.train()
    scale = data.features[:4000].astype(float32).std((0, 2, 3), keepdims=True) + 1e-2
    return np.random.default_rng([seed, run.step, team.RANK]), run, torch.from_numpy(scale).to(DEVICE)


def _on_device(data: Lessons) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(values).to(DEVICE) for values in (data.log_mel, data.maps, data.features))


def _indices(rows: NDArray[int64]) -> Any:
    return torch.from_numpy(rows).to(DEVICE)


def _rows(values: tuple[Any, ...], rows: NDArray[int64]) -> tuple[Any, ...]:
    chosen = _indices(rows)
    return tuple(one[chosen].float() for one in values)


def _taught(model: Any, lesson: tuple[Any, ...], scale: Any) -> tuple[Any, Any]:
    """Return how far *model* is from the teacher on a lesson, its log-mel, maps and features, and its logits there.

    Maps before pooling say more than what is pooled; the teacher's features say more than its logits (hints, Romero et
    al. 2015).
    """
    log_mel, targets, features = lesson
    # A little noise, so that no view looks the same twice.
    with half_precision():
        maps, hints = model.dense(log_mel + 0.05 * torch.randn_like(log_mel))
    maps = maps.float()
    logits, wanted = maps.mean((2, 3)), targets.mean((2, 3))
    soft = kl_div(log_softmax(logits / 2, 1), softmax(wanted / 2, 1), reduction="batchmean") * 4
    hard = kl_div(log_softmax(logits, 1), softmax(wanted, 1), reduction="batchmean")
    near = mse_loss(maps, targets)
    hint = mse_loss(hints.float(), features / scale)
    return 0.2 * near + 0.5 * soft + hard + 0.5 * hint, logits
