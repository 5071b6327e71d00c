import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

from edge_avsc.training.classes import GROUPS, LABELS, NONE
from edge_avsc.training.pairs import Heard, Pairs, class_pairs, judge_fusions
from edge_avsc.training.picture_data import Pictures


def pictures() -> Pictures:
    names = ["airport_terminal", "bus_interior", "lobby"]
    categories = np.array([0, 1, 2] * 20, np.int64)
    return Pictures(np.zeros((60, 1, 1, 3), np.uint8), categories, names)


def test_pairs_are_of_one_class_and_never_across_the_halves() -> None:
    data = pictures()
    said = np.random.default_rng(1).integers(0, 10, 400)
    pairs = class_pairs(data, np.eye(10)[said], seed=1)
    assert (said[pairs.sounds] == pairs.labels).all()
    assert (pairs.sounds % 2 == pairs.pictures % 2).all()
    assert (data.groups[pairs.pictures] != NONE).all()
    in_buses = pairs.labels[data.groups[pairs.pictures] == GROUPS.index("bus")]
    shares = {LABELS[c]: float((in_buses == c).mean()) for c in np.unique(in_buses)}
    assert shares == {"bus": 0.5, "metro": 0.25, "tram": 0.25}


def test_a_class_that_no_sound_is_of_has_no_pair() -> None:
    shares = np.eye(10)[np.full(40, LABELS.index("tram"))]
    assert set(class_pairs(pictures(), shares, seed=1).labels) == {LABELS.index("tram")}


def heard(seed: int, swapped: bool) -> Heard:
    """Return what two fair experts say of pairs; one of them may take class 0 for class 1 and the other way round."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, 2000)
    sound, picture = (np.eye(10)[labels] * 2 + random.standard_normal((2000, 10)) for _ in range(2))
    pairs = Pairs(np.arange(2000), np.arange(2000), labels)
    return Heard(pairs, sound[:, [1, 0, *range(2, 10)]] if swapped else sound, picture)


def test_a_trained_head_wins_where_an_expert_mistakes_one_class_for_another() -> None:
    verdict = judge_fusions(heard(1, True), heard(2, True))
    assert verdict.trained_is_better
    assert verdict.weight.shape == (10, 20)


def test_the_product_is_kept_where_what_was_trained_holds_nowhere_else() -> None:
    assert not judge_fusions(heard(1, True), heard(2, False)).trained_is_better


def test_both_are_alike_where_the_product_is_right() -> None:
    verdict = judge_fusions(heard(1, False), heard(2, False))
    assert verdict.product_log_loss < verdict.trained_log_loss + 0.05
