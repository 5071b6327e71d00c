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


@pytest.mark.parametrize("seed", range(20))
def test_labels_that_share_locations_all_have_some_to_train_on(seed: int) -> None:
    shared = [(place, label) for place in range(6) for label in ("bus", "tram") if (place + len(label)) % 3]
    rows = [row(label, f"city-{place}", n) for n, (place, label) in enumerate(shared * 3)]
    rows += [row("park", f"city-{place}", 99) for place in (0, 1)]
    train, validation = split_by_location(rows, 0.5, seed)
    for part in (train, validation):
        assert {one.scene_label for one in part} == {"bus", "tram", "park"}


def test_a_label_whose_locations_others_need_is_told() -> None:
    pairs = {"bus": (1, 2), "park": (1, 3), "tram": (2, 3)}
    rows = [row(label, f"city-{place}", place) for label, of in pairs.items() for place in of]
    with pytest.raises(ConfigError, match=r"Each location of '\w+' is the last .*; record another one"):
        split_by_location(rows, 0.3, seed=1)
