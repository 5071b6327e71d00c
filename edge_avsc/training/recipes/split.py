"""A validation split that shares no location with what is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row


def split_by_location(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the clips to train on and to validate with: whole locations, of each label about *share* of the clips.

    A label's locations are drawn in random order until their clips reach the share, at least one and never all.
    Raises ConfigError for a label with one location only.
    """
    chance = np.random.default_rng(seed)
    places: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        places[str(row.scene_label)][row.location] += 1
    kept_out: set[str] = set()
    for label, of in sorted(places.items()):
        if len(of) < 2:
            raise ConfigError(
                f"All clips of '{label}' are of one location, so none can validate; "
                "record a second one, or take it out."
            )
        wanted, taken = share * sum(of.values()), sum(of[place] for place in of if place in kept_out)
        for place in chance.permutation(sorted(of)).tolist():
            left = [other for other in of if other not in kept_out]
            if (taken and taken + of[place] / 2 > wanted) or len(left) < 2:
                break
            if place not in kept_out:
                kept_out.add(place)
                taken += of[place]
    train = [row for row in rows if row.location not in kept_out]
    return train, [row for row in rows if row.location in kept_out]
