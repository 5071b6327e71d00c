from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from edge_avsc.sources._capture import HOPELESS, Capture, Stamper, Watchdog
from edge_avsc.sources._ear_messages import Block
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, SourceEvent

BLOCK = 480
BLOCK_NS = 10 * NS_PER_MS
BASE_S = 1.7e9  # PortAudio's time base on ALSA is that of the wall clock


# --- stamps


def test_stamp_is_the_adc_time_on_our_clock() -> None:
    stamper = Stamper(48_000)
    stamps = [stamper.stamp(n * BLOCK_NS, BASE_S + n * 0.01 - 0.015, BASE_S + n * 0.01, BLOCK) for n in range(1, 50)]
    assert stamps == pytest.approx([n * BLOCK_NS - 15 * NS_PER_MS for n in range(1, 50)], abs=1_000)


def test_wait_for_the_interpreter_does_not_reach_the_stamp() -> None:
    stamper = Stamper(48_000)
    waits_ns = [0, 3_000_000, 0, 30_000_000, 7_000_000, 12_000_000, 100_000]
    for n, wait_ns in enumerate(waits_ns, 1):
        stamp = stamper.stamp(n * BLOCK_NS + wait_ns, BASE_S + n * 0.01 - 0.01, BASE_S + n * 0.01, BLOCK)
        assert stamp == pytest.approx((n - 1) * BLOCK_NS, abs=50_000)


@pytest.mark.parametrize(
    "adc_s",
    [
        pytest.param(lambda n, now: 0.0, id="0"),
        pytest.param(lambda n, now: BASE_S, id="sticks"),
        pytest.param(lambda n, now: now + 0.5, id="future"),
        pytest.param(lambda n, now: now - 60.0, id="long ago"),
        pytest.param(lambda n, now: math.nan, id="no number"),
    ],
)
def test_nonsense_falls_back_to_arrival_less_block(adc_s: Callable[[int, float], float]) -> None:
    stamper = Stamper(48_000)
    stamper.stamp(0, adc_s(0, BASE_S), BASE_S, BLOCK)
    for n in range(1, HOPELESS + 5):
        now_s = BASE_S + n * 0.01
        assert stamper.stamp(n * BLOCK_NS, adc_s(n, now_s), now_s, BLOCK) == pytest.approx(
            (n - 1) * BLOCK_NS, abs=1_000
        )
    assert stamper.hopeless


@pytest.mark.parametrize("current_s", [0.0, math.nan, -1.0])
def test_a_callback_without_any_time_falls_back_to_our_clock(current_s: float) -> None:
    stamper = Stamper(48_000)
    assert [stamper.stamp(n * BLOCK_NS, 0.0, current_s, BLOCK) for n in range(1, 5)] == [
        0,
        BLOCK_NS,
        2 * BLOCK_NS,
        3 * BLOCK_NS,
    ]


def test_one_bad_time_is_no_verdict() -> None:
    stamper = Stamper(48_000)
    for n in range(1, 100):
        adc_s = 0.0 if n % 5 == 0 else BASE_S + n * 0.01 - 0.02
        stamper.stamp(n * BLOCK_NS, adc_s, BASE_S + n * 0.01, BLOCK)
    assert not stamper.hopeless


@pytest.mark.parametrize("step_s", [-30.0, -0.2, 0.2, 30.0])
def test_a_step_of_the_wall_clock_is_over_soon(step_s: float) -> None:
    stamper = Stamper(48_000)
    errors_ns = []
    for n in range(1, 300):
        now_s = BASE_S + n * 0.01 + (step_s if n > 100 else 0.0)
        errors_ns.append(stamper.stamp(n * BLOCK_NS, now_s - 0.01, now_s, BLOCK) - (n - 1) * BLOCK_NS)
    assert max(map(abs, errors_ns[:100])) <= 1_000
    assert max(map(abs, errors_ns[101:])) <= 1_000
    assert not stamper.hopeless


