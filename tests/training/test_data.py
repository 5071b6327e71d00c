import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

import torch

from edge_avsc.features import LogMel, normalised_picture
from edge_avsc.training.classes import GROUPS, LABELS, NONE, group_of
from edge_avsc.training.device import DEVICE
from edge_avsc.training.golden import golden_inputs
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.pictures import Batches, augmented, group_shares, to_input, view_px
from edge_avsc.training.recordings import window_columns
from edge_avsc.training.schedule import cosine
from edge_avsc.training.sound_data import RATE_HZ, Recordings, Views, seconds_of
from edge_avsc.training.sounds import SPAN, Field, Lessons, log_mel
from edge_avsc.training.spec import AUDIO, IMAGE


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
    rows, sounds = zip(*draws[0], strict=True)
    assert np.array_equal(sounds, [sound for _, sound in draws[1]])
    assert np.isfinite(sounds).all()
    assert np.shape(sounds) == (20, RATE_HZ)
    assert np.abs(sounds).max() <= 1
    assert set(rows) == {0, 1, 2, 3}


def tone(hz: float, amplitude: float) -> Recordings:
    wave = np.sin(2 * np.pi * hz * np.arange(2 * RATE_HZ) / RATE_HZ) * amplitude
    return Recordings(wave.astype(np.int16), np.array([0, len(wave)]), [f"{hz} Hz"])


def test_what_stands_behind_a_view_is_softer_than_it_however_loud_it_was() -> None:
    click = Recordings(np.array([20_000, 0, 0, 0], np.int16), np.array([0, 4]), ["click"])
    views = Views(tone(1000, 200), click, others=Views(tone(2000, 20_000), click))
    shares = []
    for i in range(60):
        row, sound = views.draw(np.random.default_rng(i))
        assert row in (0, 1)
        power = np.abs(np.fft.rfft(sound)) ** 2
        own, other = power[800:1250].sum(), power[1600:2500].sum()
        shares.append(own / (own + other))
    assert min(shares) > 0.3
    assert 0.8 < np.mean(shares) < 0.999


def test_the_field_keeps_a_fold_out_and_draws_each_class_alike() -> None:
    count = 60
    labels, folds = np.array([0] * 50 + [3] * 10), np.arange(count) % 5
    values = np.arange(count, dtype=np.float16)
    lessons = Lessons(values, values, np.zeros(count, np.float32), np.arange(count))
    field = Field(lessons, labels, folds).without(2)
    assert 2 not in field.folds
    assert (field.lessons.seconds % 5 != 2).all()
    drawn = field.labels[field.draw(np.random.default_rng(1), 4000)]
    assert np.mean(drawn == 3) == pytest.approx(0.5, abs=0.05)
    assert len(Field(lessons, labels, folds).without(None).labels) == count


def test_augmented_pictures_keep_shape_and_range() -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 255, (128, 128, 3), np.uint8)
    for size in (96, 128, IMAGE.size_px) * 10:
        view = augmented(image, random, size)
        assert view.shape == (size, size, 3)
        assert view.dtype == np.uint8


def test_a_picture_becomes_the_same_input_in_training_as_in_use() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (2, IMAGE.size_px, IMAGE.size_px, 3), np.uint8)
    wanted = np.stack([normalised_picture(one, IMAGE) for one in picture])
    np.testing.assert_allclose(to_input(torch.from_numpy(picture)).cpu(), wanted, atol=1e-5)


def test_a_batch_is_the_same_for_its_number() -> None:
    images = np.random.default_rng(1).integers(0, 255, (4, 128, 128, 3), np.uint8)
    batches = Batches(Pictures(images, np.arange(4), ["a", "b", "c", "d"]), np.array([0.1, 0.2, 0.7, 0.0]), 3)
    (views, categories), (again, _), (other, _) = batches[7, 96], batches[7, 96], batches[8, 96]
    assert np.array_equal(views, again)
    assert not np.array_equal(views, other)
    assert set(categories) <= {0, 1, 2}


def test_columns_of_many_sounds_are_those_of_each() -> None:
    sounds = np.random.default_rng(1).normal(0, 0.1, (3, SPAN)).astype(np.float32)
    wanted = np.stack([LogMel(AUDIO).columns(sound) for sound in sounds])
    np.testing.assert_allclose(log_mel(torch.from_numpy(sounds).to(DEVICE)).cpu(), wanted, atol=1e-4)


def test_views_grow_to_the_size_of_the_product() -> None:
    sizes = [view_px(done) for done in (0.0, 0.3, 0.9, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == IMAGE.size_px


def test_groups_are_shown_alike_and_strangers_as_they_are() -> None:
    counts = np.array([10, 10, 10, 40, 40, 40, 10, 40, 200])
    shares = group_shares(np.repeat(np.arange(len(counts)), counts))
    assert shares.sum() == pytest.approx(1.0)
    assert shares[NONE] == pytest.approx(0.5)
    assert shares[:NONE] == pytest.approx(np.full(NONE, 0.5 / NONE))


def test_windows_of_a_recording_are_its_whole_seconds() -> None:
    sound = np.random.default_rng(1).standard_normal(RATE_HZ * 2 + 100).astype(np.float32)
    windows = window_columns(sound)
    assert windows.shape == (2, 36, 256)
    assert np.array_equal(windows[1], window_columns(sound[RATE_HZ:])[0])


def test_golden_inputs_are_generated_alike_each_time() -> None:
    one, two = golden_inputs(), golden_inputs()
    assert one["log_mel"].shape == (8, 36, 256)
    assert one["picture"].shape == (8, 3, IMAGE.size_px, IMAGE.size_px)
    assert all(np.array_equal(one[key], two[key]) for key in one)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    assert cosine(0.0) < 0.1
    assert cosine(0.02) == pytest.approx(1.0)
    assert cosine(1.0) == pytest.approx(0.0)
