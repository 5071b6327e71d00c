from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import float64, int64
from numpy.typing import NDArray
from sklearn import metrics as sk

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.bootstrap import macro_interval, macro_intervals
from edge_avsc.evaluation.metrics import (
    calibration,
    decisions,
    normalised,
    sample_losses,
    scores,
    spearman,
    wald_interval,
)
from edge_avsc.training.classes import LABELS

RANDOM = np.random.default_rng(5)
N = 400
INDEX = RANDOM.integers(0, 10, N)


def dirichlet() -> NDArray[float64]:
    return RANDOM.dirichlet(np.full(10, 0.3), N)


def with_zeros() -> NDArray[float64]:
    rows = dirichlet()
    rows[::2] = np.eye(10)[RANDOM.integers(0, 10, N)][::2]
    return rows


def with_ties() -> NDArray[float64]:
    return RANDOM.integers(0, 3, (N, 10)).astype(float64)


def unnormalised() -> NDArray[float64]:
    return dirichlet() * 10.0 ** RANDOM.integers(-300, 300, (N, 1))


def first_order(index: NDArray[int64], probabilities: NDArray[float64]) -> dict[str, float]:
    """The definitions again, one sample and one class at a time."""
    losses: dict[int, list[float]] = {}
    hits: dict[int, list[bool]] = {}
    for right, row in zip(index.tolist(), probabilities.tolist(), strict=True):
        total = sum(row)
        clipped = [max(p / total if total else 0.0, 1e-15) for p in row]
        losses.setdefault(right, []).append(-float(np.log(clipped[right] / sum(clipped))))
        hits.setdefault(right, []).append(clipped.index(max(clipped)) == right)
    return {
        "macro_log_loss": sum(sum(x) / len(x) for x in losses.values()) / len(losses),
        "micro_log_loss": sum(map(sum, losses.values())) / len(index),
        "macro_accuracy": sum(sum(x) / len(x) for x in hits.values()) / len(hits),
        "micro_accuracy": sum(map(sum, hits.values())) / len(index),
    }


@pytest.mark.parametrize("make", [dirichlet, with_zeros, with_ties, unnormalised])
@pytest.mark.parametrize("classes", [10, 7], ids=["all classes", "three missing"])
def test_scores_are_those_of_plain_arithmetic(make: Any, classes: int) -> None:
    index, probabilities = INDEX % classes, make()
    found = scores(index, probabilities, LABELS)
    for name, value in first_order(index, probabilities).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-9, rel=1e-9), name


@pytest.mark.parametrize("make", [dirichlet, with_zeros, with_ties, unnormalised])
def test_scores_are_those_of_scikit_learn(make: Any) -> None:
    probabilities = make()
    rows, weights = normalised(probabilities), 1.0 / np.bincount(INDEX)[INDEX]
    found = scores(INDEX, probabilities, LABELS)
    assert found.macro_log_loss == pytest.approx(sk.log_loss(INDEX, rows, sample_weight=weights), abs=1e-9)
    assert found.macro_accuracy == pytest.approx(sk.balanced_accuracy_score(INDEX, decisions(rows)), abs=1e-9)
    assert found.micro_accuracy == pytest.approx(sk.accuracy_score(INDEX, decisions(rows)), abs=1e-9)
    assert found.class_accuracy == pytest.approx(sk.recall_score(INDEX, decisions(rows), average=None), abs=1e-9)


def test_a_row_with_the_right_label_at_zero_costs_the_clip() -> None:
    row = np.eye(10)[[3]]
    assert sample_losses(np.array([3]), row)[0] == pytest.approx(0.0, abs=1e-13)
    assert sample_losses(np.array([4]), row)[0] == pytest.approx(-np.log(1e-15), abs=1e-9)


def test_a_row_of_zeros_is_uniform_and_ties_take_the_first_label() -> None:
    assert normalised(np.zeros((1, 10))) == pytest.approx(np.full((1, 10), 0.1))
    assert decisions(np.zeros((1, 10))).tolist() == [0]
    assert decisions([[0.2, 0.4, 0.4]]).tolist() == [1]


