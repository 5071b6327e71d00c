from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy import float32, uint8

from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import ScenePipeline
from edge_avsc.relief import DOWN_NS, EASED, FAR_TOO_LATE_NS, IN_TIME_NS, STEPS, TOO_LATE_NS, UP_NS, Relief
from edge_avsc.stream import StreamSettings
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, SceneEstimate, VideoFrame

HOP_NS = NS_PER_S // 2
TOP = len(STEPS) - 1


def labels(relief: Relief, late_ns: int, begin_ns: int, count: int) -> list[tuple[int, int]]:
    """Give so many labels, a hop apart; return when which step was taken."""
    steps = []
    for n in range(count):
        if relief.observe(late_ns, begin_ns + n * HOP_NS):
            steps.append((n, relief.level))
    return steps


def at_top() -> Relief:
    relief = Relief()
    labels(relief, TOO_LATE_NS + 1, 0, 10)
    return relief


def test_steps_come_in_order_and_not_all_at_once() -> None:
    assert labels(Relief(), TOO_LATE_NS + 1, 0, 20) == [(1, 1), (2, 2), (3, 3)]


def test_far_too_late_takes_all_steps_and_tells_each() -> None:
    relief = Relief()
    assert relief.observe(FAR_TOO_LATE_NS + 1, 0) == []
    assert relief.observe(FAR_TOO_LATE_NS + 1, UP_NS) == list(STEPS[1:])


def test_one_late_moment_takes_no_step() -> None:
    relief = Relief()
    backlog = [relief.observe(FAR_TOO_LATE_NS * 2 - n * HOP_NS, n * NS_PER_MS) for n in range(3)]
    later = [relief.observe(late_ns, n * NS_PER_S) for n, late_ns in ((1, 0), (2, FAR_TOO_LATE_NS + 1), (3, 0))]
    assert not any(backlog + later)


def test_where_inference_takes_longer_than_a_hop_the_first_late_label_counts() -> None:
    relief = Relief()
    assert relief.observe(TOO_LATE_NS, 0, outpaced=True) == []
    assert relief.observe(FAR_TOO_LATE_NS + 1, 1, outpaced=True) == list(STEPS[1:])
    assert Relief().observe(TOO_LATE_NS + 1, 0, outpaced=True) == [STEPS[1]]


def test_labels_in_time_change_nothing() -> None:
    assert labels(Relief(), IN_TIME_NS, 0, 1000) == []


def test_recovery_is_by_itself_and_one_step_at_a_time() -> None:
    hops = DOWN_NS // HOP_NS
    relief = at_top()
    assert [level for _, level in labels(relief, 0, 100 * NS_PER_S, 4 * hops)] == [2, 1, 0]
    assert relief.observe(0, 200 * NS_PER_S) == []


