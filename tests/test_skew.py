from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.audio_track import AudioTrack
from edge_avsc.model import SceneModel
from edge_avsc.skew import FlashBeepDetector, beep_onsets
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk

DEMO_MS = tuple(n * 1000 + (320 if n % 2 == 0 else 520) for n in range(12))
EVEN_MS = tuple(n * 1000 + 320 for n in range(12))
SECONDS = 13


def with_beeps(sound: NDArray[float32], rate_hz: int, starts_ms: Sequence[float], height: float = 0.5) -> None:
    """Add beeps of 1 kHz, 60 ms with edges of 1 ms."""
    for start_ms in starts_ms:
        first = round(start_ms * rate_hz / 1000)
        t = np.arange(round(0.06 * rate_hz)) / rate_hz
        edge = np.minimum(1, np.minimum(t, t[-1] - t) / 0.001)
        if first >= 0 and first + len(t) <= len(sound):
            sound[first : first + len(t), 0] += (height * edge * np.sin(2 * np.pi * 1000 * t)).astype(float32)


def street(rate_hz: int, level: float, seed: int = 0) -> NDArray[float32]:
    return np.random.default_rng(seed).normal(0, level, (SECONDS * rate_hz, 1)).astype(float32)


def lumas(flashes_ms: Sequence[int], level: float = 90.0, seed: int = 0, fps: int = 25) -> list[tuple[int, float]]:
    rng = np.random.default_rng(seed)
    frames = []
    for n in range(SECONDS * fps):
        time_ns = n * NS_PER_S // fps
        flash = any(f * NS_PER_MS <= time_ns < (f + 80) * NS_PER_MS for f in flashes_ms)
        frames.append((time_ns, 245.0 if flash else level + float(rng.normal(0, 4))))
    return frames


def measured(
    model: SceneModel,
    sound: NDArray[float32],
    rate_hz: int,
    frames: list[tuple[int, float]],
    *,
    blocks: Sequence[int] = (1024,),
    hop_ms: int = 500,
) -> float | None:
    detector = FlashBeepDetector()
    track = AudioTrack(model.bundle.audio, model.log_mel, lambda counter, n: None)
    first = n = shown = 0
    end_ns = NS_PER_S
    while first < len(sound):
        block = sound[first : first + blocks[n % len(blocks)]]
        track.add(AudioChunk(block, rate_hz, first, first * NS_PER_S // rate_hz), 0)
        first += len(block)
        n += 1
        while end_ns + 20 * NS_PER_MS <= first * NS_PER_S // rate_hz:
            while shown < len(frames) and frames[shown][0] < end_ns:
                detector.frame(*frames[shown])
                shown += 1
            detector.listen(track, end_ns)
            end_ns += hop_ms * NS_PER_MS
    return detector.skew_ms


@pytest.mark.parametrize("skew_ms", [0, 40, -120, 500, -500, 900, -900])
@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 44100, 48000])
def test_the_demonstrations_skew_is_found_within_five_milliseconds_under_noise(
    tiny_model: SceneModel, skew_ms: int, rate_hz: int
) -> None:
    for level in (0.001, 0.1):
        sound = street(rate_hz, level)
        with_beeps(sound, rate_hz, [at + skew_ms for at in DEMO_MS])
        found = measured(tiny_model, sound, rate_hz, lumas(DEMO_MS))
        assert found == pytest.approx(skew_ms, abs=5)


@pytest.mark.parametrize("skew_ms", [-450, -33.3, 0, 17, 450])
def test_evenly_spaced_flashes_tell_up_to_almost_half_a_second(tiny_model: SceneModel, skew_ms: float) -> None:
    sound = street(48000, 0.02)
    with_beeps(sound, 48000, [at + skew_ms for at in EVEN_MS])
    assert measured(tiny_model, sound, 48000, lumas(EVEN_MS)) == pytest.approx(skew_ms, abs=5)


@given(skew_ms=st.integers(-900, 900), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_any_skew_in_reach_is_found(tiny_model: SceneModel, skew_ms: int, seed: int) -> None:
    sound = street(16000, 0.03, seed)
    with_beeps(sound, 16000, [at + skew_ms for at in DEMO_MS])
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS, seed=seed)) == pytest.approx(skew_ms, abs=5)


