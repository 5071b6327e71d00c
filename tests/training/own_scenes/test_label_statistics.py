from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.model import SceneModel
from edge_avsc.training.own_scenes.embedding import Embeddings
from edge_avsc.training.own_scenes.label_statistics import (
    DRAWN,
    FILE,
    LEAST,
    Gaussians,
    read_label_statistics,
    rehearse,
    write_label_statistics,
)
from tiny_bundle import write_tiny_bundle
from training.own_scenes.drawn import taught


@pytest.fixture
def upon(tmp_path: Path) -> SceneModel:
    return SceneModel.load(write_tiny_bundle(tmp_path / "upon"))


def test_drawn_embeddings_have_the_mean_and_the_covariance() -> None:
    factor = np.array([[2.0, 0.0], [1.0, 0.5]])
    gaussians = Gaussians(np.array([9, 0]), np.array([[3.0, -1.0], [np.nan, np.nan]]), factor)
    drawn = gaussians.draw(0, 20_000, np.random.default_rng(1))
    assert drawn.mean(axis=0) == pytest.approx([3.0, -1.0], abs=0.1)
    assert np.cov(drawn.T) == pytest.approx(factor @ factor.T, abs=0.15)
    assert np.isnan(gaussians.draw(1, 2, np.random.default_rng(1))).all()


def test_what_is_written_is_read_and_holds_no_embedding(upon: SceneModel) -> None:
    recordings = taught()
    written = write_label_statistics(upon, recordings)
    kept = read_label_statistics(upon.folder, upon.bundle)
    with np.load(upon.folder / FILE) as stored:
        assert {stored[name].shape for name in stored} == {(), (10,), (10, 8), (8, 8)}
    for state, windows in (("a", [one.sound for one in recordings]), ("v", [one.pictures for one in recordings])):
        of = kept[state]
        assert of.counts.tolist() == written[state].counts.tolist()
        assert of.means == pytest.approx(written[state].means, abs=0.01, nan_ok=True)
        assert of.factor == pytest.approx(written[state].factor, abs=0.01)
        assert (np.isnan(of.means[:, 0]) == (of.counts < LEAST)).all()
        known = of.means[~np.isnan(of.means[:, 0])]
        nearest = np.abs(known[:, None] - np.concatenate(windows)[None]).max(axis=2).min(axis=1)
        assert (nearest > 0.05).all()


def test_what_few_recordings_taught_has_no_statistics(upon: SceneModel) -> None:
    with pytest.raises(ConfigError, match="5 recordings or pictures that its head is sure of"):
        write_label_statistics(upon, taught(LEAST - 1))
    assert not (upon.folder / FILE).exists()


def test_the_same_seed_draws_the_same(upon: SceneModel) -> None:
    write_label_statistics(upon, taught())
    statistics = read_label_statistics(upon.folder, upon.bundle)
    first, again, other = (rehearse(statistics, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.sound, again.sound, equal_nan=True)
    assert not np.array_equal(first.sound, other.sound, equal_nan=True)
    labels, counts = np.unique(first.label_index, return_counts=True)
    assert set(counts) == {DRAWN}
    for label in labels:
        mine = first.label_index == label
        assert np.isnan(first.sound[mine]).all() == (statistics["a"].counts[label] < LEAST)
        assert np.isnan(first.pictures[mine]).all() == (statistics["v"].counts[label] < LEAST)


def test_statistics_of_other_labels_are_refused(upon: SceneModel) -> None:
    write_label_statistics(upon, taught())
    relabelled = upon.bundle.model_copy(update={"labels": upon.labels[::-1]})
    with pytest.raises(ConfigError, match=r"no label_statistics\.npz of its encoders and labels"):
        read_label_statistics(upon.folder, relabelled)


def test_statistics_of_other_encoders_are_refused(upon: SceneModel) -> None:
    write_label_statistics(upon, taught())
    with np.load(upon.folder / FILE) as stored:
        np.savez(upon.folder / FILE, **{**stored, "of": np.array("others")})
    with pytest.raises(ConfigError, match=r"no label_statistics\.npz of its encoders"):
        read_label_statistics(upon.folder, upon.bundle)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_a_torn_file_is_refused(content: bytes, upon: SceneModel) -> None:
    (upon.folder / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=r"no label_statistics\.npz"):
        read_label_statistics(upon.folder, upon.bundle)


def test_silent_pictures_teach_no_sound(upon: SceneModel) -> None:
    mute = [Embeddings(np.full_like(one.sound, np.nan), one.pictures) for one in taught()]
    write_label_statistics(upon, mute)
    rehearsed = rehearse(read_label_statistics(upon.folder, upon.bundle), 1)
    assert np.isnan(rehearsed.sound).all()
    assert not np.isnan(rehearsed.pictures).any()
