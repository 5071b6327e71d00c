"""Whether a loaded model computes what the float model did when the bundle was made."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc.bundle import Golden
from edge_avsc.errors import ModelError
from edge_avsc.types import Prediction


class Scorer(Protocol):
    """The three parts of a model: see :class:`edge_avsc.model.SceneModel`."""

    def embed_sound(self, columns: NDArray[float32]) -> NDArray[float32]:
        """Return the embedding of one window's columns."""

    def encode_pictures(self, prepared: NDArray[float32]) -> NDArray[float32]:
        """Return the embeddings of normalised pictures."""

    def fuse(self, sound: NDArray[float32] | None, pictures: NDArray[float32] | None) -> Prediction:
        """Return the prediction from embeddings."""


def largest_difference(model: Scorer, folder: Path, golden: Golden) -> float:
    """Return by how much, 0..1, a probability of the golden inputs differs at most from the float model's.

    Raises ModelError when the golden files of the bundle in *folder* cannot be read, or do not fit the model.
    """
    inputs = _arrays(folder / golden.inputs)
    expected = _arrays(folder / golden.outputs)
    try:
        return float(np.abs(_scored(model, inputs) - expected["probabilities"]).max())
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"The golden files of {folder} do not fit its graphs ({error}); restore the bundle."
        ) from error


def _scored(model: Scorer, inputs: dict[str, NDArray[float32]]) -> NDArray[float64]:
    """Return the probabilities ``[states, n, n_labels]`` of *inputs*, each in the states that ``present`` lists."""
    sounds = [model.embed_sound(columns) for columns in inputs["log_mel"]]
    pictures = [model.encode_pictures(picture[None]) for picture in inputs["picture"]]
    return np.array(
        [
            [
                model.fuse(sound if has_sound else None, picture if has_picture else None).probabilities
                for sound, picture in zip(sounds, pictures, strict=True)
            ]
            for has_sound, has_picture in inputs["present"]
        ]
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no archive of arrays")
            file.seek(0)
            with np.load(file) as arrays:
                return dict(arrays)
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read ({error}); restore the bundle.") from error
