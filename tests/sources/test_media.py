from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.sources.media import MediaSource
from edge_avsc.sources.synthetic import Demo
from edge_avsc.types import NS_PER_S, AudioChunk, SourceEnded
from recordings import CODECS, Pictures, Sound, needs_encoder, turn_mp4, write_recording, write_with_cover
from taken import lags_ms, read, write_demo_tool

NINE = [".mp4", ".mkv", ".avi", ".webm", ".wav", ".flac", ".mp3", ".ogg", ".opus"]


def order_ns(item: object) -> int:
    if isinstance(item, AudioChunk):
        return item.time_ns + len(item.samples) * NS_PER_S // item.rate_hz
    return item.time_ns  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("suffix", [*NINE, ".mov", ".m4a"])
def test_every_container_gives_its_second(tmp_path: Path, suffix: str) -> None:
    taken = read(write_recording(tmp_path / f"a{suffix}", 1.0))
    assert taken.events == []
    assert taken.ends_ns["audio"] == NS_PER_S
    assert taken.samples.shape == (48_000, 2)
    assert taken.samples.dtype == np.float32
    assert np.abs(taken.samples[4800:-4800]).max() == pytest.approx(0.25, abs=0.08)
    if CODECS[suffix][0]:
        assert taken.ends_ns["video"] == NS_PER_S
        assert taken.frame_times_s == [round(k / 25, 6) for k in range(25)]


def test_items_come_in_order_of_time(tmp_path: Path) -> None:
    taken = read(write_recording(tmp_path / "a.mp4", 2.0), block_samples=960)
    times = [order_ns(item) for item in taken.items]
    # A chunk's end and the sum of its time and length may differ by the rounding of one nanosecond.
    assert all(later >= earlier - 1 for earlier, later in pairwise(times))
    assert isinstance(taken.items[-1], SourceEnded)


@pytest.mark.parametrize(
    ("name", "video_codec", "audio_codec"),
    [
        ("a.mp4", None, "aac"),
        ("b.mp4", "libx265", "libmp3lame"),
        ("a.mkv", None, "libopus"),
        ("b.mkv", None, "flac"),
        ("c.mkv", None, "pcm_s16le"),
        ("a.webm", "libvpx", "libopus"),
        ("b.webm", "libvpx-vp9", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("b.avi", "libx264", "pcm_s16le"),  # with frames out of order, which AVI has no stamps for
    ],
)
def test_flash_and_beep_keep_their_lag(tmp_path: Path, name: str, video_codec: str | None, audio_codec: str) -> None:
    for codec in (video_codec, audio_codec):
        if codec:
            needs_encoder(codec)
    write_demo_tool().write_demo(tmp_path / name, Demo(2.0, skew_ms=40.0), video_codec, audio_codec)
    assert lags_ms(read(tmp_path / name), 40.0) == pytest.approx([40.0] * 2, abs=1.0)


def test_an_avi_carries_its_mp3_as_late_as_it_was_written(tmp_path: Path) -> None:
    # AVI cannot say that an encoder's first 1105 samples are priming, nor that its pictures begin 25 ms later.
    write_demo_tool().write_demo(tmp_path / "a.avi", Demo(3.0), None, "libmp3lame")
    assert lags_ms(read(tmp_path / "a.avi")) == pytest.approx([0.0] * 3, abs=25.0)


def test_mpeg_ts_begins_at_zero(tmp_path: Path) -> None:
    taken = read(write_recording(tmp_path / "a.ts", 1.0))
    assert min(taken.chunks[0].time_ns, taken.frames[0].time_ns) == 0
    assert max(taken.chunks[0].time_ns, taken.frames[0].time_ns) < 30_000_000


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mp3", "a.wav"])
def test_blocks_never_change_samples_or_times(tmp_path: Path, name: str) -> None:
    path = write_recording(tmp_path / name, 1.0, sound=Sound(44_100 if name != "a.webm" else 48_000))
    whole = read(path)
    for block_samples in (160, 1000, 7777):
        taken = read(path, block_samples=block_samples)
        assert np.array_equal(taken.samples, whole.samples)
        assert taken.sample_times_ns == whole.sample_times_ns
        assert {len(chunk.samples) for chunk in taken.chunks[:-1]} <= {block_samples}
        assert [frame.time_ns for frame in taken.frames] == [frame.time_ns for frame in whole.frames]
        assert taken.ends_ns == whole.ends_ns


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (44_100, 2), (96_000, 6), (48_000, 8)])
def test_any_rate_and_layout(tmp_path: Path, rate_hz: int, channels: int) -> None:
    sound = Sound(rate_hz, channels)
    taken = read(write_recording(tmp_path / "a.wav", 0.5, sound=sound))
    assert {chunk.rate_hz for chunk in taken.chunks} == {rate_hz}
    assert np.abs(taken.samples - sound.all_samples(0.5)).max() < 2 / 32768


@pytest.mark.parametrize("suffix", [".m4a", ".opus", ".flac"])
def test_eight_planar_channels(tmp_path: Path, suffix: str) -> None:
    taken = read(write_recording(tmp_path / f"a{suffix}", 0.5, sound=Sound(48_000, 8)))
    assert taken.samples.shape == (24_000, 8)
    assert np.isfinite(taken.samples).all()