@pytest.mark.parametrize("ppm", [-500, 500])
def test_follows_a_time_base_that_is_slewed(ppm: int) -> None:
    stamper = Stamper(48_000)
    for n in range(1, 10_000):
        now_s = BASE_S + n * 0.01 * (1 + ppm * 1e-6)
        error_ns = stamper.stamp(n * BLOCK_NS, now_s - 0.01, now_s, BLOCK) - (n - 1) * BLOCK_NS
        assert abs(error_ns) < 20_000


# --- what becomes of the blocks


class Heard:
    """A Capture fed by hand."""

    def __init__(self, adc: bool = True) -> None:
        self.items: list[Item] = []
        self.capture = Capture(self.items.append)
        self._now_ns = 5 * NS_PER_S
        self._adc = adc

    def block(self, after_ms: float = 10.0, overflow: bool = False) -> None:
        self._now_ns += round(after_ms * NS_PER_MS)
        now_s = BASE_S + self._now_ns / NS_PER_S
        samples = np.full((BLOCK, 2), 0.5, np.float32).tobytes()
        adc_s = now_s - 0.01 if self._adc else 0.0
        self.capture.take(Block(48_000, 2, overflow, self._now_ns, adc_s, now_s, samples))

    @property
    def chunks(self) -> list[AudioChunk]:
        return [item for item in self.items if isinstance(item, AudioChunk)]


def test_chunks_follow_one_another() -> None:
    heard = Heard()
    for _ in range(5):
        heard.block()
    assert [chunk.index for chunk in heard.chunks] == [0, 480, 960, 1440, 1920]
    assert all(chunk.samples.shape == (BLOCK, 2) and np.all(chunk.samples == 0.5) for chunk in heard.chunks)
    assert heard.capture.blocks == 5


@pytest.mark.parametrize("adc", [True, False])
@pytest.mark.parametrize("lost_ms", [3.0, 10.0, 77.0, 1500.0])
def test_overflow_is_a_gap_as_long_as_the_time_that_passed(lost_ms: float, adc: bool) -> None:
    heard = Heard(adc)
    for _ in range(300):
        heard.block()
    heard.block(10.0 + lost_ms, overflow=True)
    heard.block()
    before, flagged, after = heard.chunks[-3:]
    assert flagged.index - before.index - BLOCK == pytest.approx(48 * lost_ms, abs=1)
    assert after.index == flagged.index + BLOCK
    assert heard.capture.overflows == 1


def test_overflow_that_no_time_measures_is_a_gap_of_a_block() -> None:
    heard = Heard()
    for _ in range(100):
        heard.block()
    heard.block(overflow=True)
    assert heard.chunks[-1].index - heard.chunks[-2].index == 2 * BLOCK


def test_overflow_before_anything_was_heard_is_no_gap() -> None:
    heard = Heard()
    heard.block(overflow=True)
    heard.block()
    assert [chunk.index for chunk in heard.chunks] == [0, BLOCK]
    assert heard.capture.overflows == 1


def test_flagged_once_where_the_device_knows_no_times() -> None:
    heard = Heard(adc=False)
    for _ in range(50):
        heard.block()
    events = [item for item in heard.items if isinstance(item, SourceEvent)]
    assert [(event.source, event.event) for event in events] == [("audio", "clock")]
    assert len(heard.chunks) == 50


# --- the watchdog


def test_silence_of_a_second_after_sound_is_a_stall() -> None:
    watchdog = Watchdog(0)
    assert not any(watchdog.stalled(n * 30 * NS_PER_MS, n) for n in range(1, 100))
    verdicts = [watchdog.stalled((99 + n) * 30 * NS_PER_MS, 99) for n in range(1, 60)]
    assert verdicts.index(True) == math.ceil(1000 / 30) - 1


def test_first_sound_may_take_longer() -> None:
    watchdog = Watchdog(0)
    verdicts = [watchdog.stalled(n * 100 * NS_PER_MS, 0) for n in range(1, 60)]
    assert verdicts.index(True) == 39


def test_a_sleep_of_the_machine_is_no_stall() -> None:
    watchdog = Watchdog(0)
    assert not watchdog.stalled(10 * NS_PER_MS, 1)
    assert not watchdog.stalled(3600 * NS_PER_S, 1)
    assert not watchdog.stalled(3601 * NS_PER_S, 2)
