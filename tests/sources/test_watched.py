from __future__ import annotations

import threading

import pytest

from edge_avsc.errors import DeviceError
from edge_avsc.sources._watched import Feed, Watched
from edge_avsc.types import NS_PER_S, Item, VideoFrame
from sources.live import SetClock, run_until_lost

PATIENCE_S = 5.0


def test_items_come_until_it_is_stopped() -> None:
    stop = threading.Event()
    ended = threading.Event()
    items: list[Item] = []

    def read(feed: Feed) -> None:
        feed.opened = True
        while feed.wanted:
            feed.alive()
            feed.put(VideoFrame(len(items)))
            if len(items) == 3:
                stop.set()
        ended.set()

    Watched("X", SetClock(), read).run(items.append, stop)
    assert ended.wait(PATIENCE_S)
    assert len(items) >= 3


def test_nothing_comes_after_it_returned() -> None:
    clock, go_on, tried = SetClock(), threading.Event(), threading.Event()

    def read(feed: Feed) -> None:
        feed.opened = True
        clock.time_ns += 2 * NS_PER_S
        go_on.wait(PATIENCE_S)
        feed.put(VideoFrame(1))
        tried.set()

    delivered = run_until_lost(Watched("X", clock, read))
    assert delivered.sentence == "X has sent nothing for 1 s; check its power and its cable."
    go_on.set()
    assert tried.wait(PATIENCE_S)
    assert delivered.items == []


def test_one_that_does_not_open_is_given_up_and_waited_for_before_the_next_attempt() -> None:
    clock, released = SetClock(), threading.Event()
    attempts: list[int] = []

    def read(feed: Feed) -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            clock.time_ns += 3 * NS_PER_S
            released.wait(PATIENCE_S)
        raise DeviceError("X is lost.")

    watched = Watched("X", clock, read, opening_s=2.0)
    assert run_until_lost(watched).sentence.startswith("X did not open within 2 s;")
    threading.Timer(0.05, released.set).start()
    assert run_until_lost(watched).sentence == "X is lost."
    assert attempts == [0, 1]


def test_one_that_blocks_for_ever_has_one_thread_at_most() -> None:
    clock, released = SetClock(), threading.Event()
    asked: list[int] = []

    class Waiting(SetClock):
        def now_ns(self) -> int:
            asked.append(0)
            # Each look at the clock is a second: nobody has to wait for real.
            return clock.time_ns + len(asked) * NS_PER_S

    def read(feed: Feed) -> None:
        released.wait(PATIENCE_S)

    watched = Watched("X", Waiting(), read)
    assert run_until_lost(watched).sentence.startswith("X did not open")
    before = threading.active_count()
    assert run_until_lost(watched).sentence.startswith("X still blocks an earlier attempt")
    assert threading.active_count() == before
    released.set()


def test_what_goes_wrong_in_the_thread_is_raised() -> None:
    def read(feed: Feed) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        Watched("X", SetClock(), read).run(lambda item: None, threading.Event())


def test_one_that_returns_has_ended() -> None:
    assert run_until_lost(Watched("X", SetClock(), lambda feed: None)).sentence == "X has ended; start it again."


def test_one_that_was_stopped_before_opens_nothing() -> None:
    stop = threading.Event()
    stop.set()
    opened: list[Feed] = []
    Watched("X", SetClock(), opened.append).run(lambda item: None, stop)
    assert opened == []
