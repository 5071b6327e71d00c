from __future__ import annotations

import numpy as np
import pytest

from edge_avsc.quality import PictureQuality, SoundQuality
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, VideoFrame
from played import RATE_HZ, noise, pictures, sound


def heard(samples: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> SoundQuality:
    quality = SoundQuality()
    for item in sound(samples):
        assert isinstance(item, AudioChunk)
        quality.add(item)
    return quality


def stamped(rate_ppm: float, jitter_ms: float, seconds: float = 6.0) -> SoundQuality:
    """Blocks of 10 ms of a device that samples too fast by *rate_ppm*, and stamps them with an error."""
    quality, chance = SoundQuality(), np.random.default_rng(2)
    block = np.zeros((RATE_HZ // 100, 1), np.float32)
    for number in range(int(seconds * 100)):
        true_ns = number * NS_PER_S // 100 / (1 + rate_ppm * 1e-6)
        quality.add(AudioChunk(block, RATE_HZ, number * len(block), round(true_ns + chance.normal(0, jitter_ms * 1e6))))
    return quality


def test_level_is_that_of_a_sine() -> None:
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)[:, None]
    quality = heard(sine)
    assert quality.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert quality.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert not quality.silent
    assert quality.clipped == 0


def test_one_channel_of_two_counts_half() -> None:
    quality = heard(np.hstack([noise(1), np.zeros((RATE_HZ, 1), np.float32)]))
    assert quality.channels == 2
    assert quality.rms_dbfs == pytest.approx(-20 - 3.01, abs=0.2)


def test_digital_silence_and_clipping_are_seen() -> None:
    assert heard(np.zeros((RATE_HZ, 1), np.float32)).silent
    assert heard(np.clip(noise(1, 1.0), -1, 1)).clipped > 1000


def test_numbers_that_are_none_do_not_count() -> None:
    samples = noise(1)
    samples[100:200] = np.nan
    samples[300] = np.inf
    assert -21 < heard(samples).rms_dbfs < -19


@pytest.mark.parametrize("rate_ppm", [-200.0, 0.0, 50.0])
def test_drift_is_within_its_error(rate_ppm: float) -> None:
    measured = stamped(rate_ppm, jitter_ms=1.0).drift_ppm
    assert measured is not None
    drift_ppm, error_ppm = measured
    assert 0 < error_ppm < 50
    assert abs(drift_ppm - rate_ppm) < 4 * error_ppm


def test_residual_is_that_of_the_stamps() -> None:
    assert stamped(0, jitter_ms=0).residual_ms == pytest.approx(0, abs=1e-3)
    assert stamped(0, jitter_ms=1).residual_ms == pytest.approx(1.96, rel=0.25)


def test_first_second_says_nothing_of_times() -> None:
    short = stamped(0, 1, seconds=1.0)
    assert (short.drift_ppm, short.residual_ms) == (None, None)


def test_wander_makes_the_error_of_the_drift_larger() -> None:
    quality, block = SoundQuality(), np.zeros((RATE_HZ // 100, 1), np.float32)
    for number in range(600):
        wander_ns = 1e6 * np.sin(2 * np.pi * number / 400)
        quality.add(AudioChunk(block, RATE_HZ, number * len(block), round(number * NS_PER_S / 100 + wander_ns)))
    assert quality.drift_ppm is not None
    drift_ppm, error_ppm = quality.drift_ppm
    assert abs(drift_ppm) < 3 * error_ppm


def test_gap_is_counted_and_new_counting_is_none() -> None:
    quality, block = SoundQuality(), noise(0.01)
    for index, time_ms in ((0, 0), (160, 10), (480, 30), (0, 2000), (160, 2010)):
        quality.add(AudioChunk(block, RATE_HZ, index, time_ms * NS_PER_MS))
    assert quality.gap_samples == 160


def seen(seconds: float, per_s: int = 25, value: int | None = None) -> PictureQuality:
    quality = PictureQuality()
    for item in pictures(seconds, per_s, value):
        assert isinstance(item, VideoFrame)
        quality.add(item)
    return quality


def test_pace_and_size_are_those_of_the_camera() -> None:
    quality = seen(3, per_s=30)
    assert quality.per_s == pytest.approx(30, rel=0.001)
    assert quality.longest_ms == pytest.approx(1000 / 30, rel=0.001)
    assert quality.size_px == (64, 48)
    assert quality.luma == (99.0, 99.0, 99.0)
    assert not quality.black
    assert not quality.still


def test_black_and_still_pictures_are_seen() -> None:
    assert seen(1, value=3).black
    assert seen(1, value=99).still


def test_nothing_has_no_pace() -> None:
    quality = PictureQuality()
    assert (quality.per_s, quality.longest_ms, quality.luma, quality.size_px) == (0.0, 0.0, None, None)