def test_each_step_down_says_what_is_no_longer_left_out() -> None:
    relief = at_top()
    said = [relief.observe(0, 100 * NS_PER_S + n * HOP_NS) for n in range(4 * DOWN_NS // HOP_NS)]
    assert [one for some in said for one in some] == list(EASED[::-1])


def test_a_label_that_is_a_little_late_keeps_the_step() -> None:
    assert labels(at_top(), IN_TIME_NS + 1, 100 * NS_PER_S, 1000) == []


def test_a_step_down_that_was_too_early_makes_the_next_one_wait_longer() -> None:
    relief = Relief()
    assert labels(relief, TOO_LATE_NS + 1, 0, 2) == [(1, 1)]
    ((first, _),) = labels(relief, 0, 100 * NS_PER_S, 2 * DOWN_NS // HOP_NS)
    assert labels(relief, TOO_LATE_NS + 1, 110 * NS_PER_S, 2) == [(1, 1)]
    ((second, _),) = labels(relief, 0, 200 * NS_PER_S, 4 * DOWN_NS // HOP_NS)
    assert second > first


def test_a_step_down_that_held_makes_the_wait_short_again() -> None:
    relief, hops = Relief(), DOWN_NS // HOP_NS

    def until_eased(begin_ns: int) -> int:
        assert labels(relief, TOO_LATE_NS + 1, begin_ns, 2) == [(1, 1)]
        ((count, _),) = labels(relief, 0, begin_ns + 2 * HOP_NS, 10 * hops)
        return count

    first, second = until_eased(0), until_eased(10 * NS_PER_S)
    assert second > 1.5 * first
    assert until_eased(3600 * NS_PER_S) == first


@pytest.fixture
def items() -> list[Item]:
    """Four seconds of sound and pictures."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, (64_000, 1)).astype(float32)
    frames = [VideoFrame(n * 40 * NS_PER_MS, 99.0, np.full((32, 32, 3), 60 + n, uint8)) for n in range(100)]
    chunks = [AudioChunk(noise[n : n + 640], 16_000, n, n * NS_PER_S // 16_000) for n in range(0, 64_000, 640)]
    return [item for pair in zip(chunks, frames, strict=True) for item in pair]


@pytest.fixture
def road(tiny_model: SceneModel) -> Callable[[int], ScenePipeline]:
    def opened(level: int) -> ScenePipeline:
        pipeline = ScenePipeline(tiny_model, hop_ns=HOP_NS)
        pipeline.open("s", StreamSettings(frozenset({"audio", "video"}), 0, recorded=False))
        pipeline.relieve(level)
        return pipeline

    return opened


def fed(pipeline: ScenePipeline, items: list[Item], *, behind_ms: int = 0) -> list[SceneEstimate]:
    """Feed items as they come, or all that came in *behind_ms* at once."""
    estimates: list[SceneEstimate] = []
    waiting: list[Arrival] = []
    for item in items:
        waiting.append(Arrival("s", item, item.time_ns + 40 * NS_PER_MS))
        now_ns = waiting[-1].arrived_ns
        if now_ns - waiting[0].arrived_ns >= behind_ms * NS_PER_MS:
            estimates += [one for one in pipeline.process(waiting, now_ns) if isinstance(one, SceneEstimate)]
            waiting.clear()
    return estimates


def test_step_1_looks_at_every_second_wanted_frame(road: Callable[[int], ScenePipeline], items: list[Item]) -> None:
    pipeline = road(1)
    assert {one.video_coverage for one in fed(pipeline, items)} == {0.5}
    assert pipeline.health.counters("s")["video_skipped_frames"] == 4


def test_step_1_lets_go_of_every_second_frame_that_waits_already(
    road: Callable[[int], ScenePipeline], items: list[Item]
) -> None:
    pipeline = road(0)
    seen = [Arrival("s", item, 0) for item in items if isinstance(item, VideoFrame) and item.time_ns < 2 * NS_PER_S]
    assert list(pipeline.process(seen, 0)) == []
    pipeline.relieve(1)
    kept = [one for one in pipeline.process([], 2 * NS_PER_S) if isinstance(one, SceneEstimate)]
    assert [one.video_coverage for one in kept] == [1.0, 0.5]
    assert pipeline.health.counters("s")["video_skipped_frames"] == 1


def test_step_2_doubles_the_hop_too(road: Callable[[int], ScenePipeline], items: list[Item]) -> None:
    assert [one.index for one in fed(road(2), items)] == [0, 2, 4, 6]


def test_step_3_keeps_the_newest_due_window(road: Callable[[int], ScenePipeline], items: list[Item]) -> None:
    pipeline = road(3)
    kept = fed(pipeline, items, behind_ms=1500)
    assert [one.index for one in kept] == [1, 4]
    assert pipeline.health.counters("s")["windows_skipped"] == 4
    assert all(one.audio_coverage == 1.0 for one in kept)


def test_step_3_waits_for_a_fresher_window_once(road: Callable[[int], ScenePipeline], items: list[Item]) -> None:
    pipeline = road(3)
    arrivals = [Arrival("s", item, item.time_ns) for item in items]

    def indices(until_ms: int, now_ms: int) -> list[int]:
        some = [one for one in arrivals if one.item.time_ns < until_ms * NS_PER_MS]
        del arrivals[: len(some)]
        outputs = pipeline.process(some, now_ms * NS_PER_MS)
        return [one.index for one in outputs if isinstance(one, SceneEstimate)]

    assert indices(1400, 1400) == []  # window 0 is old, and window 1 nearly there
    assert indices(1400, 1900) == [1]  # it is old as well, but two in a row are not left out for that


def test_without_relief_a_backlog_costs_nothing(road: Callable[[int], ScenePipeline], items: list[Item]) -> None:
    pipeline = road(0)
    kept = fed(pipeline, items, behind_ms=1900)
    assert [one.index for one in kept] == list(range(len(kept)))
    assert not pipeline.health.counters("s").get("windows_skipped")
