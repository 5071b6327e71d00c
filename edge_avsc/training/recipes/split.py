"""A validation split that shares no location with what is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row


def split_by_location(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the clips to train on and to validate with: whole locations, of each label about *share* of the clips.

    A label's locations are drawn in random order until their clips reach the share, at least one and never all, nor
    the last that another label has to train on.
    Raises ConfigError for a label with one location only, or whose locations all are another label's last.
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
            if taken and taken + of[place] / 2 > wanted:
                break
            if place not in kept_out and not _is_last(place, places.values(), kept_out):
                kept_out.add(place)
                taken += of[place]
        if not taken:
            raise ConfigError(
                f"Each location of '{label}' is the last that another label has to train on, so none can validate; "
                "record another one, or take it out."
            )
    train = [row for row in rows if row.location not in kept_out]
    return train, [row for row in rows if row.location in kept_out]


def _is_last(place: str, labels: Iterable[Collection[str]], kept_out: set[str]) -> bool:
    """Tell whether some label, each given by its locations, would have none left without *place*."""
    return any(place in of and all(other == place or other in kept_out for other in of) for of in labels)
