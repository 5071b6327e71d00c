from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.audio_track import AudioTrack
from edge_avsc.features import LogMel, mono, side
from edge_avsc.model import SceneModel
from edge_avsc.resampling import StreamResampler
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk

RATES = (8000, 11025, 16000, 22050, 44100, 47999, 48000, 96000)
SIZES = st.lists(st.one_of(st.integers(1, 60), st.integers(200, 30000)), min_size=1, max_size=6)
COLUMNS = 37
HOP, N_FFT = 400, 512


class Listener:
    """An audio track of the tiny bundle, and what it counted."""

    def __init__(self, model: SceneModel) -> None:
        self.counted: Counter[str] = Counter()
        self.track = AudioTrack(model.bundle.audio, model.log_mel, self._count)

    def _count(self, counter: str, n: int) -> None:
        self.counted.update({counter: n} if n else {})

    def hear(
        self,
        sound: NDArray[float32],
        rate_hz: int,
        sizes: Sequence[int] = (4096,),
        *,
        index: int = 0,
        time_ns: int | None = None,
    ) -> None:
        """Feed *sound* ``[n, channels]`` in blocks of *sizes*; the times follow from index and rate."""
        start_ns = index * NS_PER_S // rate_hz if time_ns is None else time_ns
        first = block = 0
        while first < len(sound):
            samples = sound[first : first + sizes[block % len(sizes)]]
            at_ns = start_ns + first * NS_PER_S // rate_hz
            self.track.add(AudioChunk(samples, rate_hz, index + first, at_ns), at_ns)
            first += len(samples)
            block += 1


def noise(seconds: float, rate_hz: int, channels: int = 1, seed: int = 0) -> NDArray[float32]:
    return np.random.default_rng(seed).normal(0, 0.2, (round(seconds * rate_hz), channels)).astype(float32)


def whole_columns(model: SceneModel, sound: NDArray[float32], rate_hz: int) -> NDArray[float32]:
    resampler = StreamResampler(rate_hz, 16000)
    return model.log_mel.columns(np.concatenate([resampler.push(mono(sound)), resampler.flush()]))


def single_columns(track: AudioTrack, count: int) -> dict[int, NDArray[float32]]:
    """Return the columns that were heard, one by one: the only heard one of a window of its own."""
    rows, present = track._columns.read(0, count)
    return {c: rows["mel"][c] for c in range(count) if present[c] and rows["state"][c] == 1}


@given(
    rate_hz=st.sampled_from(RATES),
    channels=st.integers(1, 8),
    seconds=st.floats(0.5, 2.5),
    sizes=SIZES,
    seed=st.integers(0, 9),
)
@settings(max_examples=60)
def test_columns_computed_as_samples_arrive_are_those_of_the_whole_clip(
    tiny_model: SceneModel, rate_hz: int, channels: int, seconds: float, sizes: list[int], seed: int
) -> None:
    sound = noise(seconds, rate_hz, channels, seed)
    listener = Listener(tiny_model)
    listener.hear(sound, rate_hz, sizes)
    listener.track.end(0)
    whole = whole_columns(tiny_model, sound, rate_hz)
    for k in range(int((seconds - 1) / 0.05) + 1 if seconds >= 1 else 0):
        window = listener.track.window(k * 50 * NS_PER_MS)
        assert window.columns is not None
        assert window.columns.tobytes() == whole[2 * k : 2 * k + COLUMNS].tobytes()
        assert window.coverage == 1.0
        assert not window.silent
    assert not listener.counted


