from __future__ import annotations

import numpy as np
import pytest
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.ensembles import (
    FLOORS,
    best_floor,
    classwise_ensemble,
    classwise_weights,
    floored,
    floored_by_halves,
    halves,
    majority_vote,
    mean_ensemble,
    oracle,
)
from edge_avsc.evaluation.metrics import normalised, sample_losses, scores, wald_interval
from edge_avsc.training.classes import LABELS


def soft(decided: NDArray[int64], labels: int = 10, confidence: float = 0.7) -> NDArray[float64]:
    return normalised((1 - confidence) / labels + confidence * np.eye(labels)[decided])


def test_votes_and_oracle_of_systems_as_good_as_the_papers() -> None:
    # 93.8, 93.2 and 93.5 % right; in 2.5 % of the samples none is, in 2.6 % one alone, and then the others agree.
    shares = {
        (1, 1, 1): 88.1,
        (0, 1, 1): 2.0,
        (1, 0, 1): 2.5,
        (1, 1, 0): 2.3,
        (1, 0, 0): 0.9,
        (0, 1, 0): 0.8,
        (0, 0, 1): 0.9,
        (0, 0, 0): 2.5,
    }
    counts = [round(7200 * share / 100) for share in shares.values()]
    right = np.tile(np.repeat(np.array(list(shares)), counts, axis=0), (10, 1)).T == 1
    index = np.repeat(np.arange(10), sum(counts))
    decided = np.where(right, index, (index + 3) % 10)
    rows = np.stack([soft(one) for one in decided])

    def accuracy(chosen: NDArray[int64]) -> tuple[float, float]:
        share = scores(index, rows[0], LABELS, decided=chosen).macro_accuracy
        low, high = wald_interval(share, len(index))
        return round(100 * share, 1), round(50 * (high - low), 1)

    assert [accuracy(one) for one in decided] == [(93.8, 0.2), (93.2, 0.2), (93.5, 0.2)]
    assert accuracy(majority_vote(decided, rows)) == (94.9, 0.2)
    assert accuracy(np.where(oracle(decided, index), index, decided[0])) == (97.5, 0.1)


def test_independent_systems_follow_the_binomial() -> None:
    random, n, share = np.random.default_rng(8), 100_000, 0.7
    index = random.integers(0, 10, n)
    decided = np.where(random.random((3, n)) < share, index, (index + 1) % 10)
    rows = np.stack([soft(one) for one in decided])
    vote = (majority_vote(decided, rows) == index).mean()
    assert vote == pytest.approx(share**3 + 3 * share**2 * (1 - share), abs=0.005)
    assert oracle(decided, index).mean() == pytest.approx(1 - (1 - share) ** 3, abs=0.005)


def test_ties_go_to_the_larger_mean_probability_and_then_to_the_first_label() -> None:
    decided = np.array([[2], [0]])
    rows = np.array([[[0.3, 0.1, 0.6]], [[0.5, 0.1, 0.4]]])
    assert majority_vote(decided, rows).tolist() == [2]
    assert majority_vote(decided, np.array([[[0.4, 0.2, 0.4]]] * 2)).tolist() == [0]
    # A certain minority does not outvote an unsure majority.
    assert majority_vote(np.array([[0], [0], [1]]), np.array([[[0.6, 0.4]]] * 2 + [[[0.0, 1.0]]])).tolist() == [0]


def test_the_mean_ensemble_is_the_mean() -> None:
    rows = np.random.default_rng(1).dirichlet(np.ones(4), (3, 5))
    assert mean_ensemble(rows) == pytest.approx(sum(rows) / 3)


def test_weights_are_precisions_with_one_success_and_one_failure_added() -> None:
    decided, index = np.array([[0, 0, 0, 1], [1, 1, 1, 1]]), np.array([0, 0, 1, 1])
    assert classwise_weights(decided, index, 3) == pytest.approx(np.array([[3 / 5, 2 / 3, 0.5], [0.5, 0.5, 0.5]]))


def test_systems_that_know_half_of_the_classes_each_are_better_weighted() -> None:
    random, n = np.random.default_rng(3), 4000
    index = random.integers(0, 10, n)
    guess = random.integers(0, 10, (2, n))
    knows = np.stack([index < 5, index >= 5])
    decided = np.where(knows & (guess % 10 != 0), index, guess)
    rows = np.stack([soft(one) for one in decided])
    weighted = classwise_ensemble(decided, rows, index, halves(np.arange(n)))
    by_mean, by_class = (scores(index, p, LABELS) for p in (mean_ensemble(rows), weighted))
    assert by_class.macro_accuracy > by_mean.macro_accuracy
    assert by_class.macro_log_loss < by_mean.macro_log_loss


def test_weights_of_one_half_do_not_see_its_labels() -> None:
    random, n = np.random.default_rng(4), 200
    index, half = random.integers(0, 10, n), halves(np.arange(n))
    decided = random.integers(0, 10, (2, n))
    rows = np.stack([soft(one) for one in decided])
    other = np.where(half, (index + 1) % 10, index)
    first, second = (classwise_ensemble(decided, rows, labels, half) for labels in (index, other))
    assert (first[half] == second[half]).all()
    assert (first[~half] != second[~half]).any()


def test_halves_keep_units_whole_and_are_equal() -> None:
    units = np.repeat([f"town-{i}" for i in range(20)], 7)
    half = halves(units)
    assert all(len(set(half[units == unit])) == 1 for unit in set(units))
    assert half.sum() == 70
    assert (half == halves(units)).all()
    assert (half != halves(units, seed=1)).any()


def test_a_floor_is_what_it_says() -> None:
    rows = normalised([[0.0, 1.0], [0.3, 0.7]])
    assert floored(rows, 0.1)[0] == pytest.approx([0.1 / 1.1, 1 / 1.1])
    assert floored(rows, 0.1)[1] == pytest.approx([0.3, 0.7])
    assert floored(rows, 0.0) == pytest.approx(rows)


def test_the_best_floor_is_the_best_of_all_and_none_for_who_is_always_right() -> None:
    random, n = np.random.default_rng(6), 2000
    index = random.integers(0, 10, n)
    decided = np.where(random.random(n) < 0.9, index, (index + 1) % 10)
    sure = normalised(np.eye(10)[decided])
    found = best_floor(sure, index)
    losses = {floor: sample_losses(index, floored(sure, floor)).mean() for floor in FLOORS}
    assert 0.005 <= found <= 0.02
    assert min(losses, key=lambda floor: losses[floor]) == pytest.approx(found, rel=2.5)
    assert best_floor(normalised(np.eye(10)[index]), index) == 0.0
    rows, floors = floored_by_halves(sure, index, halves(np.arange(n)))
    assert set(floors) <= set(FLOORS)
    assert scores(index, rows, LABELS).macro_log_loss < 0.2 * scores(index, sure, LABELS).macro_log_loss


def test_one_unit_alone_has_no_other_half_to_choose_in() -> None:
    index, rows = np.array([0, 1]), normalised([[0.9, 0.1], [0.2, 0.8]])
    same, floors = floored_by_halves(rows, index, halves(["one", "one"]))
    assert floors[1] == 0.0
    assert same == pytest.approx(rows)