@given(
    blocks=st.lists(st.integers(50, 40_000), min_size=1, max_size=6),
    rate_hz=st.sampled_from([8000, 16000, 48000]),
)
@settings(max_examples=15)
def test_blocks_change_nothing(tiny_model: SceneModel, blocks: list[int], rate_hz: int) -> None:
    sound = street(rate_hz, 0.05)
    with_beeps(sound, rate_hz, [at + 40 for at in DEMO_MS])
    frames = lumas(DEMO_MS)
    assert measured(tiny_model, sound, rate_hz, frames, blocks=blocks) == measured(tiny_model, sound, rate_hz, frames)


@pytest.mark.parametrize("hop_ms", [50, 250, 1000, 2000])
def test_it_is_measured_at_any_hop(tiny_model: SceneModel, hop_ms: int) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [at - 120 for at in DEMO_MS])
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS), hop_ms=hop_ms) == pytest.approx(-120, abs=5)


def test_some_missing_beeps_do_not_matter(tiny_model: SceneModel) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [at + 40 for n, at in enumerate(DEMO_MS) if n not in (2, 5, 8)])
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS)) == pytest.approx(40, abs=5)


def test_a_third_of_the_beeps_is_not_enough(tiny_model: SceneModel) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [at + 40 for n, at in enumerate(DEMO_MS) if n % 3 == 2])
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS)) is None


def test_bright_pictures_that_stand_too_long_are_no_flashes(tiny_model: SceneModel) -> None:
    """Two frames a second, every other one white: nobody can say when the white began."""
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [n * 1000 + 540 for n in range(12)])
    frames = [(n * 500 * NS_PER_MS, 240.0 if n % 2 else 60.0) for n in range(SECONDS * 2)]
    assert measured(tiny_model, sound, 16000, frames) is None


@pytest.mark.parametrize("seed", range(5))
def test_flashes_without_beeps_measure_nothing(tiny_model: SceneModel, seed: int) -> None:
    assert measured(tiny_model, street(16000, 0.2, seed), 16000, lumas(DEMO_MS)) is None


def test_beeps_without_flashes_measure_nothing(tiny_model: SceneModel) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, DEMO_MS)
    assert measured(tiny_model, sound, 16000, lumas([])) is None


def test_cuts_to_a_white_scene_are_no_flashes(tiny_model: SceneModel) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [at + 40 for at in DEMO_MS])
    frames = [(n * 40 * NS_PER_MS, 240.0 if n // 25 % 2 else 60.0) for n in range(SECONDS * 25)]
    assert measured(tiny_model, sound, 16000, frames) is None


def test_flashes_in_a_bright_scene_are_found_when_they_rise_above_it(tiny_model: SceneModel) -> None:
    sound = street(16000, 0.02)
    with_beeps(sound, 16000, [at + 40 for at in DEMO_MS])
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS, level=150)) == pytest.approx(40, abs=5)


@pytest.mark.parametrize("seed", range(5))
def test_music_is_no_beep(tiny_model: SceneModel, seed: int) -> None:
    """Tones of a scale, each with overtones, half a second long: some of them come near 1 kHz."""
    rng = np.random.default_rng(seed)
    sound = street(16000, 0.005, seed)
    t = np.arange(8000) / 16000
    for n in range(SECONDS * 2):
        pitch = 220.0 * 2 ** (rng.integers(0, 36) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in range(1, 5)) * np.exp(-3 * t) * 0.2
        sound[n * 8000 : (n + 1) * 8000, 0] += tone.astype(float32)
    assert measured(tiny_model, sound, 16000, lumas(DEMO_MS)) is None


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize("level", [0.0, 0.02, 0.1])
def test_onsets_are_within_two_milliseconds(rate_hz: int, level: float) -> None:
    sound = street(rate_hz, level)
    with_beeps(sound, rate_hz, [500, 1310.5, 4000])
    found = [onset / rate_hz * 1000 for onset in beep_onsets(sound[:, 0], rate_hz)]
    assert found == pytest.approx([500, 1310.5, 4000], abs=2)


def test_what_is_too_short_to_hold_a_beep_holds_none() -> None:
    assert beep_onsets(np.zeros(10, float32), 16000) == []
    assert beep_onsets(np.zeros(16000, float32), 16000) == []
    blip = np.zeros((16000, 1), float32)
    with_beeps(blip, 16000, [200])
    blip[int(0.22 * 16000) :] = 0
    assert beep_onsets(blip[:, 0], 16000) == []
