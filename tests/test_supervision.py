from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.supervision import STALLED_NS, STEADY_NS, BackOff, State, Supervision
from edge_avsc.types import NS_PER_S


def kinds(events: list) -> list[str]:  # type: ignore[type-arg]
    return [event.event for event in events]


def test_first_item_is_no_news() -> None:
    one = Supervision("audio", 0)
    assert one.delivered(1) == []
    assert one.state is State.LIVE


def test_loss_and_return_are_one_event_each() -> None:
    one = Supervision("video", 0)
    one.delivered(1)
    (lost,) = one.failed(NS_PER_S, "The camera went away; plug it in.")
    assert (lost.source, lost.event, lost.detail) == ("video", "lost", "The camera went away; plug it in.")
    assert one.failed(2 * NS_PER_S, "still away") == []
    assert kinds(one.delivered(3 * NS_PER_S)) == ["recovered"]
    assert one.delivered(3 * NS_PER_S + 1) == []


def test_quiet_source_has_stalled_once() -> None:
    one = Supervision("audio", 0)
    assert one.check(10 * NS_PER_S) == []
    one.delivered(10 * NS_PER_S)
    assert one.check(10 * NS_PER_S + STALLED_NS - 1) == []
    assert kinds(one.check(10 * NS_PER_S + STALLED_NS)) == ["stalled"]
    assert one.check(20 * NS_PER_S) == []
    assert kinds(one.delivered(21 * NS_PER_S)) == ["recovered"]


def test_source_that_says_itself_that_it_is_quiet_is_not_doubted() -> None:
    one = Supervision("video", 0)
    one.delivered(1)
    assert one.gone_quiet()
    assert not one.gone_quiet()
    assert one.check(100 * NS_PER_S) == []
    assert kinds(one.delivered(200 * NS_PER_S)) == ["recovered"]


def test_a_source_that_has_no_more_is_not_missed() -> None:
    one = Supervision("audio", 0)
    one.delivered(1)
    one.ended()
    assert one.state is State.ENDED
    assert one.check(100 * NS_PER_S) == []


def test_flapping_source_is_said_to_flap_and_then_is_quiet() -> None:
    one = Supervision("audio", 0)
    said = []
    for second in range(50):
        said += kinds(one.delivered(second * NS_PER_S))
        said += kinds(one.failed(second * NS_PER_S + 1, "loose plug"))
    assert said == ["lost", "recovered", "lost", "recovered", "flapping"]
    assert one.losses == 50
    one.delivered(60 * NS_PER_S)
    (back,) = one.delivered(60 * NS_PER_S + STEADY_NS)
    assert (back.event, back.detail) == ("recovered", "The audio is steady again, after 47 more losses.")
    assert kinds(one.failed(200 * NS_PER_S, "again")) == ["lost"]


@given(st.lists(st.tuples(st.sampled_from(["item", "loss", "look"]), st.integers(0, 2 * NS_PER_S)), max_size=200))
def test_events_are_few_whatever_happens(story: list[tuple[str, int]]) -> None:
    one, now_ns, said = Supervision("audio", 0), 0, 0
    for what, later_ns in story:
        now_ns += later_ns
        call = {"item": one.delivered, "loss": lambda now: one.failed(now, "x"), "look": one.check}[what]
        said += len(call(now_ns))
    assert said <= 6 + 8 * now_ns / (30 * NS_PER_S) + 2 * now_ns / STALLED_NS


def test_back_off_doubles_and_begins_anew() -> None:
    back_off = BackOff()
    assert [back_off.failed(0.5) for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    back_off.succeeded()
    assert back_off.failed(0.0) == pytest.approx(0.2)
    assert back_off.failed(1.0) == pytest.approx(0.6)
