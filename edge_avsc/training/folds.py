"""Cross-validation by location: whoever is tested somewhere has learnt nothing there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import int64
from numpy.typing import NDArray

from edge_avsc.evaluation.datasets import place_of

FOLDS = 5


def folds_of(names: Sequence[str]) -> NDArray[int64]:
    """Return the fold of each recording, 0..FOLDS - 1; all of a location are in one.

    Locations are dealt out one by one, scene after scene, so that each fold has about as many of each scene.
    """
    scene = {place_of(name)[1]: name.split("-")[0] for name in sorted(names, reverse=True)}
    dealt = sorted(scene, key=lambda location: (scene[location], location))
    fold = {location: i % FOLDS for i, location in enumerate(dealt)}
    return np.array([fold[place_of(name)[1]] for name in names], int64)
