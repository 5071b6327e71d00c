"""Teach the audio encoder: each of its parts what the teacher's does, on random views of unlabelled sound."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float16, float32, float64, int64
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, kl_div, log_softmax, mse_loss, softmax
from tqdm import tqdm

from edge_avsc.features import mel_filter_bank
from edge_avsc.training import team
from edge_avsc.training.classes import LABELS
from edge_avsc.training.device import (
    BATCHES_AT_ONCE,
    DEVICE,
    HAS_FLOAT16,
    RATE_FACTOR,
    finer_half_precision,
    half_precision,
    made_ahead,
)
from edge_avsc.training.schedule import Run
from edge_avsc.training.sound_data import RATE_HZ, Recordings, Views, second, seconds_of
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

BATCH = 32 * BATCHES_AT_ONCE
SHARD = 4000
AT_ONCE = 8 * BATCHES_AT_ONCE  # the teacher's work on eight views stays in a CPU's cache: twice as fast as on 40
LABEL_WEIGHT = 0.2
APART = 0.25  # of the time
SPAN = (AUDIO.columns - 1) * AUDIO.hop_samples + AUDIO.n_fft
START = (RATE_HZ - SPAN) // 2  # in the teacher's second


@dataclass(frozen=True)
class Lessons:
    """Views and what the teacher makes of them.

    log_mel: float16 ``[n, 36, 256]``. heard: the teacher's own log-mel, float16 ``[n, 256, 64]``. said: its class
    logits ``[n, 10]``. seconds: ``[n]``, of which second of the recordings each is a view.
    """

    log_mel: NDArray[float16]
    heard: NDArray[float16]
    said: NDArray[float32]
    seconds: NDArray[int64]

    def only(self, rows: NDArray[int64]) -> Lessons:
        """Return some of the lessons."""
        return Lessons(*(getattr(self, field.name)[rows] for field in fields(self)))

    def and_then(self, more: Lessons) -> Lessons:
        """Return these lessons and *more*."""
        return Lessons(*(np.concatenate([getattr(one, f.name) for one in (self, more)]) for f in fields(self)))


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


def lessons(
    teacher: SoundTeacher, views: Views, folder: Path, *, shards: int, seed: int, shard: int = SHARD
) -> Lessons:
    """Draw views and ask the teacher, *shards* times *shard*; finished ones in *folder* are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:03d}.npz" for index in range(shards)]
    missing = team.share([index for index, path in enumerate(paths) if not path.is_file()])
    orders = [(index, draw) for index in missing for draw in range(shard // AT_ONCE)]
    drawn = made_ahead(_Draws(views, seed), orders)
    for index in tqdm(missing, desc=folder.name, mininterval=5.0):
        parts = [_taught_draw(teacher, *next(drawn)) for _ in range(shard // AT_ONCE)]
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

    def __getitem__(self, order: tuple[int, int]) -> tuple[NDArray[float32], NDArray[int64]]:
        """Return the sounds ``[AT_ONCE, 32000]`` of a shard's draw, and of which seconds they are."""
        random = np.random.default_rng([self.seed, *order])
        of, sounds = zip(*(self.views.draw(random) for _ in range(AT_ONCE)), strict=True)
        return np.stack(sounds), np.array(of, int64)


def _taught_draw(teacher: SoundTeacher, sounds: Any, of: Any) -> Lessons:
    with torch.inference_mode():
        sounds = sounds.to(DEVICE)
        columns = log_mel(sounds[:, START : START + SPAN])
        heard = teacher.to(DEVICE).hear(sounds)
        said = teacher.maps(heard)[-1].mean((2, 3))
    return Lessons(columns.half().cpu().numpy(), heard.half().cpu().numpy(), said.cpu().numpy(), of.numpy())


@cache
def _bank() -> tuple[Any, Any]:
    window = torch.hann_window(AUDIO.n_fft, periodic=True, device=DEVICE)
    return window, torch.from_numpy(mel_filter_bank(AUDIO)).to(DEVICE)


def log_mel(sounds: Any) -> Any:
    """Return the columns ``[n, 36, 256]`` of tensors ``[n, SPAN]``, as ``LogMel`` makes them one by one."""
    (window, bank), norm = _bank(), AUDIO.normalisation
    spectrum = torch.fft.rfft(sounds.unfold(1, AUDIO.n_fft, AUDIO.hop_samples) * window)
    power = spectrum.real.square() + spectrum.imag.square()
    return (torch.log(power @ bank + norm.floor) - norm.mean) / norm.scale


def train(
    model: Any, data: Lessons, teacher: SoundTeacher, path: Path, *, epochs: float, minutes: float, seed: int
) -> None:
    """Train *model* (an AudioClassifier) in place, its parts apart for a quarter of the time, then together.

    The runs are saved in *path* and beside it, and resumed from there. Apart, each part is given what the teacher's own
    gave to its counterpart: so it learns in minutes what takes the whole hours, and together they have little left to
    mend (the teacher's features as hints: Romero et al. 2015, "FitNets").
    """
    steps = epochs * len(data.log_mel) / BATCH
    first, said = apart(path), "nothing"
    courses = ((first, APART, 4e-3), (path, 1 - APART, 2e-3))
    for where, share, rate in courses[path.is_file() :]:  # begun together, they stay so, however much longer
        length = {"steps": round(share * steps), "minutes": share * minutes}
        lesson, run, random = _start(model, data, teacher, where, length, lr=rate, seed=seed, began_with=said)
        while run.done() < 1:
            order = random.permutation(len(data.log_mel))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                if run.done() >= 1:
                    break
                run.learn(lesson(data.only(order[start : start + BATCH]), where == first)[0])
        run.finish()
        said = f"what {run.step} steps of its parts apart taught"


def apart(path: Path) -> Path:
    """Return where the run of parts apart is saved that goes before the run *path*."""
    return path.with_stem(f"{path.stem}_apart")


def adapt(
    model: Any,
    data: Lessons,
    field: Field,
    teacher: SoundTeacher,
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
    length = {"steps": steps, "minutes": minutes}
    lesson, run, random = _start(model, data, teacher, path, length, lr=8e-4, seed=seed, began_with=began_with)
    there = np.bincount(field.labels, minlength=len(LABELS)) > 0
    absent = torch.log(torch.from_numpy(np.where(there, 1.0, 0.01)).float()).to(DEVICE)
    wanted = torch.from_numpy(field.labels).to(DEVICE)
    while run.done() < 1:
        rows = field.draw(random, BATCH // 2)
        known = data.only(random.integers(0, len(data.log_mel), BATCH // 2))
        loss, logits = lesson(known.and_then(field.lessons.only(rows)))
        new = logits[len(known.said) :]
        heeded = cross_entropy(new + absent, wanted[torch.from_numpy(rows).to(DEVICE)], label_smoothing=0.1)
        run.learn(loss + LABEL_WEIGHT * heeded)
    run.finish()


def _start(
    model: Any,
    data: Lessons,
    teacher: SoundTeacher,
    path: Path,
    length: dict[str, Any],
    *,
    lr: float,
    seed: int,
    began_with: str,
) -> tuple[Lesson, Run, np.random.Generator]:
    torch.manual_seed(seed + team.RANK)
    model.to(DEVICE, memory_format=torch.channels_last)  # a quarter faster on a CPU
    # A team's steps are fewer and larger.
    rate, steps = lr * RATE_FACTOR * team.SIZE**0.5, round(length["steps"] / team.SIZE)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02, fused=True)
    run = Run(model, optimiser, path, steps=steps, minutes=length["minutes"], began_with=began_with)
    model.train()
    return Lesson(model, teacher.to(DEVICE), data), run, np.random.default_rng([seed, run.step, team.RANK])


class Lesson:
    """How far a model is from the teacher on some lessons."""

    def __init__(self, model: Any, teacher: SoundTeacher, data: Lessons) -> None:
        # A copy, since this layout makes float16 a third faster, but float32, which others ask in, three times slower.
        layout = torch.channels_last if HAS_FLOAT16 else torch.contiguous_format
        self._model, self._teacher = model, deepcopy(teacher).to(memory_format=layout)
        # What is asked of each part weighs the same, however large its values are.
        self._variances = [one.var((0, 2, 3)).mean() for one in self.asked(data.heard[:256])[:-1]]

    def __call__(self, lessons: Lessons, are_apart: bool = False) -> tuple[Any, Any]:
        """Return the loss and the model's logits; *are_apart*: each part is given the teacher's own maps.

        Maps before pooling say more than what is pooled.
        """
        *asked, logit_map = self.asked(lessons.heard)
        said = torch.from_numpy(lessons.said).to(DEVICE)
        log_mel = torch.from_numpy(lessons.log_mel).to(DEVICE).float()
        # A little noise, so that no view looks the same twice.
        with half_precision():
            *found, found_map = self._model.maps(
                log_mel + 0.02 * torch.randn_like(log_mel), asked if are_apart else None
            )
        pairs = zip(found, asked, self._variances, strict=True)
        hints = sum(mse_loss(one.float(), wanted) / variance for one, wanted, variance in pairs)
        found_map = found_map.float()
        logits = found_map.mean((2, 3))
        soft = kl_div(log_softmax(logits / 2, 1), softmax(said / 2, 1), reduction="batchmean") * 4
        hard = kl_div(log_softmax(logits, 1), softmax(said, 1), reduction="batchmean")
        return hints + 0.2 * mse_loss(found_map, logit_map) + 0.5 * soft + hard, logits

    def asked(self, heard: NDArray[float16]) -> list[Any]:
        """Return the teacher's maps ``[n, channels, 9 (time), frequency]``, at the times of the model's own."""
        with torch.no_grad():
            starts = range(0, len(heard), AT_ONCE)
            some = (torch.from_numpy(heard[i : i + AT_ONCE]).to(DEVICE).float() for i in starts)
            with finer_half_precision():
                parts = [self._teacher.maps(one) for one in some]
            return [_at_our_times(torch.cat(maps).float()) for maps in zip(*parts, strict=True)]


def _at_our_times(maps: Any) -> Any:
    """Turn the teacher's ``[n, channels, frequency, time]`` into ``[n, channels, 9, frequency]``, between its steps."""
    return (maps @ between(maps.shape[3])).transpose(2, 3)


@cache
def between(steps: int) -> Any:
    """Return the weights ``[steps, 9]`` by which *steps* of the teacher make ours: each lies between two of them."""
    # The centres of steps in samples: its columns of 500 lie around their times, ours begin at theirs.
    ours = START + AUDIO.n_fft / 2 + torch.arange(-(-AUDIO.columns // 4)) * 4.0 * AUDIO.hop_samples
    theirs = torch.arange(steps) * (RATE_HZ / steps)
    return (1 - (ours[None] - theirs[:, None]).abs() * steps / RATE_HZ).clamp(min=0).to(DEVICE)