@pytest.mark.parametrize(
    ("codec", "step"), [("pcm_u8", 2**-7), ("pcm_s24le", 2**-23), ("pcm_s32le", 2**-23), ("pcm_f64le", 2**-23)]
)
def test_any_sample_format(tmp_path: Path, codec: str, step: float) -> None:
    sound = Sound(16_000, 2, codec)
    taken = read(write_recording(tmp_path / "a.wav", 0.25, sound=sound))
    assert np.abs(taken.samples - sound.all_samples(0.25)).max() <= step


def test_what_is_no_number_passes(tmp_path: Path) -> None:
    samples = Sound().all_samples(0.5)
    samples[1000:1100] = np.nan
    taken = read(write_recording(tmp_path / "a.wav", sound=Sound(codec="pcm_f32le", samples=samples)))
    assert np.array_equal(taken.samples, samples, equal_nan=True)


def test_only_wanted_frames_carry_an_image(tmp_path: Path) -> None:
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        asked.append(time_ns)
        return len(asked) % 5 == 1

    taken = read(write_recording(tmp_path / "a.mp4", 1.0), wants=wants)
    assert asked == [frame.time_ns for frame in taken.frames]
    assert [frame.image is not None for frame in taken.frames] == [k % 5 == 0 for k in range(25)]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((2, 2), (2, 2, 3)), ((64, 48), (64 * 3 // 4, 64, 3)), ((320, 240), (64, 88, 3)), ((96, 256), (176, 64, 3))],
)
def test_images_shrink_towards_the_asked_size_and_never_grow(
    tmp_path: Path, size: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    pictures = Pictures(*size, codec="mpeg4")
    path = write_recording(tmp_path / "a.mp4", 0.2, sound=None, pictures=pictures)
    taken = read(path, wants=lambda time_ns: True, picture_px=64)
    image = taken.frames[0].image
    assert image is not None
    assert image.shape == shape
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - 40).max() < 12


def quarters(frame: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Red above left, green above right, blue below left, white below right; 96 wide, 64 high."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48, 0] = image[:32, 48:, 1] = image[32:, :48, 2] = 220
    image[32:, 48:] = 220
    return image


def colours(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    height, width = image.shape[:2]
    names = {(True, False, False): "r", (False, True, False): "g", (False, False, True): "b", (True, True, True): "w"}
    spots = [(height // 4, width // 4), (height // 4, -width // 4), (-height // 4, width // 4)]
    return "".join(names[tuple((image[spot] > 120).tolist())] for spot in [*spots, (-height // 4, -width // 4)])


@pytest.mark.parametrize(("degrees", "seen"), [(0, "rgbw"), (90, "brwg"), (180, "wbgr"), (270, "gwrb")])
def test_phone_pictures_stand_upright(tmp_path: Path, degrees: int, seen: str) -> None:
    path = write_recording(tmp_path / "a.mp4", 0.2, sound=None, pictures=Pictures(96, 64, draw=quarters))
    if degrees:
        turn_mp4(path, degrees)
    image = read(path, wants=lambda time_ns: True).frames[0].image
    assert image is not None
    assert image.shape == ((64, 96, 3) if degrees in (0, 180) else (96, 64, 3))
    assert colours(image) == seen


def test_portrait_hevc(tmp_path: Path) -> None:
    needs_encoder("libx265")
    path = write_recording(tmp_path / "a.mp4", 0.4, pictures=Pictures(72, 128, codec="libx265"))
    taken = read(path, wants=lambda time_ns: True, picture_px=64)
    assert [frame.image.shape for frame in taken.frames if frame.image is not None] == [(120, 64, 3)] * 10


def test_roles_are_what_the_file_has(tmp_path: Path) -> None:
    both = write_recording(tmp_path / "a.mp4", 0.4)
    silent = write_recording(tmp_path / "b.mp4", 0.4, sound=None)
    blind = write_recording(tmp_path / "c.mp4", 0.4, pictures=None)
    assert read(both).ends_ns.keys() == {"audio", "video"}
    assert read(silent).ends_ns.keys() == {"video"}
    assert read(blind).ends_ns.keys() == {"audio"}
    assert read(both, roles=frozenset({"audio"})).ends_ns.keys() == {"audio"}
    assert read(both, roles=frozenset({"video"})).ends_ns.keys() == {"video"}


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    with MediaSource(str(write_with_cover(tmp_path / "a.mp3")), wants=lambda time_ns: True, picture_px=256) as source:
        assert source.roles == {"audio"}
        assert source.name == str(tmp_path / "a.mp3")


def test_a_shared_clip_ends_where_its_header_says(shared_data: Path) -> None:
    taken = read(shared_data / "clips" / "stockholm_metro_platform.mp4")
    assert taken.ends_ns["audio"] == pytest.approx(1.671 * NS_PER_S, abs=1000)
    assert taken.ends_ns["video"] == pytest.approx(NS_PER_S * 5 / 3, abs=1000)
    assert taken.events == []


def test_names_in_no_unicode(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", 1.0)
    content = path.read_bytes()
    assert b"VideoHandler" in content
    path.write_bytes(content.replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert read(path).events == []
