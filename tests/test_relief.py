from __future__ import annotations

from edge_avsc.relief import DOWN_NS, IN_TIME_NS, TOO_LATE_NS, Relief
from edge_avsc.types import NS_PER_S

HOP_NS = NS_PER_S // 2


def climb(relief: Relief, late_ns: int, begin_ns: int, labels: int) -> list[tuple[int, int]]:
    """Give so many labels, a hop apart; return when which step was taken."""
    steps = []
    for n in range(labels):
        now_ns = begin_ns + n * HOP_NS
        if relief.observe(late_ns, now_ns):
            steps.append((n, relief.level))
    return steps


def test_steps_come_in_order_and_not_all_at_once() -> None:
    assert climb(Relief(), TOO_LATE_NS + 1, 0, 20) == [(0, 1), (2, 2), (4, 3)]


def test_labels_in_time_change_nothing() -> None:
    assert climb(Relief(), IN_TIME_NS, 0, 1000) == []


def test_recovery_is_by_itself_and_one_step_at_a_time() -> None:
    relief = Relief()
    climb(relief, TOO_LATE_NS + 1, 0, 10)
    hops = DOWN_NS // HOP_NS
    assert [level for _, level in climb(relief, 0, 100 * NS_PER_S, 4 * hops)] == [2, 1, 0]


def test_a_label_that_is_a_little_late_keeps_the_step() -> None:
    relief = Relief()
    climb(relief, TOO_LATE_NS + 1, 0, 1)
    assert climb(relief, IN_TIME_NS + 1, 100 * NS_PER_S, 1000) == []


def test_a_step_down_that_was_too_early_makes_the_next_one_wait_longer() -> None:
    relief = Relief()
    climb(relief, TOO_LATE_NS + 1, 0, 1)
    ((first, _),) = climb(relief, 0, 100 * NS_PER_S, 2 * DOWN_NS // HOP_NS)
    assert climb(relief, TOO_LATE_NS + 1, 120 * NS_PER_S, 1) == [(0, 1)]
    ((second, _),) = climb(relief, 0, 200 * NS_PER_S, 4 * DOWN_NS // HOP_NS)
    assert second > first
