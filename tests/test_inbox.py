from __future__ import annotations

import itertools
import threading
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy import float32

from edge_avsc.health import Health
from edge_avsc.inbox import Arrival, Inbox
from edge_avsc.types import AudioChunk, Item, SourceEnded, SourceEvent, VideoFrame


class CountingClock:
    """Tells 1, 2, 3 …, and is not safe for threads: the inbox must look at it under its lock."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)

    def now_ns(self) -> int:
        return next(self._ticks)


def chunk(n: int, samples: int = 10) -> AudioChunk:
    return AudioChunk(np.zeros((samples, 1), float32), 16000, n, n)


def is_news(item: Item) -> bool:
    return isinstance(item, (SourceEnded, SourceEvent))


def test_items_come_out_in_order_with_their_arrival() -> None:
    inbox = Inbox(10, CountingClock(), Health())
    items: list[Item] = [
        chunk(0),
        VideoFrame(1),
        SourceEvent("video", "lost", "It is gone.", 2),
        SourceEnded("audio", 3),
    ]
    for item in items:
        inbox.put("s", item)
    assert inbox.take() == [Arrival("s", item, n + 1) for n, item in enumerate(items)]
    assert inbox.take() == []


KINDS = st.sampled_from(["audio", "video", "news"])


@given(
    capacity=st.integers(1, 8),
    puts=st.lists(st.one_of(st.just("take"), st.tuples(st.sampled_from("ab"), KINDS)), max_size=60),
)
def test_the_bound_is_honoured_the_oldest_go_and_news_never(capacity: int, puts: list[str | tuple[str, str]]) -> None:
    health = Health()
    inbox = Inbox(capacity, CountingClock(), health)
    truth: list[tuple[str, Item]] = []
    lost: Counter[tuple[str, str]] = Counter()
    for n, put in enumerate(puts):
        if isinstance(put, str):
            taken = [(arrival.stream, arrival.item) for arrival in inbox.take()]
            assert [id(item) for _, item in taken] == [id(item) for _, item in truth]
            assert len(taken) <= max(capacity, sum(is_news(item) for _, item in taken))
            truth = []
            continue
        stream, kind = put
        item: Item = SourceEnded("audio", n)
        if kind != "news":
            item = chunk(n, n + 1) if kind == "audio" else VideoFrame(n)
        inbox.put(stream, item)
        truth.append((stream, item))
        heavy = [one for one in truth if not is_news(one[1])]
        if len(truth) > capacity and heavy:
            gone_from, gone = heavy[0]
            truth = [one for one in truth if one[1] is not gone]
            if isinstance(gone, AudioChunk):
                lost[gone_from, "audio_dropped_samples"] += len(gone.samples)
            else:
                lost[gone_from, "video_dropped_frames"] += 1
    for stream in "ab":
        assert health.counters(stream) == {counter: n for (where, counter), n in lost.items() if where == stream}


def test_threads_that_put_at_the_same_time_lose_nothing_without_a_number() -> None:
    health = Health()
    inbox = Inbox(50, CountingClock(), health)
    threads_count, each = 8, 500
    together = threading.Barrier(threads_count + 1)

    def put(thread: int) -> None:
        together.wait()
        for n in range(each):
            kind = n % 5
            if kind == 4:
                inbox.put(str(thread), SourceEvent("audio", "note", str(n), n))
            else:
                inbox.put(str(thread), chunk(n, 3) if kind % 2 else VideoFrame(n))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(threads_count)]
    for thread in threads:
        thread.start()
    together.wait()
    taken: list[Arrival] = []
    while any(thread.is_alive() for thread in threads):
        taken += inbox.take()
    for thread in threads:
        thread.join()
    taken += inbox.take()
    arrivals = [arrival.arrived_ns for arrival in taken]
    assert arrivals == sorted(set(arrivals))
    assert max(arrivals) <= threads_count * each
    for name in map(str, range(threads_count)):
        mine = [arrival.item for arrival in taken if arrival.stream == name]
        times = [item.time_ns for item in mine]
        assert times == sorted(times)
        counted = health.counters(name)
        chunks = sum(isinstance(item, AudioChunk) for item in mine)
        frames = sum(isinstance(item, VideoFrame) for item in mine)
        assert chunks * 3 + counted.get("audio_dropped_samples", 0) == each // 5 * 2 * 3
        assert frames + counted.get("video_dropped_frames", 0) == each // 5 * 2
        assert sum(map(is_news, mine)) == each // 5


def test_who_waits_is_woken_by_the_first_item() -> None:
    inbox = Inbox(5, CountingClock(), Health())
    taken: list[Arrival] = []
    reader = threading.Thread(target=lambda: taken.extend(inbox.take(timeout_s=60.0)))
    reader.start()
    inbox.put("s", VideoFrame(7))
    reader.join()
    assert [arrival.item for arrival in taken] == [VideoFrame(7)]


def test_waiting_in_vain_gives_nothing() -> None:
    assert Inbox(5, CountingClock(), Health()).take(timeout_s=0.001) == []
