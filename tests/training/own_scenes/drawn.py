"""Folders of drawn scenes: each label has a tone and a colour of its own, each source a shade of both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.training.own_scenes.embedding import Embeddings
from recordings import Pictures, Sound, write_recording

TONES_HZ = {"cellar": 180.0, "garden": 900.0, "kitchen": 3500.0, "park": 6000.0, "none": 60.0}
COLOURS = {
    "cellar": (40, 30, 160),
    "garden": (30, 170, 40),
    "kitchen": (220, 200, 60),
    "park": (200, 60, 200),
    "none": (128, 128, 128),
}


def sound(label: str, source: int, seconds: float = 3.0) -> Sound:
    random = np.random.default_rng(source)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    tone = np.sin(2 * np.pi * TONES_HZ[label] * (1 + 0.01 * source) * time_s)
    samples = 0.3 * tone + 0.02 * random.standard_normal(len(time_s))
    return Sound(rate_hz=16_000, channels=1, samples=samples.astype(float32)[:, None])


def pictures(label: str, source: int) -> Pictures:
    return Pictures(width=32, height=32, fps=10, draw=lambda frame: image(label, source))


def image(label: str, source: int) -> NDArray[uint8]:
    random = np.random.default_rng(source)
    drawn = np.array(COLOURS[label]) + random.normal(0, 12, (32, 32, 3)) + 4 * source
    return np.clip(drawn, 0, 255).astype(uint8)


def write_scenes(folder: Path, labels: tuple[str, ...] = ("cellar", "garden", "kitchen"), sources: int = 3) -> Path:
    """Write recordings of both, of sound alone and of pictures alone, and stills, of each label and source."""
    for label in labels:
        for source in range(sources):
            inside = folder / label / f"place{source}"
            inside.mkdir(parents=True)
            write_recording(inside / "both.mkv", 3.0, sound=sound(label, source), pictures=pictures(label, source))
            write_recording(inside / "sound.wav", 3.0, sound=sound(label, source), pictures=None)
            write_recording(inside / "pictures.mkv", 3.0, sound=None, pictures=pictures(label, source))
            cv2.imwrite(str(inside / "still.png"), image(label, source))
    return folder


def taught(recordings: int = 40) -> list[Embeddings]:
    """Return embeddings for a tiny bundle, far enough apart that its head is sure of many."""
    random = np.random.default_rng(3)
    return [Embeddings(*random.normal(0, 3, (2, 20, 8)).astype(float32)) for _ in range(recordings)]