@pytest.mark.parametrize("rate_hz", RATES)
def test_columns_exist_as_soon_as_their_samples_do(tiny_model: SceneModel, rate_hz: int) -> None:
    listener = Listener(tiny_model)
    listener.hear(noise(0.93, rate_hz), rate_hz, [rate_hz // 100])
    assert not listener.track.complete(0)
    listener.hear(noise(0.07, rate_hz), rate_hz, [rate_hz // 100], index=round(0.93 * rate_hz))
    # The last column ends 43 ms before its window does; the resampler holds back less than that.
    assert listener.track.complete(0)
    assert not listener.track.complete(100 * NS_PER_MS)
    closed_ns = listener.track.window(0).closed_ns
    assert closed_ns is not None
    assert 0.92 * NS_PER_S <= closed_ns <= NS_PER_S


def test_a_window_whose_last_column_never_came_was_never_closed(tiny_model: SceneModel) -> None:
    listener = Listener(tiny_model)
    listener.hear(noise(0.9, 16000), 16000, [160])
    window = listener.track.window(0)
    assert 0.5 < window.coverage < 1.0
    assert window.closed_ns is None


def expected_gap(first: int, last: int, count: int) -> set[int]:
    """The columns that touch a sample of [first, last)."""
    return {c for c in range(count) if c * HOP < last and c * HOP + N_FFT > first}


@given(
    gap=st.tuples(st.integers(1, 20000), st.integers(1, 9000)),
    sizes=st.lists(st.integers(50, 9000), min_size=1, max_size=4),
    damage=st.sampled_from(["gap", "nan", "inf", "loud"]),
)
def test_a_gap_or_damage_removes_exactly_the_columns_that_touch_it(
    tiny_model: SceneModel, gap: tuple[int, int], sizes: list[int], damage: str
) -> None:
    start, length = gap
    sound = noise(1.5, 16000, 2)
    stop = min(len(sound), start + length)
    whole = whole_columns(tiny_model, sound, 16000)
    listener = Listener(tiny_model)
    if damage == "gap":
        listener.hear(sound[:start], 16000, sizes)
        listener.hear(sound[stop:], 16000, sizes, index=stop)
    else:
        bad = sound.copy()
        bad[start:stop, 1] = {"nan": np.nan, "inf": -np.inf, "loud": 1e30}[damage]
        listener.hear(bad, 16000, sizes)
    heard = single_columns(listener.track, len(whole))
    reaches = len(sound) > stop
    lost = expected_gap(start, stop if reaches else len(sound), len(whole))
    assert set(heard) == set(range(len(whole))) - lost
    for c, column in heard.items():
        assert column.tobytes() == whole[c].tobytes()
    if damage == "gap":
        assert listener.counted == ({"audio_gap_samples": stop - start} if reaches else {})
    else:
        assert listener.counted == {"audio_invalid_samples": stop - start}


@pytest.mark.parametrize("rate_hz", [r for r in RATES if r != 16000])
@pytest.mark.parametrize("lost", [1, 2, 3, 500, 30000])
@pytest.mark.parametrize("sizes", [[480], [7777], [10**6]])
def test_a_gap_at_any_rate_is_seen_and_shifts_nothing(
    tiny_model: SceneModel, rate_hz: int, lost: int, sizes: list[int]
) -> None:
    start = 12_345 * rate_hz // 16000
    sound = noise(6, rate_hz)
    stop = start + lost
    listener = Listener(tiny_model)
    listener.hear(sound[:start], rate_hz, sizes)
    listener.hear(sound[stop:], rate_hz, sizes, index=stop)
    listener.track.end(0)
    assert listener.counted["audio_gap_samples"] == lost
    whole = whole_columns(tiny_model, sound, rate_hz)
    heard = single_columns(listener.track, len(whole))
    first, last = start * 16000 / rate_hz, stop * 16000 / rate_hz
    certain = expected_gap(int(first) + 2, int(last) - 2, len(whole))
    possible = expected_gap(int(first) - 2, int(last) + 3, len(whole))
    missing = set(range(len(whole))) - set(heard)
    assert certain <= missing <= possible
    assert missing
    # The resampler rings for some milliseconds at the cut; beyond that the sound is where it was.
    near = expected_gap(int(first) - 400, int(last) + 400, len(whole))
    for c in set(heard) - near:
        np.testing.assert_allclose(heard[c], whole[c], atol=0.02 if last % 1 else 1e-4)


@given(sizes=SIZES, spots=st.lists(st.integers(0, 47999), min_size=1, max_size=20, unique=True))
@settings(max_examples=30)
def test_scattered_damage_gives_the_same_columns_in_any_blocks(
    tiny_model: SceneModel, sizes: list[int], spots: list[int]
) -> None:
    sound = noise(1.2, 48000)
    sound[spots] = np.nan
    listeners = [Listener(tiny_model), Listener(tiny_model)]
    for listener, blocks in zip(listeners, (sizes, [10**6]), strict=True):
        listener.hear(sound, 48000, blocks)
        listener.track.end(0)
        assert listener.counted["audio_invalid_samples"] == len(spots)
    one, other = (single_columns(listener.track, 48) for listener in listeners)
    assert one.keys() == other.keys()
    assert all(one[c].tobytes() == other[c].tobytes() for c in one)


@pytest.mark.parametrize("peak", [0.0, 2.0**-17])
def test_digital_silence_is_not_heard(tiny_model: SceneModel, peak: float) -> None:
    listener = Listener(tiny_model)
    listener.hear(np.full((32000, 1), peak, float32), 16000)
    window = listener.track.window(0)
    assert (window.columns, window.coverage, window.silent) == (None, 0.0, True)
    assert listener.track.complete(0)


def test_a_quiet_place_is_heard(tiny_model: SceneModel) -> None:
    listener = Listener(tiny_model)
    listener.hear(noise(1, 16000) * float32(1e-3), 16000)
    assert listener.track.window(0).coverage == 1.0


@pytest.mark.parametrize("silent_s", [0.2, 0.4])
def test_up_to_half_of_the_columns_may_be_missing(tiny_model: SceneModel, silent_s: float) -> None:
    sound = noise(1, 16000)
    sound[: int(silent_s * 16000)] = 0
    listener = Listener(tiny_model)
    listener.hear(sound, 16000)
    window = listener.track.window(0)
    assert window.columns is not None
    assert window.columns.shape == (COLUMNS, 16)
    assert window.silent
    # A column that still touches some sound is heard.
    first_heard = next(c for c in range(COLUMNS) if c * HOP + N_FFT > silent_s * 16000)
    assert window.coverage == pytest.approx(1 - first_heard / COLUMNS)
    for c in range(first_heard):
        np.testing.assert_array_equal(window.columns[c], window.columns[first_heard])


def test_less_than_half_is_no_sound(tiny_model: SceneModel) -> None:
    sound = noise(1, 16000)
    sound[: int(0.6 * 16000)] = 0
    listener = Listener(tiny_model)
    listener.hear(sound, 16000)
    window = listener.track.window(0)
    assert window.columns is None
    assert 0.3 < window.coverage < 0.5


def test_before_any_sound_there_is_none(tiny_model: SceneModel) -> None:
    track = Listener(tiny_model).track
    assert not track.complete(0)
    assert track.window(0).columns is None
    assert track.drift_ppm == 0.0
    with pytest.raises(ValueError, match="no sound has arrived"):
        track.time_of(0)
    with pytest.raises(ValueError, match="no sound has arrived"):
        track.sample_at(0)


@given(rate_hz=st.sampled_from(RATES), start_ms=st.integers(-2000, 2000), k=st.integers(0, 40))
def test_the_first_column_begins_at_or_right_after_the_window(
    tiny_model: SceneModel, rate_hz: int, start_ms: int, k: int
) -> None:
    """Whatever the offset between the source's first sample and the windows."""
    listener = Listener(tiny_model)
    sound = noise(4, rate_hz)
    listener.hear(sound, rate_hz, time_ns=start_ms * NS_PER_MS)
    listener.track.end(0)
    at_ns = k * 50 * NS_PER_MS
    window = listener.track.window(at_ns)
    whole = whole_columns(tiny_model, sound, rate_hz)
    first = -((start_ms - k * 50) * 16 // HOP)  # the ceiling of (window - start) in columns
    assert (first - 1) * HOP < (k * 50 - start_ms) * 16 <= first * HOP
    heard = [c for c in range(first, first + COLUMNS) if 0 <= c < len(whole)]
    assert window.coverage == pytest.approx(len(heard) / COLUMNS)
    if window.columns is not None:
        for c in heard:
            assert window.columns[c - first].tobytes() == whole[c].tobytes()


@pytest.mark.parametrize("rate_hz", RATES)
def test_boundaries_stay_exact_after_a_hundred_hours(tiny_model: SceneModel, rate_hz: int) -> None:
    listener = Listener(tiny_model)
    far_s = 100 * 3600
    listener.hear(noise(0.5, rate_hz), rate_hz)
    far_index = far_s * rate_hz
    sound = noise(3, rate_hz, seed=1)
    listener.hear(sound, rate_hz, index=far_index)
    listener.track.end(0)
    # The tail of the ring, block by block, is the second clip's: a column more or less would show.
    whole = whole_columns(tiny_model, sound, rate_hz)
    for k in range(40):
        window = listener.track.window(far_s * NS_PER_S + k * 50 * NS_PER_MS)
        assert window.columns is not None
        assert window.columns.tobytes() == whole[2 * k : 2 * k + COLUMNS].tobytes()


@pytest.mark.parametrize("rate_hz", RATES)
def test_every_hop_of_a_day_begins_two_columns_after_the_one_before(tiny_model: SceneModel, rate_hz: int) -> None:
    track = Listener(tiny_model).track
    track.add(AudioChunk(noise(0.1, rate_hz), rate_hz, 0, 0), 0)
    for k in range(0, 100 * 3600 * 20, 997):
        assert track._first_column(k * 50 * NS_PER_MS) == 2 * k


def test_drift_moves_only_the_choice_of_columns(tiny_model: SceneModel) -> None:
    """A device that is 300 ppm fast: windows take later columns as time goes on, always 37, each bit for bit."""
    rate_hz, block = 16000, 160
    listener = Listener(tiny_model)
    sound = noise(120, rate_hz)
    whole = whole_columns(tiny_model, sound, rate_hz)
    last_first, shifted = 0, 0
    k = 0
    for index in range(0, len(sound), block):
        at_ns = round(index / (rate_hz * 1.0003) * NS_PER_S)
        listener.track.add(AudioChunk(sound[index : index + block], rate_hz, index, at_ns), at_ns)
        while listener.track.complete(k * 500 * NS_PER_MS):
            window = listener.track.window(k * 500 * NS_PER_MS)
            assert window.columns is not None
            first = next(
                c for c in range(20 * k - 3, 20 * k + 5) if c >= 0 and whole[c].tobytes() == window.columns[0].tobytes()
            )
            assert window.columns.tobytes() == whole[first : first + COLUMNS].tobytes()
            shifted += first - last_first - 20 if k else 0
            last_first = first
            k += 1
    assert k >= 236
    assert shifted in (1, 2)  # 120 s at 300 ppm are 36 ms: one column of 25 ms, and the rest of the rounding
    assert listener.track.drift_ppm == pytest.approx(300, abs=3)


def test_another_rate_in_midstream_goes_on_where_the_time_says(tiny_model: SceneModel) -> None:
    listener = Listener(tiny_model)
    before, after = noise(2, 48000), noise(2, 44100, seed=5)
    listener.hear(before, 48000)
    listener.hear(after, 44100, index=0, time_ns=2 * NS_PER_S)
    listener.track.end(0)
    whole = whole_columns(tiny_model, after, 44100)
    window = listener.track.window(int(2.5 * NS_PER_S))
    assert window.columns is not None
    assert window.columns.tobytes() == whole[20 : 20 + COLUMNS].tobytes()
    assert listener.track.window(int(1.5 * NS_PER_S)).coverage > 0.9
    assert listener.counted["audio_gap_samples"] == 0
    first = listener.track.window(0).columns
    assert first is not None
    assert first.tobytes() == whole_columns(tiny_model, before, 48000)[:COLUMNS].tobytes()


@pytest.mark.parametrize("away_s", [0.0, 0.25, 3.0, 20.0])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_a_source_that_counts_anew_goes_on_where_the_time_says(
    tiny_model: SceneModel, away_s: float, rate_hz: int
) -> None:
    listener = Listener(tiny_model)
    listener.hear(noise(2, rate_hz), rate_hz)
    listener.track.end(0)
    again = noise(2, rate_hz, seed=6)
    listener.hear(again, rate_hz, index=0, time_ns=int((2 + away_s) * NS_PER_S))
    listener.track.end(0)
    whole = whole_columns(tiny_model, again, rate_hz)
    window = listener.track.window(int((2 + away_s + 0.5) * NS_PER_S))
    assert window.columns is not None
    assert window.columns.tobytes() == whole[20 : 20 + COLUMNS].tobytes()
    seam = listener.track.window(int((2 + away_s - 0.5) * NS_PER_S))
    assert seam.coverage < 1.0


@pytest.mark.parametrize("away_s", [0.25, 3.0, 20.0])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_a_source_that_stood_still_and_counts_on_has_a_gap(tiny_model: SceneModel, away_s: float, rate_hz: int) -> None:
    """No overflow is flagged: the index goes on, only the times tell that nothing was heard meanwhile."""
    listener = Listener(tiny_model)
    listener.hear(noise(2, rate_hz), rate_hz, (rate_hz // 50,))
    before = listener.track.window(NS_PER_S // 2).columns
    later_ns = int((2 + away_s) * NS_PER_S)
    listener.hear(noise(2, rate_hz, seed=6), rate_hz, (rate_hz // 50,), index=2 * rate_hz, time_ns=later_ns)
    assert listener.counted["audio_gap_samples"] == pytest.approx(away_s * rate_hz, abs=2)
    still = listener.track.window(NS_PER_S // 2).columns
    assert before is not None
    assert still is not None
    assert before.tobytes() == still.tobytes()
    after = listener.track.window(later_ns + NS_PER_S // 2)
    assert after.coverage == 1.0
    # What came until the times were believed lies where the index put it, and is not heard twice.
    assert listener.track.window(later_ns - NS_PER_S // 2).coverage < 0.9
    if away_s >= 3.0:
        assert listener.track.window(later_ns - NS_PER_S).coverage == 0.0


@given(rate_hz=st.sampled_from(RATES), sample=st.integers(0, 10**7))
def test_samples_and_times_are_inverse(tiny_model: SceneModel, rate_hz: int, sample: int) -> None:
    track = Listener(tiny_model).track
    track.add(AudioChunk(noise(0.1, rate_hz), rate_hz, 1000, NS_PER_S), 0)
    assert track.sample_at(track.time_of(sample)) == pytest.approx(sample, abs=1e-3)


def test_an_empty_chunk_is_nothing(tiny_model: SceneModel) -> None:
    listener = Listener(tiny_model)
    listener.track.add(AudioChunk(np.zeros((0, 2), float32), 48000, 99, 5), 0)
    assert not listener.track.complete(0)
    assert not listener.counted


@given(rate_hz=st.sampled_from(RATES), channels=st.integers(1, 3), sizes=SIZES, seed=st.integers(0, 9))
@settings(max_examples=20)
def test_two_signals_arrive_as_those_of_the_whole_clip(
    tiny_model: SceneModel, rate_hz: int, channels: int, sizes: list[int], seed: int
) -> None:
    front_end = tiny_model.bundle.audio.model_copy(update={"channels": 2, "mix": "left_right"})
    log_mel = LogMel(front_end)
    sound = noise(1.2, rate_hz, channels, seed)
    listener = Listener(tiny_model)
    listener.track = AudioTrack(front_end, log_mel, listener._count)
    listener.hear(sound, rate_hz, sizes)
    listener.track.end(0)
    middle, apart = (
        np.concatenate([resampler.push(signal), resampler.flush()])
        for signal, resampler in (
            (mono(sound[:, :2]), StreamResampler(rate_hz, 16000)),
            (side(sound), StreamResampler(rate_hz, 16000)),
        )
    )
    count = (len(middle) - N_FFT) // HOP + 1
    heard = single_columns(listener.track, count)
    assert len(heard) == count
    for c, column in heard.items():
        part = slice(c * HOP, c * HOP + N_FFT)
        np.testing.assert_array_equal(column, log_mel.column(middle[part], apart[part]))


def test_what_is_only_in_the_difference_is_not_silence(tiny_model: SceneModel) -> None:
    front_end = tiny_model.bundle.audio.model_copy(update={"channels": 2, "mix": "average_difference"})
    listener = Listener(tiny_model)
    listener.track = AudioTrack(front_end, LogMel(front_end), listener._count)
    one = noise(1.2, 16000)
    listener.hear(np.concatenate([one, -one], axis=1), 16000)
    assert listener.track.window(0).coverage == 1.0


def test_a_side_that_is_no_number_is_a_gap(tiny_model: SceneModel) -> None:
    front_end = tiny_model.bundle.audio.model_copy(update={"channels": 2, "mix": "average_difference"})
    listener = Listener(tiny_model)
    listener.track = AudioTrack(front_end, LogMel(front_end), listener._count)
    sound = noise(1.2, 16000, 2)
    sound[5000] = 1e30, -1e30
    listener.hear(sound, 16000)
    assert listener.counted["audio_invalid_samples"] == 1
    assert 0.5 < listener.track.window(0).coverage < 1.0
