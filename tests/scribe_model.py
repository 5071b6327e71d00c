"""A stand-in for SceneModel that writes down what it was given: samples and pictures that name themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.bundle import Bundle
from edge_avsc.model import SceneModel
from edge_avsc.types import NS_PER_MS, AudioChunk, Prediction, VideoFrame

RATE_HZ = 16000
STEP = 2.0**-18
"""Sample n has the value (n + 1) * STEP: exact in float32 for more than ten minutes, and never silence for long."""


class ScribeLogMel:
    """Its columns say which samples they were made of."""

    def column(self, samples: NDArray[float32], side: NDArray[float32] | None = None) -> NDArray[float32]:
        """Return first and last sample's number; a column of samples that do not belong together is an error."""
        assert side is None
        numbers = samples.astype(np.float64) / STEP - 1
        assert (np.diff(numbers) == 1).all(), "these samples are no neighbours"
        column = np.zeros(16, float32)
        column[:2] = numbers[0], numbers[-1]
        return column


class ScribeModel:
    """Notes the columns' first samples and the pictures' milliseconds of each window that it scores."""

    def __init__(self, bundle: Bundle, max_batch: int = 1) -> None:
        self.bundle = bundle
        self.labels = bundle.labels
        self.log_mel = ScribeLogMel()
        self.backend = SimpleNamespace(max_batch=max_batch)
        self.fallback = None
        self.scored: list[tuple[list[int] | None, list[int] | None]] = []
        self.embedded: list[int] = []

    def as_model(self) -> SceneModel:
        """Return itself as what the pipeline takes."""
        return cast(SceneModel, self)

    def embed_pictures(self, pictures: NDArray[uint8]) -> NDArray[float32]:
        """Return the pictures' milliseconds."""
        assert 1 <= len(pictures) <= self.backend.max_batch
        b = pictures[:, 0, 0, :].astype(np.int64)
        times_ms = b[:, 0] * 65536 + b[:, 1] * 256 + b[:, 2]
        self.embedded.extend(times_ms.tolist())
        return times_ms.astype(float32)[:, None]

    def embed_sound(self, columns: NDArray[float32]) -> NDArray[float32]:
        """Return the numbers of the columns' first samples."""
        assert columns.shape == (37, 16)
        assert (columns[:, 1] - columns[:, 0] == 511).all()
        return columns[:, 0]

    def fuse(self, sound: NDArray[float32] | None, pictures: NDArray[float32] | None) -> Prediction:
        """Note what the window is made of."""
        self.scored.append(
            (
                None if sound is None else sound.astype(int).tolist(),
                None if pictures is None else pictures[:, 0].astype(int).tolist(),
            )
        )
        modality = ("av" if pictures is not None else "a") if sound is not None else "v"
        n = len(self.labels)
        return Prediction((1.0 / n,) * n, 0.1, modality)  # type: ignore[arg-type]


def named_sound(first: int, count: int) -> NDArray[float32]:
    """Return samples ``[count, 1]`` that carry their numbers from *first* on."""
    return ((np.arange(first, first + count) + 1) * STEP).astype(float32)[:, None]


def named_chunk(first: int, count: int, *, index: int | None = None) -> AudioChunk:
    """Return a chunk whose samples are where their numbers say, at 16 samples a millisecond."""
    time_ns = first * NS_PER_MS // 16
    return AudioChunk(named_sound(first, count), RATE_HZ, first if index is None else index, time_ns)


def named_frame(time_ms: int) -> VideoFrame:
    """Return a frame whose picture carries its time in milliseconds."""
    image = np.full((16, 16, 3), 200, uint8)
    image[0, 0] = time_ms // 65536, time_ms // 256 % 256, time_ms % 256
    return VideoFrame(time_ms * NS_PER_MS, None, image)
