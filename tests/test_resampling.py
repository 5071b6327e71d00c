from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.resampling import StreamResampler

RATES = (8000, 11025, 16000, 22050, 44100, 47999, 48000, 96000)


def resampled(sound: NDArray[float32], rate_hz: int, sizes: list[int]) -> NDArray[float32]:
    resampler = StreamResampler(rate_hz, 16000)
    parts: list[NDArray[float32]] = []
    first = 0
    while first < len(sound):
        size = sizes[len(parts) % len(sizes)]
        parts.append(resampler.push(sound[first : first + size]))
        first += size
    return np.concatenate([*parts, resampler.flush()])


@given(
    rate_hz=st.sampled_from(RATES),
    seconds=st.floats(0.001, 1.5),
    sizes=st.lists(st.one_of(st.integers(1, 40), st.integers(100, 9000)), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
@settings(max_examples=80)
def test_blocks_change_no_bit(rate_hz: int, seconds: float, sizes: list[int], seed: int) -> None:
    count = max(1, int(seconds * rate_hz))
    sound = np.random.default_rng(seed).normal(0, 0.2, count).astype(float32)
    whole = resampled(sound, rate_hz, [count])
    np.testing.assert_array_equal(resampled(sound, rate_hz, sizes), whole)
    assert abs(len(whole) - count * 16000 / rate_hz) <= 0.51


@pytest.mark.parametrize("rate_hz", RATES)
def test_sample_zero_out_is_at_the_time_of_sample_zero_in(rate_hz: int) -> None:
    """A slow tone tells the time: it must not be shifted by a hundredth of a sample."""
    tone_hz = 200.0
    sound = np.sin(2 * np.pi * tone_hz * np.arange(rate_hz) / rate_hz).astype(float32)
    out = resampled(sound, rate_hz, [441])
    middle = slice(4000, 12000)
    truth = np.sin(2 * np.pi * tone_hz * np.arange(len(out)) / 16000)
    shift_of_a_hundredth = 2 * np.pi * tone_hz / 16000 * 0.01
    assert np.abs(out[middle] - truth[middle]).max() < shift_of_a_hundredth


def test_the_bundles_own_rate_passes_untouched() -> None:
    sound = np.linspace(-1, 1, 1000).astype(float32)
    np.testing.assert_array_equal(resampled(sound, 16000, [7]), sound)


def test_nothing_in_nothing_out() -> None:
    assert len(StreamResampler(48000, 16000).flush()) == 0
