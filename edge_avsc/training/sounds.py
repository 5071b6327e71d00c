"""Teach the audio encoder: the teacher's logit maps on random views of unlabelled sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float32, float64, int64
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d, kl_div, log_softmax, mse_loss, softmax
from tqdm import tqdm

from edge_avsc.features import LogMel
from edge_avsc.training.schedule import Run
from edge_avsc.training.sound_data import Recordings, Views, second, seconds_of
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import SoundTeacher, class_logits

BATCH = 64
SHARD = 4000
MAP = (8, 5)  # frequency, time: the size of the student's logit map
SPAN = (AUDIO.columns - 1) * AUDIO.hop_samples + AUDIO.n_fft


@dataclass(frozen=True)
class Lessons:
    """Views and what the teacher says of them: ``log_mel`` ``[n, 37, 128]`` and ``maps`` ``[n, 10, 5, 8]``, float32."""

    log_mel: NDArray[float32]
    maps: NDArray[float32]


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
    return Lessons(
        np.concatenate([s["log_mel"] for s in stored]).astype(float32),
        np.concatenate([s["maps"] for s in stored]).astype(float32),
    )


def _draw_shard(
    teacher: SoundTeacher, views: Views, front_end: LogMel, random: np.random.Generator, path: Path
) -> None:
    log_mel, maps = [], []
    for _ in range(SHARD // 40):
        sounds = np.stack([views.draw(random) for _ in range(40)])
        starts = random.integers(0, sounds.shape[1] - SPAN + 1, len(sounds))
        log_mel.append(np.stack([front_end.columns(s[t : t + SPAN]) for s, t in zip(sounds, starts, strict=True)]))
        with torch.inference_mode():
            pooled = adaptive_avg_pool2d(teacher(torch.from_numpy(sounds)), MAP)
        maps.append(pooled.movedim(2, 3).numpy())
    part = path.with_suffix(".part.npz")
    np.savez(part, log_mel=np.concatenate(log_mel).astype(np.float16), maps=np.concatenate(maps).astype(np.float16))
    part.replace(path)


def train(model: Any, data: Lessons, path: Path, *, epochs: float, minutes: float, seed: int) -> None:
    """Train *model* (an AudioClassifier) in place; the run is saved in *path* and resumed from there."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=0.02)
    run = Run(model, optimiser, path, steps=round(epochs * len(data.log_mel) / BATCH), minutes=minutes)
    model.train()
    while run.done() < 1:
        order = random.permutation(len(data.log_mel))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            if run.done() >= 1:
                break
            chosen = order[start : start + BATCH]
            inputs = torch.from_numpy(_masked(data.log_mel[chosen], random))
            run.learn(_loss(model.dense(inputs), torch.from_numpy(data.maps[chosen])))
    run.finish()


def _masked(log_mel: NDArray[float32], random: np.random.Generator) -> NDArray[float32]:
    """Add a little noise, so that no view looks the same twice."""
    return np.asarray(log_mel + random.standard_normal(log_mel.shape, float32) * float32(0.05), float32)


def _loss(maps: Any, targets: Any) -> Any:
    logits, wanted = maps.mean((2, 3)), targets.mean((2, 3))
    soft = kl_div(log_softmax(logits / 2, 1), softmax(wanted / 2, 1), reduction="batchmean") * 4
    hard = kl_div(log_softmax(logits, 1), softmax(wanted, 1), reduction="batchmean")
    return 0.2 * mse_loss(maps, targets) + 0.5 * soft + hard
