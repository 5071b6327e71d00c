from __future__ import annotations

from pathlib import Path

import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.training.recipes.split import split_by_location


def row(label: str, place: str, number: int) -> Row:
    name = f"audio/{label}-{place}-{number}.wav"
    return Row(name, Path(name), None, label, place, place.split("-")[0])


ROWS = [row(label, f"city-{10 * k + n // 3}", n) for k, label in enumerate(("bus", "park")) for n in range(30)]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_no_location_is_on_both_sides(share: float) -> None:
    train, validation = split_by_location(ROWS, share, seed=1)
    assert len(train) + len(validation) == len(ROWS)
    assert not {one.location for one in train} & {one.location for one in validation}
    for label in ("bus", "park"):
        assert sum(one.scene_label == label for one in validation) == pytest.approx(30 * share, abs=3)


def test_a_seed_fixes_it_and_another_changes_it() -> None:
    assert split_by_location(ROWS, 0.3, 1) == split_by_location(ROWS, 0.3, 1)
    assert split_by_location(ROWS, 0.3, 1) != split_by_location(ROWS, 0.3, 2)


def test_a_label_of_one_location_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'tram'.*one location"):
        split_by_location([*ROWS, row("tram", "city-99", 0)], 0.1, 1)
