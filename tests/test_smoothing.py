from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_avsc.config import SmoothingConfig
from edge_avsc.smoothing import Smoothed, Smoother
from edge_avsc.types import NS_PER_S, UNSURE, Prediction

LABELS = tuple("abcdefghij")
HOPS_S = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Scene:
    """What there is from the end of the scene before on: its label, how sure the model is, how strange it finds it."""

    label: int
    lasts_s: float
    sure: float = 0.8
    strange: float = 0.1


def smoother(labels: tuple[str, ...] = LABELS, threshold: float = 0.9, **settings: float) -> Smoother:
    return Smoother(labels, SmoothingConfig(**settings), none_threshold=threshold)


def prediction(probabilities: list[float], strange: float = 0.1) -> Prediction:
    return Prediction(tuple(probabilities), strange, "av")


def likely(label: int, sure: float, strange: float = 0.1) -> Prediction:
    rest = (1 - sure) / (len(LABELS) - 1)
    return prediction([sure if n == label else rest for n in range(len(LABELS))], strange)


def observed(scenes: list[Scene], start_s: float) -> Prediction:
    """What the model says of the second from *start_s* on: the mean of what is there."""
    mean, strange, begins_s = np.zeros(len(LABELS)), 0.0, 0.0
    for scene in scenes:
        share = max(0.0, min(start_s + 1, begins_s + scene.lasts_s) - max(start_s, begins_s))
        mean += share * np.array(likely(scene.label, scene.sure).probabilities)
        strange += share * scene.strange
        begins_s += scene.lasts_s
    return prediction(mean.tolist(), strange)


def changes(scenes: list[Scene], hop_s: float) -> list[tuple[float, str]]:
    """Return when, in seconds, the label became which."""
    one = smoother()
    result = []
    total_s = sum(scene.lasts_s for scene in scenes)
    for k in range(int((total_s - 1) / hop_s + 1e-6) + 1):
        smoothed = one.update(observed(scenes, k * hop_s), round((k * hop_s + 1) * NS_PER_S))
        if smoothed.changed:
            result.append((k * hop_s + 1, smoothed.scene_label))
    return result


@st.composite
def scene_sequences(draw: st.DrawFn) -> list[Scene]:
    scenes: list[Scene] = []
    for _ in range(draw(st.integers(1, 4))):
        others = [n for n in range(len(LABELS)) if not scenes or n != scenes[-1].label]
        scenes.append(
            Scene(
                draw(st.sampled_from(others)),
                lasts_s=draw(st.integers(8000, 20000)) / 1000,
                sure=draw(st.floats(0.6, 0.97)),
            )
        )
    return scenes


@given(scenes=scene_sequences())
@settings(max_examples=40)
def test_labels_change_at_the_same_time_at_any_hop(scenes: list[Scene]) -> None:
    finest = changes(scenes, HOPS_S[0])
    assert [label for _, label in finest] == [LABELS[scene.label] for scene in scenes]
    found = {hop_s: changes(scenes, hop_s) for hop_s in HOPS_S}
    for hop_s in HOPS_S:
        assert [label for _, label in found[hop_s]] == [label for _, label in finest]
        for other_s in HOPS_S:
            for (one, _), (another, _) in zip(found[hop_s], found[other_s], strict=True):
                assert abs(one - another) <= max(hop_s, other_s) + 0.1 + 1e-6


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize(("sure", "within_s"), [(0.6, 4.0), (0.8, 3.0), (0.95, 3.0)])
def test_a_clear_change_of_scene_shows_within_three_seconds(hop_s: float, sure: float, within_s: float) -> None:
    for at_s in (20.0, 20.25, 20.6):
        _, (changed_s, label) = changes([Scene(0, at_s, sure), Scene(1, 10.0, sure)], hop_s)
        assert label == "b"
        assert 1.0 <= changed_s - at_s <= within_s


@pytest.mark.parametrize("hop_s", HOPS_S)
def test_one_odd_second_does_not_change_the_label(hop_s: float) -> None:
    assert len(changes([Scene(0, 20.0), Scene(1, 1.0), Scene(0, 10.0)], hop_s)) == 1


@pytest.mark.parametrize("hop_s", HOPS_S)
def test_strange_places_become_unsure_at_the_same_time_at_any_hop(hop_s: float) -> None:
    scenes = [Scene(0, 15.0), Scene(0, 10.0, strange=0.97), Scene(0, 15.0)]
    (_, first), (left_s, second), (back_s, third) = changes(scenes, hop_s)
    assert (first, second, third) == ("a", UNSURE, "a")
    (_, _), (fine_left_s, _), (fine_back_s, _) = changes(scenes, 0.1)
    assert abs(left_s - fine_left_s) <= hop_s + 0.1 + 1e-6
    assert abs(back_s - fine_back_s) <= hop_s + 0.1 + 1e-6
    assert 15.0 < left_s <= 19.5


label_or_gap = st.one_of(st.none(), st.integers(0, 9))


