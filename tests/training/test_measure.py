import numpy as np
import pytest

pytest.importorskip("tqdm")

from edge_avsc.training.classes import LABELS
from edge_avsc.training.measure import (
    Words,
    apart,
    as_groups,
    auroc,
    calibration_error,
    confusion,
    on_pairs,
    on_pictures,
    on_windows,
    reliability,
)
from edge_avsc.training.picture_data import Pictures


def words(labels: list[int], confidence: float) -> Words:
    rest = (1 - confidence) / (len(LABELS) - 1)
    probabilities = np.full((len(labels), len(LABELS)), rest)
    probabilities[np.arange(len(labels)), labels] = confidence
    return Words(probabilities, np.zeros(len(labels)))


def test_auroc_of_perfect_and_useless_scores() -> None:
    positive = np.array([False, False, True, True])
    assert auroc(np.array([0.0, 1.0, 2.0, 3.0]), positive) == 1
    assert auroc(np.array([3.0, 0.0, 1.0, 2.0]), positive) == 0.5


def test_calibration_error_is_how_far_confidence_is_from_the_share_right() -> None:
    said = words([0] * 100, 0.9)
    labels = np.array(([0] * 9 + [1]) * 10)
    assert calibration_error(said.probabilities, labels) == pytest.approx(0.0, abs=0.07)
    assert calibration_error(said.probabilities, np.ones(100, np.int64)) == pytest.approx(0.9)
    assert reliability(said.probabilities, labels)[:, 2].sum() == pytest.approx(1.0)


def test_confusion_counts_what_is_called_what() -> None:
    table = confusion(np.array([1, 1, 0]), np.array([0, 0, 2]))
    assert table[0, 1] == 2
    assert table[2, 0] == 1
    assert table.sum() == 3


def test_metro_and_tram_count_as_bus_for_pictures() -> None:
    said = words([LABELS.index("metro"), LABELS.index("tram")], 0.8)
    grouped = as_groups(said.probabilities)
    assert (grouped.argmax(1) == LABELS.index("bus")).all()
    np.testing.assert_allclose(grouped.sum(1), 1)


def test_exports_are_apart_by_flips_and_divergence() -> None:
    one, other = words([0, 1, 2, 3], 0.8), words([0, 1, 2, 4], 0.8)
    assert apart(one, one)["label_flips"] == apart(one, one)["kl"] == 0
    found = apart(one, other)
    assert found["label_flips"] == 0.25
    assert found["kl"] > 0.1


def test_intervals_draw_whole_locations_and_count_each_window_alike() -> None:
    said, labels = words([0] * 100, 0.7), np.array([0] * 50 + [1] * 50)
    narrow = on_windows(said, labels, np.arange(100), np.arange(100), 0.5)["accuracy_95"]
    assert 0.3 < narrow[0] < 0.5 < narrow[1] < 0.7
    wide = on_windows(said, labels, np.arange(100), np.repeat([0, 1], 50), 0.5)
    assert wide["accuracy_95"] == [0.0, 1.0]
    assert wide["log_loss_95"] == [pytest.approx(-np.log(0.7), abs=1e-4), pytest.approx(-np.log(0.3 / 9), abs=1e-4)]


def test_windows_are_scored_by_window_and_by_recording() -> None:
    said, labels = words([0, 0, 1, 1, 1, 0], 0.7), np.array([0, 0, 0, 1, 1, 1])
    scores = on_windows(said, labels, np.array([0, 0, 0, 1, 1, 1]), np.array(["here"] * 3 + ["there"] * 3), 0.5)
    assert scores["accuracy"] == pytest.approx(4 / 6, abs=1e-3)
    assert scores["recordings_right"] == 1.0
    assert scores["recall"] == {"airport": pytest.approx(2 / 3, abs=1e-3), "bus": pytest.approx(2 / 3, abs=1e-3)}


def test_none_of_ours_counts_from_its_threshold_on() -> None:
    said, labels = words([0, 0, 0, 0], 0.7), np.zeros(4, np.int64)
    said = Words(said.probabilities, np.log(np.array([0.3, 0.7, 0.85, 0.95]) / np.array([0.7, 0.3, 0.15, 0.05])))
    places = np.zeros(4, np.int64)
    called = [on_windows(said, labels, places, places, threshold)["called_none_of_ours"] for threshold in (0.5, 0.8)]
    assert called == [0.75, 0.5]


def test_classes_count_alike_in_the_means_of_classes() -> None:
    scores = on_pairs(words([0] * 9 + [0], 0.7), np.array([0] * 9 + [1]))
    assert scores["accuracy"] == 0.9
    assert scores["macro_accuracy"] == 0.5
    assert scores["macro_log_loss"] == pytest.approx(-(np.log(0.7) + np.log(0.3 / 9)) / 2, abs=1e-4)


def test_pictures_are_scored_by_group_and_others_only_as_none_of_ours() -> None:
    right = {
        "airport_terminal": "airport",
        "bus_interior": "metro",
        "subway_station-platform": "metro_station",
        "yard": "park",
        "fountain": "public_square",
        "supermarket": "shopping_mall",
        "market-outdoor": "street_pedestrian",
        "highway": "street_traffic",
    }
    data = Pictures(np.zeros((11, 1, 1, 3), np.uint8), np.array([*range(8), 0, 8, 8]), [*right, "lobby"])
    called = [*right.values(), "street_traffic", "park", "street_traffic"]
    said = words([LABELS.index(name) for name in called], 0.8)
    said = Words(said.probabilities, np.array([0.0] * 8 + [3.0, 2.0, 4.0]))
    scores = on_pictures(said, data)
    assert (scores["pictures"], scores["none_of_ours_pictures"]) == (9, 2)
    assert (scores["recall"]["airport"], scores["recall"]["bus"]) == (0.5, 1.0)
    assert scores["macro_accuracy"] == pytest.approx(7.5 / 8, abs=1e-3)
    assert scores["accuracy"] == pytest.approx(8 / 9, abs=1e-3)
    assert scores["direct_or_good_categories"] == 0.8
    assert scores["others_called_street_traffic"] == pytest.approx(1 / 8, abs=1e-3)
    assert scores["none_of_ours_auroc"] == pytest.approx(17 / 18, abs=1e-3)