@given(arrays(float64, (3, 4), elements=st.floats(0.0, 1e300)))
def test_rows_sum_to_one_and_keep_their_order(given_rows: NDArray[float64]) -> None:
    rows = normalised(given_rows)
    assert rows.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-12)
    assert rows.min() >= 0.9e-15
    for row, original in zip(rows, given_rows, strict=True):
        assert row[np.argmax(original)] == row.max()


def test_a_missing_class_is_nan_and_has_no_part_in_the_mean() -> None:
    found = scores(np.array([0, 0, 1]), [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.0, 1.0, 0.0]], ("a", "b", "c"))
    assert found.class_count.tolist() == [2, 1, 0]
    assert np.isnan(found.class_accuracy[2])
    assert np.isnan(found.class_log_loss[2])
    assert found.macro_accuracy == pytest.approx((0.5 + 1.0) / 2)
    assert found.macro_log_loss == pytest.approx((-np.log(0.5) - np.log(0.25)) / 2 / 2, abs=1e-9)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_no_samples_have_no_figures() -> None:
    found = scores(np.empty(0, int64), np.empty((0, 10)), LABELS)
    assert found.n == 0
    assert np.isnan([found.macro_log_loss, found.micro_log_loss, found.macro_accuracy, found.micro_accuracy]).all()
    assert np.isnan(calibration(np.empty(0, int64), np.empty((0, 10))).error)


def test_a_systems_own_decision_counts_for_accuracy_alone() -> None:
    probabilities = [[0.6, 0.4], [0.6, 0.4]]
    found = scores(np.array([0, 1]), probabilities, ("a", "b"), decided=np.array([1, 1]))
    assert found.class_accuracy.tolist() == [0.0, 1.0]
    assert found.macro_log_loss == scores(np.array([0, 1]), probabilities, ("a", "b")).macro_log_loss


