import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

from edge_avsc.training.classes import GROUPS, LABELS, group_of
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.measure import auroc
from edge_avsc.training.pictures import augmented
from edge_avsc.training.recordings import window_columns
from edge_avsc.training.schedule import cosine
from edge_avsc.training.sound_data import RATE_HZ, Recordings, Views, seconds_of


def recordings(*lengths: int) -> Recordings:
    random = np.random.default_rng(1)
    parts = [random.integers(-9000, 9000, length).astype(np.int16) for length in lengths]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Recordings(np.concatenate(parts), starts, [str(i) for i in range(len(lengths))])


def test_labels_and_groups_agree() -> None:
    assert tuple(sorted(LABELS)) == LABELS
    assert set(GROUPS) - set(LABELS) == {"none_of_ours"}
    assert GROUPS[group_of("highway")] == "street_traffic"
    assert GROUPS[group_of("lobby")] == "none_of_ours"


def test_seconds_cover_whole_seconds_and_short_recordings() -> None:
    assert seconds_of(recordings(RATE_HZ * 2 + 5, 100)) == [(0, 0), (0, RATE_HZ), (1, 0)]


def test_views_are_whole_finite_seconds_and_the_same_for_a_seed() -> None:
    views = Views(recordings(RATE_HZ * 3, 2000), recordings(9000, 300), np.ones(4))
    draws = [[views.draw(random) for _ in range(20)] for random in (np.random.default_rng(1), np.random.default_rng(1))]
    assert np.array_equal(draws[0], draws[1])
    assert np.isfinite(draws[0]).all()
    assert np.shape(draws[0]) == (20, RATE_HZ)
    assert np.abs(draws[0]).max() <= 1


def test_augmented_pictures_keep_shape_and_range() -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 255, (128, 128, 3), np.uint8)
    for _ in range(30):
        view = augmented(image, random)
        assert view.shape == image.shape
        assert view.dtype == np.float32
        assert 0 <= view.min() <= view.max() <= 255


def test_windows_of_a_recording_are_its_whole_seconds() -> None:
    sound = np.random.default_rng(1).standard_normal(RATE_HZ * 2 + 100).astype(np.float32)
    windows = window_columns(sound)
    assert windows.shape == (2, 37, 128)
    assert np.array_equal(windows[1], window_columns(sound[RATE_HZ:])[0])


def test_golden_inputs_are_generated_alike_each_time() -> None:
    one, two = golden_inputs(), golden_inputs()
    assert one["log_mel"].shape == (8, 37, 128)
    assert one["picture"].shape == (8, 3, 128, 128)
    assert all(np.array_equal(one[key], two[key]) for key in one)


def test_auroc_of_perfect_and_useless_scores() -> None:
    positive = np.array([False, False, True, True])
    assert auroc(np.array([0.0, 1.0, 2.0, 3.0]), positive) == 1
    assert auroc(np.array([3.0, 0.0, 1.0, 2.0]), positive) == 0.5


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    assert cosine(0.0) < 0.1
    assert cosine(0.02) == pytest.approx(1.0)
    assert cosine(1.0) == pytest.approx(0.0)
