from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.health import BUCKETS_MS, Health, Histogram


@given(durations=st.lists(st.floats(0, 20_000), max_size=60), q=st.floats(0, 1))
def test_a_quantile_is_the_limit_of_the_bucket_that_holds_it(durations: list[float], q: float) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.observe(duration)
    assert histogram.count == len(durations)
    assert histogram.sum_ms == pytest.approx(sum(durations))
    if not durations:
        assert histogram.quantile(q) is None
        return
    limits = [*BUCKETS_MS, float("inf")]
    expected = next(
        limit for limit in limits if (within := sum(d <= limit for d in durations)) and within >= q * len(durations)
    )
    assert histogram.quantile(q) == expected


def test_buckets_hold_their_upper_limits() -> None:
    histogram = Histogram()
    for duration in (0.0, 1.0, 1.0001, 2.0, 8192.0, 8192.1):
        histogram.observe(duration)
    assert tuple(2**n for n in range(14)) == BUCKETS_MS
    assert histogram.counts == [2, 2, *[0] * 11, 1, 1]
    assert histogram.quantile(1.0) == float("inf")


def test_counters_are_of_one_stream_and_never_zero() -> None:
    health = Health()
    health.count("a", "windows_av")
    health.count("a", "windows_av", 4)
    health.count("a", "audio_gap_samples", 0)
    health.count("b", "windows_av")
    assert health.counters("a") == {"windows_av": 5}
    assert health.counters("b") == {"windows_av": 1}
    assert health.counters("never opened") == {}


def test_histograms_are_of_one_stream_and_stage() -> None:
    health = Health()
    health.observe("a", "audio", 3.0)
    assert health.histogram("a", "audio").count == 1
    assert health.histogram("a", "fusion").count == 0
    assert health.histogram("b", "audio").quantile(0.5) is None


def test_what_was_handed_out_does_not_change() -> None:
    health = Health()
    health.count("a", "n")
    before = health.counters("a")
    health.count("a", "n")
    assert before == {"n": 1}
