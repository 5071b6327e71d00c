from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.sources.synthetic import RATE_HZ, Demo, SyntheticSource, parse_demo
from edge_avsc.types import NS_PER_S, AudioChunk, SourceEnded, VideoFrame
from taken import Taken, lags_ms, take


def source(uri: str = "test://demo?duration=3", **options: Any) -> SyntheticSource:
    settings: dict[str, Any] = {"wants": lambda time_ns: False, "picture_px": 256, **options}
    return SyntheticSource(uri, **settings)


def play(uri: str = "test://demo?duration=3", **options: Any) -> Taken:
    with source(uri, **options) as opened:
        return take(opened.items())


def test_it_looks_like_a_recording() -> None:
    opened = source("test://demo")
    assert opened.roles == {"audio", "video"}
    assert opened.name == "test://demo"
    assert opened.demo == Demo(duration_s=24.0, skew_ms=0.0, seed=1)
    taken = take(opened.items())
    assert taken.ends_ns == {"audio": 24 * NS_PER_S, "video": 24 * NS_PER_S}
    assert taken.samples.shape == (24 * RATE_HZ, 2)
    assert taken.samples.dtype == np.float32
    assert np.abs(taken.samples).max() < 1.0
    assert [frame.time_ns for frame in taken.frames] == [k * 40_000_000 for k in range(600)]
    assert all(isinstance(item, AudioChunk | VideoFrame | SourceEnded) for item in taken.items)


def test_items_come_in_order_of_time() -> None:
    ends = [
        item.time_ns + len(item.samples) * NS_PER_S // item.rate_hz if isinstance(item, AudioChunk) else item.time_ns
        for item in play(block_samples=1000).items
    ]
    assert all(later >= earlier - 1 for earlier, later in pairwise(ends))


def test_only_wanted_frames_carry_an_image() -> None:
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        asked.append(time_ns)
        return time_ns % NS_PER_S == 0

    taken = play(wants=wants)
    assert asked == [frame.time_ns for frame in taken.frames]
    images = [frame.image for frame in taken.frames if frame.image is not None]
    assert [image.shape for image in images] == [(180, 320, 3)] * 3
    assert all(image.dtype == np.uint8 for image in images)
    assert [frame.luma for frame in taken.frames] == [frame.luma for frame in play().frames]


@pytest.mark.parametrize("skew_ms", [0.0, 40.0, -120.0, 500.0])
def test_beeps_follow_flashes_by_the_skew(skew_ms: float) -> None:
    lags = lags_ms(play(f"test://demo?duration=6&skew_ms={skew_ms}"), skew_ms)
    # The last beep may lie behind the end.
    assert lags[:5] == pytest.approx([skew_ms] * 5, abs=0.5)


def test_flashes_last_two_frames_and_alternate() -> None:
    bright = [k for k, frame in enumerate(play().frames) if frame.luma == 255.0]
    assert bright == [8, 9, 38, 39, 58, 59]


def test_scenes_are_dark_enough_for_a_flash() -> None:
    lumas = sorted(frame.luma or 0.0 for frame in play("test://demo").frames)
    assert lumas[-49] < 115.0
    assert lumas[-48] == 255.0


def test_equal_settings_give_equal_bytes() -> None:
    first, again, other = (play(f"test://demo?duration=1&seed={seed}") for seed in (5, 5, 6))
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.samples.tobytes() != other.samples.tobytes()
    assert Demo(seed=5).image(3).tobytes() == Demo(seed=5).image(3).tobytes()


@pytest.mark.parametrize("block_samples", [1, 777, 48_000, 1_000_000])
def test_blocks_never_change_samples(block_samples: int) -> None:
    uri = "test://demo?duration=0.4&skew_ms=3"
    assert play(uri, block_samples=block_samples).samples.tobytes() == play(uri).samples.tobytes()


def test_samples_are_seamless_over_scenes_and_far_out() -> None:
    demo = Demo(duration_s=60)
    whole = demo.samples(0, 60 * RATE_HZ)
    assert np.array_equal(demo.samples(29 * RATE_HZ, 2 * RATE_HZ), whole[29 * RATE_HZ : 31 * RATE_HZ])


@pytest.mark.parametrize("role", ["audio", "video"])
def test_one_role_alone(role: str) -> None:
    opened = source(roles=frozenset({role}))
    assert opened.roles == {role}
    assert take(opened.items()).ends_ns == {role: 3 * NS_PER_S}


@pytest.mark.parametrize(("fps", "first"), [(24, 8), (25, 8), (30, 10), (50, 16), (60, 20)])
def test_flashes_begin_on_a_frame_at_any_rate(fps: int, first: int) -> None:
    demo = Demo(duration_s=2, frames_per_s=fps)
    bright = [k for k in range(demo.frame_count) if demo.image(k).min() == 255]
    assert bright[0] == first == demo.flash_frame(0)
    assert demo.beep_sample(0) == round(demo.frame_time_ns(first) * RATE_HZ / NS_PER_S)


def test_parameters() -> None:
    assert parse_demo("test://demo?duration=12&skew_ms=-40.5&seed=7") == Demo(12.0, -40.5, 7)
    assert parse_demo("test://demo/") == Demo()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("test://demmo", "Did you mean 'demo'?"),
        ("test://", "use test://demo"),
        ("test://demo/more", "use test://demo"),
        ("tests://demo", "use test://demo"),
        ("test://[demo", "use test://demo"),
        ("test://demo?skew=3", "Did you mean 'skew_ms'?"),
        ("test://demo?duration", "duration is ''"),
        ("test://demo?duration=0", "from 0.04 to 86400"),
        ("test://demo?duration=nan", "must be a number"),
        ("test://demo?skew_ms=901", "from -900 to 900"),
        ("test://demo?seed=1.5", "a whole number"),
        ("test://demo?seed=-1", "a whole number"),
    ],
)
def test_wrong_addresses_are_refused(uri: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        source(uri)
    assert said in str(caught.value)
