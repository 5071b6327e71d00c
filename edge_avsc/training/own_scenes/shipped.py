"""What the bundle that is built upon says of a folder's windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.judging import STATES
from edge_avsc.training.own_scenes.windows import Windows


def shipped_words(model: SceneModel, windows: Windows) -> Mapping[str, NDArray[float64]]:
    """Return, for each state, probabilities ``[n, n_labels]``; NaN where it cannot be."""
    sound, pictures = windows.sound.astype(float32), windows.pictures.astype(float32)
    words = {}
    for state in STATES:
        probabilities = np.full((len(sound), len(model.labels)), np.nan)
        for n in np.flatnonzero(windows.has(state)).tolist():
            said = model.fuse(sound[n] if "a" in state else None, pictures[n][None] if "v" in state else None)
            probabilities[n] = said.probabilities
        words[state] = probabilities
    return words
