"""Labelled recordings in TAU layout, and single clips, cut into the windows that the product would score."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import float32, int64
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.audio_track import SILENT_PEAK
from edge_avsc.errors import ConfigError
from edge_avsc.features import LogMel, normalised_picture, square_picture
from edge_avsc.training.classes import LABELS
from edge_avsc.training.sound_data import RATE_HZ, read_sound
from edge_avsc.training.spec import AUDIO, IMAGE


@dataclass(frozen=True)
class Windows:
    """Windows of 1 s that do not overlap.

    log_mel: ``[n, 36, 256]``. pictures: ``[n, 2, 3, size_px, size_px]``, or None where the recordings have none.
    labels: ``[n]``, index in LABELS. clips: ``[n]``, index in names. names: of the recordings, without suffix.
    """

    log_mel: NDArray[float32]
    pictures: NDArray[float32] | None
    labels: NDArray[int64]
    clips: NDArray[int64]
    names: list[str]


def read_windows(folder: Path, split: str, cache: Path) -> Windows:
    """Read all windows of ``folder/evaluation_setup/split``; *cache* (.npz) keeps them."""
    if not cache.is_file():
        _cut(folder, split, cache)
    stored = np.load(cache)
    pictures, names = stored["pictures"], [str(name) for name in stored["names"]]
    return Windows(stored["log_mel"], pictures if len(pictures) else None, stored["labels"], stored["clips"], names)


def _cut(folder: Path, split: str, cache: Path) -> None:
    log_mel, pictures, labels, clips, names = [], [], [], [], []
    with (folder / "evaluation_setup" / split).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for clip, row in enumerate(tqdm(rows, desc=split, mininterval=5.0)):
        sound = window_columns(read_sound(folder / row["filename_audio"]))
        if row["filename_video"]:
            seen = window_pictures(folder / row["filename_video"])
            sound = sound[: len(seen)]
            pictures.append(seen[: len(sound)])
        log_mel.append(sound)
        labels += [LABELS.index(row["scene_label"])] * len(sound)
        clips += [clip] * len(sound)
        names.append(Path(row["filename_audio"]).stem)
    np.savez(
        cache,
        log_mel=np.concatenate(log_mel),
        pictures=np.concatenate(pictures) if pictures else np.empty(0, float32),
        labels=np.array(labels),
        clips=np.array(clips),
        names=np.array(names),
    )


@dataclass(frozen=True)
class Clip:
    """A single recording: ``log_mel`` ``[n, 36, 256]`` and ``pictures`` ``[m, 2, 3, size_px, size_px]``, or None."""

    name: str
    scene: str
    log_mel: NDArray[float32] | None
    pictures: NDArray[float32] | None


def read_clips(folder: Path) -> list[Clip]:
    """Read the clips that ``folder/labels.csv`` (tab-separated: file, scene_label) lists.

    Raises ConfigError for one that has neither sound nor pictures.
    """
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    clips = []
    for row in tqdm(rows, desc="clips", mininterval=5.0):
        kinds = _kinds(folder / row["file"])
        sound = read_sound(folder / row["file"]) if "audio" in kinds else None
        # Digital silence is no sound, in the product either.
        heard = None if sound is None or np.abs(sound).max() < SILENT_PEAK else window_columns(sound)
        seen = window_pictures(folder / row["file"]) if "video" in kinds else None
        if heard is None and seen is None:
            raise ConfigError(f"{folder / row['file']} is silent and has no pictures; take it out of labels.csv.")
        clips.append(Clip(row["file"], row["scene_label"], heard, seen))
    return clips


def _kinds(path: Path) -> set[str]:
    import av

    with av.open(str(path)) as container:
        return {stream.type for stream in container.streams}


def window_columns(sound: NDArray[float32]) -> NDArray[float32]:
    """Return the log-mel columns of each whole second of *sound* ``[t]``: ``[n, 36, 256]``."""
    columns = LogMel(AUDIO).columns(sound)
    step = RATE_HZ // AUDIO.hop_samples
    windows = len(sound) // RATE_HZ
    return np.stack([columns[k * step : k * step + AUDIO.columns] for k in range(windows)])


def window_pictures(path: Path) -> NDArray[float32]:
    """Return the two wanted pictures of each whole second of a video: ``[n, 2, 3, size_px, size_px]``."""
    import av

    pictures: list[NDArray[float32]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= (len(pictures) + 0.5) / IMAGE.frames_per_s:
                square = square_picture(frame.to_ndarray(format="rgb24"), IMAGE)
                pictures.append(normalised_picture(square, IMAGE))
    whole = len(pictures) // IMAGE.frames_per_s
    shape = (whole, IMAGE.frames_per_s, 3, IMAGE.size_px, IMAGE.size_px)
    return np.stack(pictures[: whole * IMAGE.frames_per_s]).reshape(shape)
