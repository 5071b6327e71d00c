"""Recordings to embeddings: down the road of a replay, once, through the bundle's own encoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.bundle import TensorSpec
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.features import square_picture
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.replay import recordings
from edge_avsc.stream import Stream
from edge_avsc.training.own_scenes.folder import STILLS
from edge_avsc.types import NS_PER_S, Window
from edge_avsc.video_track import is_black

HOP_S = 0.5
"""From window to window, as a live run has it by default."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What a recording's windows are judged by, float32 each; a row of NaN where a window lacks the modality.

    sound: ``[n, n_audio_features]``. pictures: the mean of each window's pictures, ``[n, n_image_features]``.
    """

    sound: NDArray[float32]
    pictures: NDArray[float32]


class Embedder:
    """Embeds recordings and pictures with a bundle, one after the other, in windows of 1 s every half second."""

    def __init__(self, model: SceneModel) -> None:
        self._model = model
        self._player = Player(model, round(HOP_S * NS_PER_S), on_window=self._keep)
        self._sound: list[NDArray[float32]] = []
        self._pictures: list[NDArray[float32]] = []
        parts = model.bundle.graphs["cpu"]
        self._no_sound = nothing(parts.audio.outputs["audio_embedding"])
        self._no_picture = nothing(parts.image.outputs["image_embedding"])

    def score(self, row: Row) -> Embeddings:
        """Embed one recording; ConfigError where it cannot be read, is too short, or says nothing at all."""
        assert row.audio is not None
        self._sound, self._pictures = [], []
        if row.audio.suffix.lower() in STILLS:
            self._look(row.audio)
        else:
            ((_, stream),) = recordings(row.audio)
            windows = sum(hasattr(output, "scene_label") for output in self._player.play(row.name, stream))
            if not windows:
                raise ConfigError(f"{row.name} is shorter than a window of 1 s; record longer.")
        if not self._sound:
            raise ConfigError(f"{row.name} is black and silent throughout; there is nothing to learn from.")
        return Embeddings(np.stack(self._sound), np.stack(self._pictures))

    def _keep(self, stream: Stream, window: Window, sound: NDArray[float32] | None) -> None:
        if sound is None and window.embeddings is None:
            return
        self._sound.append(self._no_sound if sound is None else sound)
        self._pictures.append(self._no_picture if window.embeddings is None else window.embeddings.mean(axis=0))

    def _look(self, path: Path) -> None:
        # Reading the bytes here lets a name of any characters be opened on every system.
        content = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        if image is None:
            raise ConfigError(f"{path} is no picture that can be read; save it again, or remove it.")
        picture = square_picture(np.ascontiguousarray(image[..., ::-1]), self._model.bundle.image)
        if not is_black(picture):
            self._sound.append(self._no_sound)
            self._pictures.append(self._model.embed_pictures(picture[None])[0])


def nothing(embedding: TensorSpec) -> NDArray[float32]:
    """Return what stands for a modality that a window lacks: NaN, as many as that *embedding* has."""
    return np.full(int(embedding.shape[-1]), np.nan, float32)
