from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy import float32

from edge_avsc.config import SmoothingConfig
from edge_avsc.health import Health
from edge_avsc.model import SceneModel
from edge_avsc.stream import Stream, StreamSettings
from edge_avsc.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioChunk,
    Item,
    Prediction,
    Role,
    SceneEstimate,
    SourceEnded,
    SourceEvent,
    StreamEvent,
    VideoFrame,
    Window,
)
from scribe_model import named_chunk, named_frame


def stream(
    model: SceneModel, roles: Sequence[Role] = ("audio", "video"), epoch_ns: int = 0, health: Health | None = None
) -> Stream:
    return Stream(
        "s",
        StreamSettings(frozenset(roles), epoch_ns, recorded=True),
        model,
        hop_ns=500 * NS_PER_MS,
        max_lateness_ns=None,
        smoothing=SmoothingConfig(),
        health=health or Health(),
    )


def take_in(one: Stream, *items: Item) -> list[StreamEvent]:
    return [event for item in items for event in one.take_in(item, item.time_ns)]


def window(
    index: int, *, sound: float = 1.0, pictures: float = 1.0, silent: bool = False, black: bool = False
) -> Window:
    start_ns = index * 500 * NS_PER_MS
    return Window(
        index=index,
        start_ns=start_ns,
        end_ns=start_ns + NS_PER_S,
        columns=np.zeros((37, 16), float32) if sound >= 0.5 else None,
        embeddings=np.zeros((2, 8), float32) if pictures else None,
        audio_coverage=sound,
        video_coverage=pictures,
        silent=silent,
        black=black,
        closed_ns=None,
        image_ms=None,
    )


def test_wanted_pictures_wait_for_the_encoder_others_do_not(tiny_model: SceneModel) -> None:
    one = stream(tiny_model)
    take_in(one, *map(named_frame, (0, 240, 260, 300, 740, 760)))
    assert [time_ns // NS_PER_MS for time_ns, _ in one.waiting] == [260, 760]


@pytest.mark.parametrize("roles", [("audio",), ("video",)])
def test_items_of_a_role_that_the_stream_does_not_have_are_let_go(
    tiny_model: SceneModel, roles: tuple[Role, ...]
) -> None:
    one = stream(tiny_model, roles)
    take_in(one, named_chunk(0, 1600), named_frame(300), SourceEnded("audio", 0), SourceEnded("video", 0))
    assert (one.audio is None, one.video is None) == ("audio" not in roles, "video" not in roles)
    assert len(one.waiting) == int("video" in roles)


def test_events_of_a_source_get_the_streams_name(tiny_model: SceneModel) -> None:
    told = take_in(stream(tiny_model), SourceEvent("audio", "lost", "It is gone.", 5))
    assert told == [StreamEvent("s", "audio", "lost", "It is gone.", 5)]


def test_counters_go_under_the_streams_name(tiny_model: SceneModel) -> None:
    health = Health()
    take_in(
        stream(tiny_model, health=health), named_chunk(0, 160), named_chunk(480, 160), named_frame(5), named_frame(5)
    )
    assert health.counters("s") == {"audio_gap_samples": 320, "video_backward_frames": 1}


def test_blindness_is_told_once_and_its_end_once(tiny_model: SceneModel) -> None:
    one = stream(tiny_model)
    windows = [
        window(0),
        window(1, sound=0.6, silent=True),
        window(2, sound=0.0, silent=True, pictures=0.0, black=True),
        window(3, sound=0.0, silent=True, pictures=0.5, black=True),
        window(4, sound=0.7, silent=True),
        window(5),
        window(6, sound=0.0),
    ]
    told = [[(e.source, e.event) for e in one.tell_blindness(w)] for w in windows]
    assert told == [
        [],
        [],
        [("audio", "silent"), ("video", "black")],
        [],
        [("video", "recovered")],
        [("audio", "recovered")],
        [],
    ]


def test_samples_that_are_no_numbers_are_told_once(tiny_model: SceneModel) -> None:
    one = stream(tiny_model)
    list(one.take_in(named_chunk(0, 16000), 0))
    assert list(one.tell_blindness(window(0))) == []
    broken = AudioChunk(np.full((160, 1), np.nan, np.float32), 16000, 16000, one.windows.epoch_ns + NS_PER_S)
    list(one.take_in(broken, 0))
    assert list(one.tell_blindness(window(0))) == []
    told = [[(e.source, e.event) for e in one.tell_blindness(window(k))] for k in (2, 3)]
    assert told == [[("audio", "damaged")], []]


def test_a_slow_camera_that_sees_again_is_told(tiny_model: SceneModel) -> None:
    """Half of the pictures that the model would like are all that it ever delivers."""
    one = stream(tiny_model)
    windows = [window(0, pictures=0.5), window(1, pictures=0.0, black=True), window(2, pictures=0.5)]
    told = [[(e.source, e.event) for e in one.tell_blindness(w)] for w in windows]
    assert told == [[], [("video", "black")], [("video", "recovered")]]


def estimate(one: Stream, w: Window, best: int | None) -> SceneEstimate:
    given = None if best is None else Prediction(tuple(0.91 if n == best else 0.01 for n in range(10)), 0.1, "av")
    return one.estimate(w, given, None)


def test_an_estimate_says_what_it_rests_on(tiny_model: SceneModel) -> None:
    epoch_ns = 77 * NS_PER_S
    one = stream(tiny_model, epoch_ns=epoch_ns)
    w = window(154)
    first = estimate(one, w, 4)
    assert (first.stream, first.index, first.time_ns) == ("s", 154, w.end_ns)
    assert (first.start_s, first.end_s) == (0.0, 1.0)
    assert (first.scene_label, first.changed, first.modality) == (tiny_model.labels[4], True, "av")
    assert list(first.probabilities) == list(tiny_model.labels) == list(first.window_probabilities)
    assert first.window_probabilities[tiny_model.labels[4]] == 0.91
    assert first.confidence == max(first.probabilities.values())
    assert first.av_skew_ms is None
    second = estimate(one, window(155), 4)
    assert not second.changed
    nothing = estimate(one, window(156, sound=0.0, pictures=0.0), None)
    assert (nothing.modality, nothing.window_probabilities) == ("none", {})
    assert nothing.confidence < second.confidence


def test_skew_is_measured_from_the_frames_and_the_sound_of_the_stream(tiny_model: SceneModel) -> None:
    one = stream(tiny_model)
    rate_hz, seconds, skew_ms = 48000, 8, 40
    sound = np.random.default_rng(0).normal(0, 0.01, (seconds * rate_hz, 1)).astype(float32)
    flashes_ms = [n * 1000 + (320 if n % 2 == 0 else 520) for n in range(seconds - 1)]
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(2880) / rate_hz)).astype(float32)
    for at_ms in flashes_ms:
        first = (at_ms + skew_ms) * rate_hz // 1000
        sound[first : first + 2880, 0] += tone
    found: list[float | None] = []
    for n in range(seconds * 25):
        luma = 250.0 if any(f <= n * 40 < f + 80 for f in flashes_ms) else 80.0
        block = slice(n * 1920, (n + 1) * 1920)
        take_in(
            one, VideoFrame(n * 40 * NS_PER_MS, luma), AudioChunk(sound[block], rate_hz, n * 1920, n * 40 * NS_PER_MS)
        )
        if n % 25 == 24 and n > 25:
            found.append(estimate(one, window((n // 25) * 2 - 2), 0).av_skew_ms)
    assert found[0] is None
    assert found[-1] == pytest.approx(skew_ms, abs=5)
