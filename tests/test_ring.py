from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.ring import IndexRing, TimeRing


@given(
    capacity=st.integers(1, 12),
    first=st.integers(-20, 20),
    writes=st.lists(st.tuples(st.integers(-15, 40), st.integers(0, 30)), max_size=12),
    reads=st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 40)), min_size=1, max_size=6),
)
def test_ring_agrees_with_a_dictionary(
    capacity: int, first: int, writes: list[tuple[int, int]], reads: list[tuple[int, int]]
) -> None:
    ring = IndexRing(capacity, np.int64)
    truth: dict[int, int] = {}
    end: int | None = None
    for step, n in writes:
        index = step if end is None else end + step
        if end is None:
            index = first
        rows = np.arange(index, index + n) * 1000 + n
        refused = ring.write(index, rows)
        expected_refused = 0 if end is None else min(max(0, end - index), n)
        assert refused == expected_refused
        for at in range(index + expected_refused, index + n):
            truth[at] = at * 1000 + n
        if n > expected_refused:
            end = index + n
        assert ring.end == end
        for start, count in reads:
            start += end or 0
            values, present = ring.read(start, count)
            assert len(values) == len(present) == count
            for offset in range(count):
                at = start + offset
                remembered = end is not None and end - capacity <= at and at in truth
                assert present[offset] == remembered
                if remembered:
                    assert values[offset] == truth[at]


@given(capacity=st.integers(1, 9), sizes=st.lists(st.integers(0, 20), max_size=15))
def test_ring_holds_the_newest_rows_of_any_blocks(capacity: int, sizes: list[int]) -> None:
    ring = IndexRing(capacity, np.float32)
    everything = np.arange(sum(sizes), dtype=np.float32)
    index = 0
    for size in sizes:
        assert ring.write(index, everything[index : index + size]) == 0
        index += size
    held = min(capacity, index)
    values, present = ring.read(index - held, held)
    assert present.all()
    np.testing.assert_array_equal(values, everything[index - held :])


def test_gap_longer_than_the_memory_forgets_everything() -> None:
    ring = IndexRing(4, np.int64)
    ring.write(0, np.arange(4))
    ring.write(10**12, np.array([7]))
    values, present = ring.read(10**12 - 3, 4)
    assert present.tolist() == [False, False, False, True]
    assert values[3] == 7


def test_skipped_rows_are_a_gap_and_later_rows_for_them_are_refused() -> None:
    ring = IndexRing(8, np.int64)
    ring.skip_to(3)
    assert ring.end is None
    ring.write(0, np.arange(4))
    ring.skip_to(2)
    assert ring.end == 4
    ring.skip_to(6)
    assert ring.write(4, np.array([4, 5, 6])) == 2
    assert ring.read(0, 7)[1].tolist() == [True] * 4 + [False] * 2 + [True]


def test_structured_rows_travel_whole() -> None:
    row = np.dtype([("mel", np.float32, (3,)), ("arrived_ns", np.int64)])
    ring = IndexRing(2, row)
    rows = np.zeros(3, row)
    rows["mel"] = np.arange(9).reshape(3, 3)
    rows["arrived_ns"] = [5, 6, 7]
    ring.write(0, rows)
    values, present = ring.read(1, 2)
    assert present.all()
    assert values["arrived_ns"].tolist() == [6, 7]
    assert values["mel"].tolist() == [[3, 4, 5], [6, 7, 8]]


@given(
    capacity=st.integers(1, 6),
    steps=st.lists(st.integers(1, 50), max_size=30),
    span=st.tuples(st.integers(-10, 800), st.integers(-10, 800)),
    forget=st.integers(-10, 800),
)
def test_time_ring_keeps_the_newest_in_order(
    capacity: int, steps: list[int], span: tuple[int, int], forget: int
) -> None:
    ring: TimeRing[str] = TimeRing(capacity)
    times = np.cumsum(steps).tolist()
    evicted = sum(ring.put(time_ns, f"at {time_ns}") for time_ns in times)
    kept = times[-capacity:]
    assert evicted == len(times) - len(kept)
    assert ring.between(*span) == [f"at {t}" for t in kept if span[0] <= t < span[1]]
    ring.forget_before(forget)
    assert len(ring) == len([t for t in kept if t >= forget])
    assert ring.between(-(10**9), 10**9) == [f"at {t}" for t in kept if t >= forget]


@pytest.mark.parametrize("time_ns", [5, 4, -1])
def test_time_ring_refuses_times_that_do_not_grow(time_ns: int) -> None:
    ring: TimeRing[str] = TimeRing(3)
    ring.put(5, "five")
    with pytest.raises(ValueError, match="is not after 5"):
        ring.put(time_ns, "again")