@pytest.mark.parametrize(
    ("index", "probabilities", "says"),
    [
        ([0], [[0.5, float("nan"), 0.5]], "Row 0, column 1 is nan"),
        ([0], [[0.5, -0.1, 0.6]], "Row 0, column 1 is -0.1"),
        ([0], [[0.5, float("inf"), 0.6]], "Row 0, column 1 is inf"),
        ([0], [0.5, 0.2, 0.3], "of shape"),
        ([0], [[0.5, 0.5]], "2 columns for 3 labels"),
        ([0, 1], [[0.5, 0.2, 0.3]], "2 labels for 1 rows"),
        ([3], [[0.5, 0.2, 0.3]], "outside 0 to 2"),
        ([-1], [[0.5, 0.2, 0.3]], "outside 0 to 2"),
    ],
)
def test_what_cannot_be_scored_is_said(index: list[int], probabilities: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        scores(np.array(index), probabilities, ("a", "b", "c"))


@pytest.mark.parametrize(("accuracy", "points"), [(0.938, 0.18), (0.856, 0.26), (0.771, 0.31)])
def test_the_papers_intervals_come_out(accuracy: float, points: float) -> None:
    low, high = wald_interval(accuracy, 72_000)
    assert round(100 * (high - low) / 2, 2) == points


def test_wald_stays_within_shares_and_knows_when_there_is_none() -> None:
    assert wald_interval(0.99, 10)[1] == 1.0
    assert wald_interval(0.0, 10) == (0.0, 0.0)
    assert np.isnan(wald_interval(0.5, 0)).all()
    assert np.isnan(wald_interval(float("nan"), 5)).all()


def test_the_papers_baseline_averages_come_out_of_its_class_rows() -> None:
    # The baseline on the development set, class by class, as the paper prints it; its mean row is .658 and 77.0.
    losses = [0.963, 0.396, 0.541, 0.565, 0.710, 0.732, 0.839, 0.877, 0.296, 0.659]
    accuracies = [66.8, 85.9, 80.4, 80.8, 77.2, 71.1, 72.6, 72.7, 89.6, 73.1]
    tests = [281, 327, 360, 386, 386, 387, 387, 421, 402, 308]
    index = np.repeat(np.arange(10), tests)
    rows = np.exp(-np.repeat(losses, tests))[:, None] * np.eye(10)[index]
    rows += (1 - rows.sum(axis=1, keepdims=True)) / 9 * (1 - np.eye(10)[index])
    right = np.concatenate([np.arange(n) < round(n * a / 100) for n, a in zip(tests, accuracies, strict=True)])
    found = scores(index, rows, LABELS, decided=np.where(right, index, (index + 1) % 10))
    assert found.macro_log_loss == pytest.approx(0.658, abs=0.0005)
    assert 100 * found.macro_accuracy == pytest.approx(77.0, abs=0.05)


def test_calibration_bins_have_equal_mass_and_the_error_is_their_gap() -> None:
    confidence = np.linspace(0.5, 1.0, 1000)
    right = np.random.default_rng(1).random(1000) < confidence - 0.1
    rows = np.stack([confidence, 1 - confidence], axis=1)
    found = calibration(np.where(right, 0, 1), rows, bins=10)
    assert found.count.tolist() == [100] * 10
    assert found.confidence == pytest.approx(confidence.reshape(10, 100).mean(axis=1), abs=1e-9)
    assert found.accuracy == pytest.approx(right.reshape(10, 100).mean(axis=1))
    assert found.error == pytest.approx(np.abs(found.accuracy - found.confidence).mean())


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    rows = np.array([[0.9, 0.1]] * 50 + [[0.6, 0.4]] * 50)
    index = np.array([0] * 40 + [1] * 10 + [0] * 30 + [1] * 20)
    order = np.random.default_rng(2).permutation(100)
    for chosen in (np.arange(100), order):
        found = calibration(index[chosen], rows[chosen], bins=15)
        assert found.count.tolist() == [50, 50]
        assert found.error == pytest.approx((abs(0.8 - 0.9) + abs(0.6 - 0.6)) / 2)


def drawn_one_by_one(
    units: NDArray[np.str_], statistic: Callable[[NDArray[int64]], float], draws: int, seed: int
) -> list[float]:
    random, known = np.random.default_rng(seed), np.unique(units)
    drawn = []
    for _ in range(draws):
        chosen = known[random.integers(0, len(known), len(known))]
        drawn.append(statistic(np.concatenate([np.flatnonzero(units == unit) for unit in chosen])))
    return [float(end) for end in np.percentile(drawn, [2.5, 97.5])]


def test_the_bootstrap_is_that_of_rows_drawn_one_by_one_and_covers_the_truth() -> None:
    random = np.random.default_rng(3)
    units = np.array([f"town-{i}" for i in random.integers(0, 40, 600)])
    index, values = random.integers(0, 3, 600), random.random(600)

    def macro(rows: NDArray[int64]) -> float:
        return float(np.mean([values[rows][index[rows] == c].mean() for c in range(3)]))

    found = macro_interval(units, values, index, draws=200, seed=4)
    assert found == pytest.approx(drawn_one_by_one(units, macro, draws=200, seed=4), abs=1e-12)
    assert found.low < macro(np.arange(600)) < found.high
    assert macro_interval(units, values, index, draws=200, seed=5) != found


def test_many_columns_are_drawn_alike() -> None:
    random = np.random.default_rng(9)
    units, index = random.integers(0, 20, 300), random.integers(0, 3, 300)
    columns = [random.random(300) for _ in range(150)]
    found = macro_intervals(units, iter(columns), index, draws=120)
    assert len(found) == 150
    for place in (0, 63, 64, 149):
        assert found[place] == pytest.approx(macro_interval(units, columns[place], index, draws=120), abs=1e-12)


def test_whole_units_are_drawn() -> None:
    # Ten places that are all right or all wrong: as windows they look like 1,000 samples, and they are ten.
    hits = np.repeat(np.arange(10) % 2, 100).astype(float64)
    places = np.repeat(np.arange(10), 100)
    label = np.zeros(1000, int64)
    by_place, by_window = macro_interval(places, hits, label), macro_interval(np.arange(1000), hits, label)
    assert by_place.high - by_place.low > 5 * (by_window.high - by_window.low)
    assert np.isnan(macro_interval(np.zeros(1000), hits, label)).all()


def test_a_class_that_a_draw_misses_has_no_part_in_it() -> None:
    low, high = macro_interval([0, 1], np.array([0.0, 1.0]), np.array([0, 1]), draws=500)
    assert (low, high) == (0.0, 1.0)


def test_spearman_shares_ranks_and_leaves_out_what_is_unknown() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)
    assert spearman([1, 2, 2, float("nan")], [1, 3, 3, 9]) == pytest.approx(1.0)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(spearman([1], [1]))
