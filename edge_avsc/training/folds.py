"""Cross-validation by location: whoever is tested somewhere has learnt nothing there."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy import int64
from numpy.typing import NDArray

FOLDS = 5
# scene-city-location-segment, as TAU names recordings; elsewhere the location begins with letters.
_PLACE = re.compile(r"^[a-z_]+-(?P<city>[a-z]+)-(?P<location>\d+|[a-z]+)[\d]*-")


def location_of(name: str) -> str:
    """Return city and location of a recording called *name* (no suffix); the name itself where it tells neither.

    The scene is no part of it: sound and pictures of one location may carry different scenes' names.
    """
    found = _PLACE.match(name)
    return f"{found['city']}-{found['location']}" if found else name


def folds_of(names: Sequence[str]) -> NDArray[int64]:
    """Return the fold of each recording, 0..FOLDS - 1; all of a location are in one.

    Locations are dealt out one by one, scene after scene, so that each fold has about as many of each scene.
    """
    scene = {location_of(name): name.split("-")[0] for name in sorted(names, reverse=True)}
    dealt = sorted(scene, key=lambda location: (scene[location], location))
    fold = {location: i % FOLDS for i, location in enumerate(dealt)}
    return np.array([fold[location_of(name)] for name in names], int64)
