from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_avsc.clock import MonotonicClock, ReplayClock, SampleClock, UtcAnchor, WallClock
from edge_avsc.types import NS_PER_MS, NS_PER_S

RATES = (8000, 11025, 16000, 22050, 44100, 47999, 48000, 96000)


def true_time_ns(index: int, rate_hz: int, ppm: float) -> int:
    """When a device whose crystal is *ppm* fast takes sample *index*."""
    return round(index / (rate_hz * (1.0 + ppm * 1e-6)) * NS_PER_S)


def blocks(until_s: float, rate_hz: int, block_s: float) -> Iterator[int]:
    block = int(block_s * rate_hz)
    yield from range(0, int(until_s * rate_hz), block)


@given(
    rate_hz=st.sampled_from(RATES),
    ppm=st.floats(-300, 300),
    jitter_ms=st.floats(0, 4),
    block_s=st.sampled_from([0.005, 0.01, 0.02, 0.032]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=30)
def test_drift_under_jitter_is_tracked_within_a_millisecond(
    rate_hz: int, ppm: float, jitter_ms: float, block_s: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clock: SampleClock | None = None
    for index in blocks(75, rate_hz, block_s):
        at_ns = true_time_ns(index, rate_hz, ppm)
        stamp_ns = at_ns + int(rng.uniform(-jitter_ms, jitter_ms) * NS_PER_MS)
        clock = clock or SampleClock(rate_hz, index, stamp_ns)
        clock.observe(index, stamp_ns)
        if index > 60 * rate_hz:
            assert abs(clock.time_of(index) - at_ns) < NS_PER_MS
    assert clock is not None
    assert clock.jumps == 0
    assert abs(clock.drift_ppm - ppm) < 60


def test_drift_is_reported_with_its_sign() -> None:
    for ppm in (-300.0, -50.0, 0.0, 120.0, 300.0):
        clock = SampleClock(48000, 0, 0)
        for index in blocks(90, 48000, 0.01):
            clock.observe(index, true_time_ns(index, 48000, ppm))
        assert clock.drift_ppm == pytest.approx(ppm, abs=2.0)


@pytest.mark.parametrize("stall_s", [0.3, 2.0, 10.0])
@pytest.mark.parametrize("block_s", [0.005, 0.01, 0.1])
@pytest.mark.parametrize("at_s", [5.0, 60.0])
def test_a_burst_of_backlog_does_not_drag_the_clock(stall_s: float, block_s: float, at_s: float) -> None:
    """The reader stood still; then all blocks of that time come within 10 ms, stamped by their arrival."""
    rate_hz = 48000
    clock = SampleClock(rate_hz, 0, 0)
    rng = np.random.default_rng(1)
    backlog = int(stall_s / block_s)
    for index in blocks(at_s + stall_s + 10, rate_hz, block_s):
        at_ns = true_time_ns(index, rate_hz, 50.0)
        stamp_ns = at_ns + int(rng.uniform(-0.5, 0.5) * NS_PER_MS)
        if at_s <= index / rate_hz < at_s + stall_s:
            n = (index / rate_hz - at_s) / block_s
            stamp_ns = round((at_s + stall_s - block_s) * NS_PER_S + n / backlog * 10 * NS_PER_MS)
        clock.observe(index, stamp_ns)
        if index / rate_hz > at_s - 1:
            assert abs(clock.time_of(index) - at_ns) < 5 * NS_PER_MS
    assert clock.jumps == 0


@pytest.mark.parametrize("speed", [1.05, 1.1, 1.2, 1.3, 2.0, 10.0])
@pytest.mark.parametrize("block_s", [0.005, 0.02, 0.1])
def test_a_backlog_that_is_caught_up_with_slowly_does_not_drag_the_clock(speed: float, block_s: float) -> None:
    """Delivery stood still for 1 s; what was held back comes faster than it was taken, stamped by its arrival."""
    rate_hz = 48000
    clock = SampleClock(rate_hz, 0, 0)
    rng = np.random.default_rng(5)
    late_ns = 0.0
    for index in blocks(40, rate_hz, block_s):
        at_ns = true_time_ns(index, rate_hz, 0.0)
        late_ns = NS_PER_S if index == 10 * rate_hz else max(0.0, late_ns - (1 - 1 / speed) * block_s * NS_PER_S)
        clock.observe(index, at_ns + round(late_ns) + int(rng.uniform(-0.5, 0.5) * NS_PER_MS))
        # Under 50 ms it is followed, as any lateness is.
        assert abs(clock.time_of(index) - at_ns) < 50 * NS_PER_MS
    assert clock.jumps == 0


@pytest.mark.parametrize("backlog_s", [0.04, 0.2, 2.0])
@pytest.mark.parametrize("block_s", [0.005, 0.01, 0.1])
def test_a_backlog_at_the_very_start_is_got_over_within_half_a_second(backlog_s: float, block_s: float) -> None:
    rate_hz = 48000
    clock: SampleClock | None = None
    rng = np.random.default_rng(4)
    backlog = int(backlog_s / block_s)
    for n, index in enumerate(blocks(backlog_s + 10, rate_hz, block_s)):
        at_ns = true_time_ns(index, rate_hz, 0.0)
        stamp_ns = at_ns + int(rng.uniform(-0.5, 0.5) * NS_PER_MS)
        if n < backlog:
            stamp_ns = round((backlog_s - block_s) * NS_PER_S + n / backlog * 10 * NS_PER_MS)
        clock = clock or SampleClock(rate_hz, index, stamp_ns)
        clock.observe(index, stamp_ns)
        assert abs(clock.drift_ppm) < 1010
        if index / rate_hz > backlog_s + 0.5:
            assert abs(clock.time_of(index) - at_ns) < 10 * NS_PER_MS
        if index / rate_hz > backlog_s + 3:
            assert abs(clock.time_of(index) - at_ns) < NS_PER_MS


@pytest.mark.parametrize("jump_ms", [-3000, -60, 51, 80, 1000, 3_600_000])
@pytest.mark.parametrize("block_s", [0.005, 0.02, 0.1])
def test_a_lasting_jump_is_followed_within_half_a_second(jump_ms: int, block_s: float) -> None:
    rate_hz = 44100
    clock = SampleClock(rate_hz, 0, 0)
    rng = np.random.default_rng(2)
    for index in blocks(25, rate_hz, block_s):
        at_ns = true_time_ns(index, rate_hz, 0.0) + (jump_ms * NS_PER_MS if index >= 20 * rate_hz else 0)
        clock.observe(index, at_ns + int(rng.uniform(-0.3, 0.3) * NS_PER_MS))
        if index >= 20.5 * rate_hz:
            assert abs(clock.time_of(index) - at_ns) < 5 * NS_PER_MS
    assert clock.jumps == 1


@pytest.mark.parametrize("jump_ms", [-3000, 200, 2000])
@pytest.mark.parametrize("seed", range(5))
def test_a_lasting_jump_is_followed_under_coarse_times_too(jump_ms: int, seed: int) -> None:
    rate_hz = 48000
    clock = SampleClock(rate_hz, 0, 0)
    rng = np.random.default_rng(seed)
    for index in blocks(25, rate_hz, 0.02):
        at_ns = true_time_ns(index, rate_hz, 0.0) + (jump_ms * NS_PER_MS if index >= 20 * rate_hz else 0)
        clock.observe(index, at_ns + int(rng.uniform(-40, 40) * NS_PER_MS))
        if index >= 22 * rate_hz:
            assert abs(clock.time_of(index) - at_ns) < 25 * NS_PER_MS
    assert clock.jumps == 1


def test_a_gap_in_the_index_with_its_time_is_no_jump() -> None:
    clock = SampleClock(48000, 0, 0)
    rng = np.random.default_rng(3)
    for index in blocks(40, 48000, 0.01):
        if 20 <= index / 48000 < 30:
            continue
        at_ns = true_time_ns(index, 48000, 0.0)
        clock.observe(index, at_ns + int(rng.uniform(-3, 3) * NS_PER_MS))
        if index > 10 * 48000:
            assert abs(clock.time_of(index) - at_ns) < 3 * NS_PER_MS
    assert clock.jumps == 0


@given(
    rate_hz=st.sampled_from(RATES),
    start_ns=st.integers(0, 10**15),
    first=st.integers(0, 10**6),
    steps=st.lists(st.integers(1, 10**9), min_size=1, max_size=40),
)
def test_exact_times_are_mapped_exactly_for_days(rate_hz: int, start_ns: int, first: int, steps: list[int]) -> None:
    def exact_ns(index: int) -> int:
        return start_ns + (index - first) * NS_PER_S // rate_hz

    clock = SampleClock(rate_hz, first, exact_ns(first))
    index = first
    for step in steps:
        index += step
        clock.observe(index, exact_ns(index))
        assert abs(clock.time_of(index) - exact_ns(index)) <= 1
        assert clock.index_at(exact_ns(index)) == pytest.approx(index, abs=2e-4)
    assert clock.drift_ppm == 0.0
    assert clock.jumps == 0


@given(rate_hz=st.sampled_from(RATES), index=st.integers(-(10**9), 10**9))
def test_index_and_time_are_inverse(rate_hz: int, index: int) -> None:
    clock = SampleClock(rate_hz, 1000, 5 * NS_PER_S)
    assert clock.index_at(clock.time_of(index)) == pytest.approx(index, abs=1e-3)


def test_utc_is_the_anchor_plus_what_passed_on_the_clock() -> None:
    anchor = UtcAnchor(clock_ns=7 * NS_PER_S, utc_ns=1_767_225_607 * NS_PER_S)
    assert anchor.iso(7 * NS_PER_S) == "2026-01-01T00:00:07.000Z"
    assert anchor.iso(8 * NS_PER_S + 999_999) == "2026-01-01T00:00:08.000Z"
    assert anchor.iso(6 * NS_PER_S + 1_500_000) == "2026-01-01T00:00:06.001Z"
    twice = dataclasses.replace(anchor, speed=2.0)
    assert twice.iso(9 * NS_PER_S) == "2026-01-01T00:00:08.000Z"


def test_utc_follows_when_the_machines_time_is_set() -> None:
    """As NTP does after the start of a box that has no clock of its own; or after a sleep, when ours stood still."""
    clock, utc_s = ReplayClock(1000.0), [1_767_225_600.0]
    wall = WallClock(clock, lambda: int(utc_s[0] * NS_PER_S) + clock.now_ns())
    before_ns = clock.now_ns()
    assert wall.follow() == 0
    assert wall.iso(before_ns).startswith("2026-01-01T00:")
    utc_s[0] += 0.4
    assert wall.follow() == 0
    utc_s[0] += 30 * 86400
    assert wall.follow() == pytest.approx((30 * 86400 + 0.4) * NS_PER_S, abs=0.1 * NS_PER_S)
    assert wall.follow() == 0
    assert wall.iso(clock.now_ns()).startswith("2026-01-31T00:")


def test_clocks_never_go_back() -> None:
    for clock in (MonotonicClock(), ReplayClock(1000.0)):
        times = [clock.now_ns() for _ in range(100)]
        assert times == sorted(times)
    assert UtcAnchor.now(MonotonicClock()).utc_ns > 1_700_000_000 * NS_PER_S


def test_waiting_for_what_has_passed_returns() -> None:
    clock = ReplayClock(1000.0)
    clock.wait_until(-NS_PER_S)
    clock.wait_until(clock.now_ns() + 1_000_000)
