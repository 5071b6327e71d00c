from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.health import Health
from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import ScenePipeline
from edge_avsc.stream import StreamSettings
from edge_avsc.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioChunk,
    Item,
    Role,
    SceneEstimate,
    SourceEnded,
    SourceEvent,
    StreamEvent,
    VideoFrame,
)
from scribe_model import RATE_HZ, ScribeModel, named_chunk, named_frame

HOPS_MS = (50, 100, 250, 500, 1000, 1500, 2000)
LATENESS_MS = 150
FRAMES_PER_S = 2
COLUMNS, HOP, N_FFT = 37, 400, 512
Contents = tuple[list[int] | None, list[int] | None]


def both() -> frozenset[Role]:
    return frozenset(("audio", "video"))


class Road:
    """One stream down the pipeline, with a model that notes what each window is made of."""

    def __init__(
        self,
        tiny_model: SceneModel,
        hop_ms: int,
        *,
        recorded: bool,
        roles: frozenset[Role] | None = None,
        max_batch: int = 1,
    ) -> None:
        self.scribe = ScribeModel(tiny_model.bundle, max_batch)
        self.health = Health()
        self.pipeline = ScenePipeline(
            self.scribe.as_model(),
            hop_ns=hop_ms * NS_PER_MS,
            max_lateness_ns=LATENESS_MS * NS_PER_MS,
            health=self.health,
        )
        self.pipeline.open("s", StreamSettings(both() if roles is None else roles, epoch_ns=0, recorded=recorded))
        self.estimates: list[SceneEstimate] = []
        self.events: list[StreamEvent] = []

    def process(self, items: Sequence[tuple[Item, int]], now_ns: int) -> list[int]:
        """Hand in items with their arrival times; return the indices of the windows that came."""
        before = len(self.estimates)
        for output in self.pipeline.process([Arrival("s", item, at_ns) for item, at_ns in items], now_ns):
            if isinstance(output, SceneEstimate):
                self.estimates.append(output)
            else:
                self.events.append(output)
        return [estimate.index for estimate in self.estimates[before:]]

    def contents(self) -> list[Contents]:
        """Return, for each window, what it was made of: (None, None) where there was nothing."""
        scored = iter(self.scribe.scored)
        result = [(None, None) if e.modality == "none" else next(scored) for e in self.estimates]
        assert next(scored, None) is None
        return result


# What a window must be made of, reckoned anew and in the plainest way.


def wanted_frames(times_ms: Sequence[int]) -> list[int]:
    """For each j the first frame at or after (j + 1/2) / frames_per_s; those that do not go forward are no frames."""
    forward: list[int] = []
    for time_ms in times_ms:
        if not forward or time_ms > forward[-1]:
            forward.append(time_ms)
    wanted: set[int] = set()
    for j in range(60 * FRAMES_PER_S):
        moment_ms = (j + 0.5) * 1000 / FRAMES_PER_S
        wanted.update([t for t in forward if t >= moment_ms][:1])
    return sorted(wanted)


def present_samples(items: Sequence[Item]) -> NDArray[np.bool_]:
    """Which of the first minute's samples the chunks bring; sample 0 is at time 0."""
    present = np.zeros(60 * RATE_HZ, np.bool_)
    for item in items:
        if isinstance(item, AudioChunk):
            first = item.time_ns * 16 // NS_PER_MS
            present[first : first + len(item.samples)] = True
    return present


