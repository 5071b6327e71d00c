from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.sources._envelope import EnvelopeClock, LiveSamples
from edge_avsc.types import NS_PER_MS, NS_PER_S

START_NS = 5_000_000_000_000
STEP_NS = 20 * NS_PER_MS


def jitter_ns(chance: random.Random) -> int:
    """Mostly some milliseconds, sometimes much more, and now and then nothing."""
    return round(chance.expovariate(1 / 8) * NS_PER_MS) if chance.random() > 0.05 else 0


def test_the_first_arrival_is_taken_as_it_is() -> None:
    clock = EnvelopeClock()
    with pytest.raises(ValueError, match="observed"):
        clock.time_of(0)
    clock.observe(700, START_NS)
    assert clock.time_of(700) == START_NS
    assert clock.time_of(800) == START_NS + 100


@given(st.integers(0, 2**32), st.floats(-300, 300))
def test_drift_is_followed_and_jitter_is_not(seed: int, drift_ppm: float) -> None:
    chance = random.Random(seed)
    clock = EnvelopeClock()
    newest_ns = 0
    errors_ms = []
    for number in range(60 * 50):
        captured_ns = START_NS + number * STEP_NS
        newest_ns = max(newest_ns, captured_ns + jitter_ns(chance))
        pts_ns = round(number * STEP_NS * (1 + drift_ppm * 1e-6))
        clock.observe(pts_ns, newest_ns)
        assert clock.time_of(pts_ns) <= newest_ns  # nothing is captured after it arrived
        errors_ms.append((clock.time_of(pts_ns) - captured_ns) / NS_PER_MS)
    assert max(map(abs, errors_ms[500:])) <= 2.0


@given(st.floats(0.2, 5.0))
def test_a_burst_of_backlog_hardly_moves_it(pause_s: float) -> None:
    clock = EnvelopeClock()
    blocked_ns = round(pause_s * NS_PER_S)
    for number in range(1000):
        captured_ns = START_NS + number * STEP_NS
        held_until_ns = START_NS + 500 * STEP_NS + blocked_ns
        arrived_ns = max(captured_ns, held_until_ns) if number >= 500 else captured_ns
        clock.observe(number * STEP_NS, arrived_ns)
        assert 0 <= clock.time_of(number * STEP_NS) - captured_ns <= 3 * NS_PER_MS


def test_a_way_that_became_longer_is_learnt_after_a_while() -> None:
    clock = EnvelopeClock()
    for number in range(50 * 75):
        longer_ns = 200 * NS_PER_MS if number > 50 * 25 else 0
        clock.observe(number * STEP_NS, START_NS + number * STEP_NS + longer_ns)
        if number == 50 * 40:
            assert clock.time_of(0) - START_NS < 20 * NS_PER_MS  # a jam would not be believed so soon
    assert clock.time_of(0) - START_NS == pytest.approx(200 * NS_PER_MS, abs=11 * NS_PER_MS)


def test_it_is_steady_when_what_had_waited_is_through() -> None:
    clock = EnvelopeClock()
    assert not clock.steady
    steady_at: list[int] = []
    for number in range(200):
        captured_ns = START_NS + number * STEP_NS
        # The first second had been waiting in the server.
        arrived_ns = max(captured_ns, START_NS + 50 * STEP_NS + number * NS_PER_MS)
        clock.observe(number * STEP_NS, arrived_ns)
        if clock.steady:
            steady_at.append(number)
    assert 52 <= steady_at[0] <= 52 + 16
    assert steady_at == list(range(steady_at[0], 200))


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=40), st.integers(-10, 10))
def test_samples_are_counted_whatever_the_jitter(counts: list[int], jitter_ms: int) -> None:
    samples = LiveSamples()
    expected = 0
    for number, count in enumerate(counts):
        time_ns = START_NS + expected * NS_PER_S // 48_000 + (jitter_ms * NS_PER_MS if number % 2 else 0)
        index, start_ns = samples.place(time_ns, count, 48_000)
        assert index == expected
        assert abs(start_ns - START_NS - expected * NS_PER_S // 48_000) <= 10 * NS_PER_MS
        expected += count


@pytest.mark.parametrize(("lost", "seen"), [(1, 1), (3, 3), (48, 48)])
def test_a_lost_block_is_a_gap(lost: int, seen: int) -> None:
    samples = LiveSamples()
    length_ns = 1024 * NS_PER_S // 48_000
    assert samples.place(START_NS, 1024, 48_000) == (0, START_NS)
    index, start_ns = samples.place(START_NS + (1 + lost) * length_ns, 1024, 48_000)
    assert index == pytest.approx(1024 * (1 + seen), abs=2)
    assert start_ns == START_NS + (1 + lost) * length_ns


def test_drift_is_no_gap() -> None:
    samples = LiveSamples()
    for number in range(50 * 600):
        # 300 ppm slower than its rate, for ten minutes: 180 ms.
        index, start_ns = samples.place(START_NS + round(number * STEP_NS * 1.0003), 960, 48_000)
    assert index == 960 * (50 * 600 - 1)
    assert start_ns == pytest.approx(START_NS + number * STEP_NS * 1.0003, abs=NS_PER_MS)


def test_time_that_goes_back_begins_anew_and_loses_nothing() -> None:
    samples = LiveSamples()
    samples.place(START_NS, 960, 48_000)
    assert samples.place(START_NS - NS_PER_S, 960, 48_000) == (960, START_NS - NS_PER_S)