@given(
    steps=st.lists(st.tuples(label_or_gap, st.integers(1, 60)), min_size=1, max_size=80),
    sure=st.floats(0.15, 1.0),
    dwell_s=st.sampled_from([0.0, 0.5, 2.0, 7.0]),
    hop_ms=st.sampled_from([50, 250, 500, 1000, 5000]),
)
def test_changed_marks_the_first_line_and_each_new_label_and_dwell_is_honoured(
    steps: list[tuple[int | None, int]], sure: float, dwell_s: float, hop_ms: int
) -> None:
    one = smoother(min_dwell_s=dwell_s)
    before: str | None = None
    since_ns = 0
    end_ns = NS_PER_S
    for label, times in steps:
        for _ in range(times):
            smoothed = one.update(None if label is None else likely(label, sure), end_ns)
            assert smoothed.changed == (smoothed.scene_label != before)
            if smoothed.changed:
                if before not in (None, UNSURE):
                    assert end_ns - since_ns >= dwell_s * NS_PER_S
                before, since_ns = smoothed.scene_label, end_ns
            end_ns += hop_ms * 1_000_000


@given(
    predictions=st.lists(
        st.one_of(
            st.none(),
            st.tuples(st.lists(st.sampled_from([0.0, 1e-300, 0.5, 1.0]), min_size=3, max_size=3), st.floats(0, 1)),
        ),
        min_size=1,
        max_size=40,
    ),
    hop_ms=st.sampled_from([50, 500, 60_000]),
    switches=st.sampled_from([1e-6, 60.0, 36_000.0]),
    threshold=st.sampled_from([0.001, 0.5, 0.999]),
)
def test_probabilities_stay_finite_and_sum_to_one(
    predictions: list[tuple[list[float], float] | None], hop_ms: int, switches: float, threshold: float
) -> None:
    one = smoother(("a", "b", "c"), threshold, switches_per_hour=switches)
    for n, given_ in enumerate(predictions):
        smoothed = one.update(prediction(*given_) if given_ else None, n * hop_ms * 1_000_000 + NS_PER_S)
        assert np.isfinite(smoothed.probabilities).all()
        assert (smoothed.probabilities >= 0).all()
        assert smoothed.probabilities.sum() == pytest.approx(1.0, abs=1e-9)


def settled(one: Smoother, given_: Prediction, seconds: int = 20) -> Smoothed:
    for n in range(seconds):
        smoothed = one.update(given_, (n + 1) * NS_PER_S)
    return smoothed


def test_gaps_relax_to_the_prior_in_seconds_not_in_windows() -> None:
    after: dict[float, list[float]] = {}
    for hop_s in HOPS_S:
        one = smoother()
        settled(one, likely(3, 0.9))
        for n in range(1, round(600 / hop_s) + 1):
            smoothed = one.update(None, 20 * NS_PER_S + round(n * hop_s * NS_PER_S))
            if n * hop_s == 30.0:
                after[hop_s] = smoothed.probabilities.tolist()
        np.testing.assert_allclose(smoothed.probabilities, 0.1, atol=1e-3)
        assert smoothed.scene_label == UNSURE
    for hop_s in HOPS_S:
        np.testing.assert_allclose(after[hop_s], after[1.0], atol=1e-9)


def test_nothing_stands_out_is_unsure() -> None:
    smoothed = settled(smoother(), prediction([0.1] * 10))
    assert smoothed.scene_label == UNSURE
    assert settled(smoother(), prediction([0.5, 0.5] + [0.0] * 8)).scene_label == UNSURE


def test_a_limit_of_zero_always_names_the_best() -> None:
    assert settled(smoother(unsure_below=0.0), prediction([0.11] + [0.0989] * 9)).scene_label == "a"


@pytest.mark.parametrize("sure", [0.8, 1.0])
def test_none_of_ours_is_unsure_however_sure_the_labels_are(sure: float) -> None:
    assert settled(smoother(), likely(2, sure, strange=0.99)).scene_label == UNSURE
    assert settled(smoother(), likely(2, sure, strange=0.85)).scene_label == "c"


def test_evidence_counts_the_new_seconds_alone() -> None:
    """A second in ten windows tells as much as in one."""
    coarse, fine = smoother(switches_per_hour=1e-6), smoother(switches_per_hour=1e-6)
    whole = coarse.update(likely(0, 0.4), NS_PER_S)
    fine.update(likely(0, 0.4), NS_PER_S)
    for n in range(1, 11):
        parts = fine.update(likely(1, 0.6), NS_PER_S + n * NS_PER_S // 10)
    whole = coarse.update(likely(1, 0.6), 2 * NS_PER_S)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, rtol=1e-6)


def test_windows_that_lie_apart_count_once() -> None:
    near, apart = smoother(switches_per_hour=1e-6), smoother(switches_per_hour=1e-6)
    for n in range(3):
        one = near.update(likely(0, 0.6), (n + 1) * NS_PER_S)
        other = apart.update(likely(0, 0.6), (60 * n + 1) * NS_PER_S)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