def column_starts(origin: int, start_ms: int) -> list[int]:
    """The first samples of a window's columns; column 0 begins with the source's first sample, *origin*."""
    first = -((origin - start_ms * 16) // HOP)
    return [origin + c * HOP for c in range(first, first + COLUMNS)]


def expected_sound(present: NDArray[np.bool_], start_ms: int) -> tuple[list[int] | None, float]:
    """The first samples of the window's 37 columns, each lost one replaced by the nearest; and the coverage."""
    starts = column_starts(int(present.argmax()), start_ms)
    heard = [s for s in starts if s >= 0 and present[s : s + N_FFT].all()]
    if 2 * len(heard) < COLUMNS:
        return None, len(heard) / COLUMNS
    return [min(heard, key=lambda other: abs(other - s)) for s in starts], len(heard) / COLUMNS


def expected_count(duration_ns: int, hop_ns: int) -> int:
    """The contract's formula, a tail of up to 1 ms forgiven, in integers."""
    return max(0, (duration_ns + NS_PER_MS - NS_PER_S) // hop_ns + 1)


@dataclass(frozen=True)
class Recording:
    """Sound with gaps, pictures with gaps, repeats and steps back."""

    sound_ms: int
    lost: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    step_ms: int
    frames: int
    jitter: tuple[int, ...]
    cut_ms: int
    more_ms: int

    def sound(self) -> list[Item]:
        present = np.ones(self.sound_ms * 16, np.bool_)
        for start, length in self.lost:
            present[start : start + length] = False
        if len(present):
            present[0] = True  # a source begins with its first sample
        edges = np.flatnonzero(np.diff(np.concatenate(([False], present, [False])).astype(np.int8)))
        items: list[Item] = []
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            while begin < end:
                count = min(self.sizes[len(items) % len(self.sizes)], end - begin)
                items.append(named_chunk(begin, count))
                begin += count
        return [*items, SourceEnded("audio", self.sound_ms * NS_PER_MS)]

    def frame_times_ms(self) -> list[int]:
        times = [
            max(0, n * self.step_ms + self.jitter[n % len(self.jitter)])
            for n in range(min(self.frames, 6000 // self.step_ms))
        ]
        return [t for t in times if not self.cut_ms <= t < self.cut_ms + 1200]

    def pictures(self) -> list[Item]:
        times = self.frame_times_ms()
        return [*map(named_frame, times), SourceEnded("video", (max(times, default=0) + self.more_ms) * NS_PER_MS)]


def tuples(values: st.SearchStrategy[int], most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(values, min_size=1, max_size=most).map(tuple)


recordings = st.builds(
    Recording,
    sound_ms=st.integers(0, 5000),
    lost=st.lists(st.tuples(st.integers(0, 80000), st.integers(1, 30000)), max_size=3).map(tuple),
    sizes=tuples(st.integers(200, 20000), 5),
    step_ms=st.sampled_from([33, 40, 80, 200, 500, 1000, 1900]),
    frames=st.integers(0, 120),
    jitter=tuples(st.integers(-60, 60), 7),
    cut_ms=st.integers(0, 5000),
    more_ms=st.integers(0, 100),
)


@given(
    recording=recordings,
    hop_ms=st.sampled_from(HOPS_MS),
    turns=tuples(st.integers(0, 50), 12),
    at_once=st.booleans(),
    max_batch=st.sampled_from([1, 4]),
)
@settings(max_examples=120)
def test_a_recordings_windows_are_whole_in_order_and_their_own(
    tiny_model: SceneModel, recording: Recording, hop_ms: int, turns: tuple[int, ...], at_once: bool, max_batch: int
) -> None:
    """Whatever the blocks, the gaps, and the order in which sound and pictures take turns."""
    waiting = [recording.sound(), recording.pictures()]
    present, frames_ms = present_samples(waiting[0]), recording.frame_times_ms()
    wanted = wanted_frames(frames_ms)
    ends_ns = [parts[-1].time_ns for parts in waiting]
    items: list[Item] = []
    for n in range(200):
        turn, role = turns[n % len(turns)], n % 2
        items += waiting[role][:turn]
        del waiting[role][:turn]
    items += waiting[0] + waiting[1]
    road = Road(tiny_model, hop_ms, recorded=True, max_batch=max_batch)
    # Now lies far ahead: in a recording nothing is late.
    now_ns = 10**15
    if at_once:
        road.process([(item, now_ns) for item in items], now_ns)
    else:
        for item in items:
            road.process([(item, now_ns)], now_ns)
    count = expected_count(max(ends_ns), hop_ms * NS_PER_MS)
    assert [e.index for e in road.estimates] == list(range(count))
    for estimate, (sound, pictures) in zip(road.estimates, road.contents(), strict=True):
        start_ms = estimate.index * hop_ms
        assert (estimate.start_ns, estimate.end_ns) == (start_ms * NS_PER_MS, start_ms * NS_PER_MS + NS_PER_S)
        assert (sound, estimate.audio_coverage) == expected_sound(present, start_ms)
        assert (pictures or []) == [t for t in wanted if start_ms <= t < start_ms + 1000]
    counters = road.health.counters("s")
    assert not counters.keys() & {"audio_late_columns", "video_late_frames", "video_evicted_frames"}
    assert sum(n for counter, n in counters.items() if counter.startswith("windows_")) == count


@dataclass(frozen=True)
class Life:
    """One source of a live stream: it dies and returns, and its items come with delays and in bursts."""

    spans_ms: tuple[tuple[int, int], ...]
    step_ms: int
    delays_ms: tuple[int, ...]
    tells: bool

    def arrivals(self, role: Role) -> list[tuple[Item, int]]:
        result: list[tuple[Item, int]] = []
        at_ms = arrived_ms = 0
        for away_ms, alive_ms in self.spans_ms:
            at_ms += away_ms
            began_ms = at_ms
            while at_ms < began_ms + alive_ms:
                item: Item = named_frame(at_ms)
                if role == "audio":
                    item = named_chunk(at_ms * 16, self.step_ms * 16, index=(at_ms - began_ms) * 16)
                delay_ms = self.delays_ms[len(result) % len(self.delays_ms)]
                at_ms += self.step_ms
                arrived_ms = max(arrived_ms, at_ms + delay_ms)
                result.append((item, arrived_ms * NS_PER_MS))
            if self.tells:
                result.append((SourceEnded(role, at_ms * NS_PER_MS), arrived_ms * NS_PER_MS))
        return result


def lives(steps_ms: list[int]) -> st.SearchStrategy[Life]:
    return st.builds(
        Life,
        spans_ms=st.lists(st.tuples(st.integers(1, 1500), st.integers(100, 2500)), min_size=1, max_size=3).map(tuple),
        step_ms=st.sampled_from(steps_ms),
        delays_ms=tuples(st.one_of(st.integers(0, 60), st.integers(0, 900)), 12),
        tells=st.booleans(),
    )


@given(
    sound=lives([10, 20, 100]),
    pictures=lives([33, 40, 200, 700]),
    after_ms=st.integers(0, 3000),
    hop_ms=st.sampled_from(HOPS_MS),
    batches=tuples(st.integers(1, 40), 8),
    behind_ms=tuples(st.integers(0, 700), 8),
)
@settings(max_examples=120)
def test_a_live_streams_windows_survive_jitter_death_and_return(
    tiny_model: SceneModel,
    sound: Life,
    pictures: Life,
    after_ms: int,
    hop_ms: int,
    batches: tuple[int, ...],
    behind_ms: tuple[int, ...],
) -> None:
    arrivals = sorted(sound.arrivals("audio") + pictures.arrivals("video"), key=lambda arrival: arrival[1])
    over_ns = arrivals[-1][1] + after_ms * NS_PER_MS
    prompt, busy = (Road(tiny_model, hop_ms, recorded=False) for _ in range(2))
    for item, at_ns in arrivals:
        prompt.process([(item, at_ns)], at_ns)
    prompt.process([], over_ns)
    # A reader that is busy takes what came meanwhile in one go, later: that changes nothing.
    first = n = 0
    while first < len(arrivals):
        last = min(len(arrivals), first + batches[n % len(batches)])
        now_ns = arrivals[last - 1][1] + behind_ms[n % len(behind_ms)] * NS_PER_MS
        busy.process(arrivals[first:last], min([now_ns, over_ns, *(at_ns for _, at_ns in arrivals[last : last + 1])]))
        first, n = last, n + 1
    busy.process([], over_ns)
    assert busy.estimates == prompt.estimates
    assert busy.contents() == prompt.contents()
    assert busy.health.counters("s") == prompt.health.counters("s")

    assert [e.index for e in prompt.estimates] == list(range(len(prompt.estimates)))
    assert len(prompt.estimates) >= max(0, (over_ns // NS_PER_MS - 1000 - LATENESS_MS) // hop_ms + 1)
    assert_contents_are_their_own(prompt, arrivals, hop_ms)


def assert_contents_are_their_own(road: Road, arrivals: list[tuple[Item, int]], hop_ms: int) -> None:
    present = present_samples([item for item, _ in arrivals])
    frames_ms = [(item.time_ns // NS_PER_MS, at_ns) for item, at_ns in arrivals if isinstance(item, VideoFrame)]
    wanted = wanted_frames([time_ms for time_ms, _ in frames_ms])
    for k, (sound, pictures) in enumerate(road.contents()):
        start_ms = k * hop_ms
        inside = [t for t in wanted if start_ms <= t < start_ms + 1000]
        assert set(pictures or []) <= set(inside)
        assert set(sound or []) <= set(column_starts(int(present.argmax()), start_ms))
        # Who said that it ended is not waited for: after its return, only what comes at once is sure to be in time.
        patience_ms = -70 if any(isinstance(item, SourceEnded) for item, _ in arrivals) else LATENESS_MS
        end_ns = (start_ms + 1000) * NS_PER_MS
        if all(at_ns < end_ns + patience_ms * NS_PER_MS for item, at_ns in arrivals if item.time_ns < end_ns):
            assert (pictures or []) == inside
            assert sound == expected_sound(present, start_ms)[0]


@given(
    duration_ms=st.integers(0, 6000),
    tail_us=st.sampled_from([0, 1, 999, 1000, 1001, 1999]),
    shorter_ms=st.integers(0, 6000),
    hop_ms=st.sampled_from(HOPS_MS),
    longer=st.sampled_from(["audio", "video"]),
    roles=st.sampled_from(["both", "longer alone"]),
)
def test_a_recording_gives_as_many_windows_as_the_formula_says(
    tiny_model: SceneModel, duration_ms: int, tail_us: int, shorter_ms: int, hop_ms: int, longer: Role, roles: str
) -> None:
    """max(0, floor((duration - 1) / hop) + 1) of the longer source, and a tail short by at most 1 ms is whole."""
    duration_ns = max(0, duration_ms * NS_PER_MS - tail_us * 1000)
    other: Role = "video" if longer == "audio" else "audio"
    alone: frozenset[Role] = frozenset((longer,))
    road = Road(tiny_model, hop_ms, recorded=True, roles=both() if roles == "both" else alone)
    ends: list[tuple[Item, int]] = [(SourceEnded(longer, duration_ns), 0)]
    if roles == "both":
        ends.insert(0, (SourceEnded(other, min(shorter_ms * NS_PER_MS, duration_ns)), 0))
    road.process(ends, 0)
    short_ns = (-(duration_ns - NS_PER_S)) % (hop_ms * NS_PER_MS)
    truth = 0
    while truth * hop_ms * NS_PER_MS + NS_PER_S - NS_PER_MS <= duration_ns:
        truth += 1
    assert len(road.estimates) == truth == expected_count(duration_ns, hop_ms * NS_PER_MS)
    if not 0 < short_ns <= NS_PER_MS:
        assert truth == max(0, (duration_ns - NS_PER_S) // (hop_ms * NS_PER_MS) + 1)


@pytest.mark.parametrize("tail_us", [0, 1, 1000])
def test_a_tail_short_by_a_millisecond_is_whole(tiny_model: SceneModel, tail_us: int) -> None:
    road = Road(tiny_model, 500, recorded=True)
    road.process([(SourceEnded("audio", 3 * NS_PER_S - tail_us * 1000), 0), (SourceEnded("video", 0), 0)], 0)
    assert len(road.estimates) == 5


def test_a_tail_short_by_more_is_not(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 500, recorded=True)
    road.process([(SourceEnded("audio", 3 * NS_PER_S - 1_000_001), 0), (SourceEnded("video", 0), 0)], 0)
    assert len(road.estimates) == 4


@pytest.mark.parametrize("still_s", [5, 20, 70])
def test_pictures_that_stand_still_for_long_cost_no_sound(tiny_model: SceneModel, still_s: int) -> None:
    """A slide show has one frame in a minute: its windows must not outlast what the track of the sound remembers."""
    road = Road(tiny_model, 500, recorded=True)
    end_ms = (still_s + 4) * 1000
    items: list[tuple[int, Item]] = [((at + 100), named_chunk(at * 16, 1600)) for at in range(0, end_ms, 100)]
    times_ms = [*range(0, 2000, 40), *range(2000 + still_s * 1000, end_ms, 40)]
    items += [(t, named_frame(t)) for t in times_ms]
    items += [(end_ms, SourceEnded("audio", end_ms * NS_PER_MS)), (end_ms, SourceEnded("video", end_ms * NS_PER_MS))]
    for _, item in sorted(items, key=lambda one: one[0]):
        road.process([(item, 0)], 0)
    assert len(road.estimates) == expected_count(end_ms * NS_PER_MS, 500 * NS_PER_MS)
    assert all(estimate.audio_coverage == 1.0 for estimate in road.estimates)
    wanted = wanted_frames(times_ms) if still_s < 50 else []
    for estimate, (_, pictures) in zip(road.estimates, road.contents(), strict=True):
        start_ms = estimate.index * 500
        if wanted:
            assert (pictures or []) == [t for t in wanted if start_ms <= t < start_ms + 1000]
    assert "video_late_frames" not in road.health.counters("s")


def test_a_chunk_longer_than_all_memory_loses_nothing(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 1000, recorded=True, roles=frozenset(("audio",)))
    road.process([(named_chunk(0, 90 * 16000), 0), (SourceEnded("audio", 90 * NS_PER_S), 0)], 0)
    assert len(road.estimates) == 90
    for estimate, (sound, _) in zip(road.estimates, road.contents(), strict=True):
        assert estimate.audio_coverage == 1.0
        assert sound is not None
        assert sound[0] == estimate.index * 16000


@pytest.mark.parametrize("lateness_ms", [0, 150, 10_000])
def test_sound_waits_for_pictures_up_to_any_lateness_that_may_be_configured(
    tiny_model: SceneModel, lateness_ms: int
) -> None:
    scribe = ScribeModel(tiny_model.bundle)
    pipeline = ScenePipeline(scribe.as_model(), hop_ns=500 * NS_PER_MS, max_lateness_ns=lateness_ms * NS_PER_MS)
    pipeline.open("s", StreamSettings(both(), epoch_ns=0, recorded=False))
    came: dict[int, int] = {}
    for at_ms in range(0, 15_000, 20):
        now_ns = (at_ms + 20) * NS_PER_MS
        for output in pipeline.process([Arrival("s", named_chunk(at_ms * 16, 320), now_ns)], now_ns):
            assert isinstance(output, SceneEstimate)
            assert (output.modality, output.audio_coverage) == ("a", 1.0)
            came[output.index] = now_ns
    # The camera never delivers: each window comes at the bound, to the 20 ms of the blocks.
    assert came
    for k, now_ns in came.items():
        assert 0 <= now_ns - (k * 500 + 1000 + lateness_ms) * NS_PER_MS < 20 * NS_PER_MS


def test_a_window_comes_with_the_block_that_completes_it(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 500, recorded=False)
    arrivals: list[tuple[Item, int]] = [(named_frame(t), t * NS_PER_MS) for t in range(0, 2000, 40)]
    arrivals += [(named_chunk(t * 16, 160), (t + 10) * NS_PER_MS) for t in range(0, 2000, 10)]
    came: dict[int, int] = {}
    for item, at_ns in sorted(arrivals, key=lambda one: one[1]):
        for k in road.process([(item, at_ns)], at_ns):
            came[k] = at_ns
    # The last of the 37 columns ends 932 ms after the window's start.
    assert came == {k: (k * 500 + 940) * NS_PER_MS for k in range(3)}


@pytest.mark.parametrize(("frame_delay_ms", "due_ms"), [(0, 940), (180, 940), (250, 1010), (380, 1140), (500, 1150)])
def test_a_window_waits_for_its_wanted_pictures_and_no_longer(
    tiny_model: SceneModel, frame_delay_ms: int, due_ms: int
) -> None:
    """The last wanted frame is the one of 760 ms; later ones of the window are not waited for."""
    road = Road(tiny_model, 1000, recorded=False)
    arrivals: list[tuple[Item, int]] = [(named_frame(t), (t + frame_delay_ms) * NS_PER_MS) for t in range(0, 1500, 40)]
    arrivals += [(named_chunk(t * 16, 160), (t + 10) * NS_PER_MS) for t in range(0, 1500, 10)]
    arrivals.sort(key=lambda one: one[1])
    for now_ns in range(0, 1500 * NS_PER_MS, 10 * NS_PER_MS):
        now_items = [one for one in arrivals if now_ns - 10 * NS_PER_MS < one[1] <= now_ns]
        if road.process(now_items, now_ns):
            assert now_ns == due_ms * NS_PER_MS
            break
    assert len(road.estimates) == 1
    assert road.contents()[0][1] == ([280, 760] if frame_delay_ms < 390 else [280])


@pytest.mark.parametrize("ended", ["audio", "video"])
def test_a_modality_that_ended_is_not_waited_for_and_one_that_returned_is(tiny_model: SceneModel, ended: Role) -> None:
    road = Road(tiny_model, 1000, recorded=False)
    away = range(2000, 4000)
    arrivals: list[tuple[Item, int]] = [(SourceEnded(ended, 2000 * NS_PER_MS), 2005)]
    arrivals += [(named_frame(t), t + 1) for t in range(0, 7000, 40) if ended == "audio" or t not in away]
    arrivals += [(named_chunk(t * 16, 160), t + 10) for t in range(0, 7000, 10) if ended == "video" or t not in away]
    came: dict[int, int] = {}
    for item, at_ms in sorted(arrivals, key=lambda one: one[1]):
        for k in road.process([(item, at_ms * NS_PER_MS)], at_ms * NS_PER_MS):
            came[k] = at_ms
    modalities = [estimate.modality for estimate in road.estimates]
    without = "v" if ended == "audio" else "a"
    assert modalities[:6] == ["av", "av", without, without, "av", "av"]
    # Pictures alone: the window must be over. Sound alone: its last column says when.
    assert came[3] == (4001 if ended == "audio" else 3940)
    assert came[4] == 4940
    assert road.estimates[4].audio_coverage == road.estimates[4].video_coverage == 1.0


def test_what_comes_too_late_is_counted(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 1000, recorded=False)
    road.process([(named_chunk(0, 8000), 0), (named_frame(300), 0)], 0)
    assert road.process([], 1149 * NS_PER_MS) == []
    assert road.process([], 1150 * NS_PER_MS) == [0]
    late_ns = 1200 * NS_PER_MS
    road.process(
        [(named_frame(760), late_ns), (named_chunk(8000, 12000), late_ns), (named_frame(1280), late_ns)], late_ns
    )
    counters = road.health.counters("s")
    assert counters["video_late_frames"] == 1
    # Columns 0..18 were there in time.
    assert counters["audio_late_columns"] == COLUMNS - 19
    assert 760 not in road.scribe.embedded


def test_between_windows_that_lie_apart_no_picture_is_embedded(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 60_000, recorded=True, roles=frozenset(("video",)))
    for t in range(0, 125_000, 100):
        road.process([(named_frame(t), 0)], 0)
    assert [pictures for _, pictures in road.contents()] == [[300, 800], [60_300, 60_800], [120_300, 120_800]]
    counters = road.health.counters("s")
    assert "video_evicted_frames" not in counters
    assert "video_late_frames" not in counters
    assert road.scribe.embedded == [300, 800, 60_300, 60_800, 120_300, 120_800]


@given(
    jitter_ms=st.integers(0, 8),
    ppm=st.integers(-300, 300),
    block_ms=st.sampled_from([5, 10, 20]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_jitter_of_the_stamps_moves_windows_by_little_and_doubles_nothing(
    tiny_model: SceneModel, jitter_ms: int, ppm: int, block_ms: int, seed: int
) -> None:
    road = Road(tiny_model, 250, recorded=False, roles=frozenset(("audio",)))
    rng = np.random.default_rng(seed)
    block = block_ms * 16
    for n in range(20_000 // block_ms):
        chunk = named_chunk(n * block, block)
        true_ns = round(chunk.time_ns / (1 + ppm * 1e-6))
        stamp_ns = true_ns + int(rng.uniform(-jitter_ms, jitter_ms) * NS_PER_MS)
        arrived_ns = true_ns + block_ms * NS_PER_MS + 10 * NS_PER_MS
        road.process([(AudioChunk(chunk.samples, chunk.rate_hz, chunk.index, stamp_ns), arrived_ns)], arrived_ns)
    assert [e.index for e in road.estimates] == list(range(len(road.estimates)))
    assert len(road.estimates) >= 75
    assert "audio_late_columns" not in road.health.counters("s")
    for k, (sound, _) in enumerate(road.contents()):
        assert sound is not None
        if road.estimates[k].audio_coverage == 1.0:
            assert np.diff(sound).tolist() == [HOP] * (COLUMNS - 1)
        true_start = k * 250 * 16 * (1 + ppm * 1e-6)
        assert abs(sound[0] - true_start) <= HOP + (2 * jitter_ms + 4) * 16
        if k >= 8:
            assert road.estimates[k].audio_coverage == 1.0


# The same with a real, tiny model.


def noise_chunks(seconds: float, block: int, seed: int = 3) -> list[Item]:
    sound = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * 48000), 2)).astype(float32)
    items: list[Item] = [
        AudioChunk(sound[n : n + block], 48000, n, n * NS_PER_S // 48000) for n in range(0, len(sound), block)
    ]
    return [*items, SourceEnded("audio", len(sound) * NS_PER_S // 48000)]


def noise_frames(seconds: float, seed: int = 4) -> list[Item]:
    rng = np.random.default_rng(seed)
    items: list[Item] = [
        VideoFrame(n * 40 * NS_PER_MS, None, rng.integers(0, 256, (12, 20, 3)).astype(np.uint8))
        for n in range(round(seconds * 25))
    ]
    return [*items, SourceEnded("video", round(seconds * NS_PER_S))]


def played(model: SceneModel, hop_ms: int, block: int, seconds: float = 6.0) -> list[SceneEstimate]:
    pipeline = ScenePipeline(model, hop_ns=hop_ms * NS_PER_MS)
    pipeline.open("s", StreamSettings(both(), epoch_ns=0, recorded=True))
    items = sorted(noise_chunks(seconds, block) + noise_frames(seconds), key=lambda item: item.time_ns)
    outputs = [o for item in items for o in pipeline.process([Arrival("s", item, item.time_ns)], item.time_ns)]
    return [o for o in outputs if isinstance(o, SceneEstimate)]


def test_blocks_change_no_bit_of_the_estimates(tiny_model: SceneModel) -> None:
    whole = played(tiny_model, 250, 6 * 48000)
    assert len(whole) == 21
    assert {e.modality for e in whole} == {"av"}
    for block in (160, 1024, 4801, 100_000):
        assert played(tiny_model, 250, block) == whole


def test_hops_share_the_probabilities_of_the_windows_that_they_share(tiny_model: SceneModel) -> None:
    fine, coarse = played(tiny_model, 250, 1024), played(tiny_model, 500, 1024)
    assert len(fine) == 21
    assert len(coarse) == 11
    for estimate in coarse:
        shared = fine[2 * estimate.index]
        assert shared.start_ns == estimate.start_ns
        assert shared.window_probabilities == estimate.window_probabilities
    assert len({tuple(e.window_probabilities.values()) for e in fine}) == 21


class SteppingClock:
    """Each look at it takes a millisecond."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        self._now_ns += NS_PER_MS
        return self._now_ns


def test_a_clock_measures_the_stages_and_decides_nothing(tiny_model: SceneModel) -> None:
    health = Health()
    timed = ScenePipeline(
        tiny_model, hop_ns=500 * NS_PER_MS, clock=SteppingClock(2 * NS_PER_S), health=health, max_lateness_ns=0
    )
    timed.open("s", StreamSettings(both(), epoch_ns=0, recorded=True))
    items = sorted(noise_chunks(1.5, 4800) + noise_frames(1.5), key=lambda item: item.time_ns)
    arrivals = [Arrival("s", item, item.time_ns + 100 * NS_PER_MS) for item in items]
    estimates = [o for o in timed.process(arrivals, 2 * NS_PER_S) if isinstance(o, SceneEstimate)]
    assert len(estimates) == 2
    latency = estimates[0].latency
    assert latency is not None
    assert (latency.audio, latency.fusion, latency.image) == (1.0, 1.0, 1.0)
    # The block of 0.9 s holds the last column; what a decoder holds back is the resampler's.
    assert latency.wait == pytest.approx(0.0)
    assert latency.close_to_label is not None
    assert latency.close_to_label > 1000.0
    assert health.histogram("s", "audio").count == 2
    assert health.counters("s")["windows_av"] == 2


def test_streams_do_not_mix(tiny_model: SceneModel) -> None:
    scribe = ScribeModel(tiny_model.bundle)
    pipeline = ScenePipeline(scribe.as_model(), hop_ns=NS_PER_S)
    pipeline.open("a", StreamSettings(frozenset(("audio",)), epoch_ns=0, recorded=True))
    pipeline.open("b", StreamSettings(frozenset(("audio",)), epoch_ns=2 * NS_PER_S, recorded=True))
    arrivals = []
    for at in range(0, 4000, 100):
        arrivals.append(Arrival("a", named_chunk(at * 16, 1600), 0))
        if at >= 2000:
            arrivals.append(Arrival("b", named_chunk(at * 16, 1600, index=(at - 2000) * 16), 0))
    outputs = [o for o in pipeline.process(arrivals, 0) if isinstance(o, SceneEstimate)]
    assert [(o.index, o.start_ns // NS_PER_MS) for o in outputs if o.stream == "a"] == [(k, 1000 * k) for k in range(4)]
    assert [(o.index, o.time_ns // NS_PER_MS) for o in outputs if o.stream == "b"] == [(0, 3000), (1, 4000)]
    firsts = sorted(sound[0] for sound, _ in scribe.scored if sound)
    assert firsts == [0, 16000, 32000, 32000, 48000, 48000]
    pipeline.close("b")
    with pytest.raises(KeyError):
        list(pipeline.process([Arrival("b", named_chunk(0, 10), 0)], 0))


def test_black_pictures_and_silence_are_events_once_and_no_evidence(tiny_model: SceneModel) -> None:
    items: list[Item] = []
    for item in sorted(noise_chunks(8.0, 4800) + noise_frames(8.0), key=lambda item: item.time_ns):
        blind = 2 * NS_PER_S <= item.time_ns < 5 * NS_PER_S
        if isinstance(item, AudioChunk) and blind:
            item = AudioChunk(np.zeros_like(item.samples), item.rate_hz, item.index, item.time_ns)
        elif isinstance(item, VideoFrame) and blind:
            item = VideoFrame(item.time_ns, None, np.zeros((16, 16, 3), np.uint8))
        items.append(item)
    pipeline = ScenePipeline(tiny_model, hop_ns=500 * NS_PER_MS)
    pipeline.open("s", StreamSettings(both(), epoch_ns=0, recorded=True))
    outputs = list(pipeline.process([Arrival("s", item, 0) for item in items], 0))
    events = [(o.source, o.event, o.time_ns // NS_PER_MS) for o in outputs if isinstance(o, StreamEvent)]
    # The resampler rings into the first column of the silence.
    assert events == [
        ("video", "black", 3000),
        ("audio", "silent", 3500),
        ("audio", "recovered", 6000),
        ("video", "recovered", 6000),
    ]
    estimates = [o for o in outputs if isinstance(o, SceneEstimate)]
    assert len(estimates) == 15
    assert [e.modality for e in estimates[4:9]] == ["none"] * 5
    assert estimates[4].window_probabilities == {}
    assert estimates[4].confidence == max(estimates[4].probabilities.values())


def test_events_of_a_source_are_passed_on(tiny_model: SceneModel) -> None:
    road = Road(tiny_model, 500, recorded=True)
    road.process([(SourceEvent("video", "stalled", "The camera stalled.", 7), 7)], 7)
    assert road.events == [StreamEvent("s", "video", "stalled", "The camera stalled.", 7)]
    assert road.estimates == []
