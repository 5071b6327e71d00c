"""Bad files, one by one: refused in one sentence, or read as far as they go and reported."""

from __future__ import annotations

import contextlib
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.sources.media import MediaSource
from edge_avsc.types import NS_PER_S, Role
from recordings import Pictures, Sound, cut, flip, move_back_mkv, write_recording
from taken import Taken, read

BOTH: frozenset[Role] = frozenset({"audio", "video"})
MOVED = {"cluster_time_limit": "400"}


def refusal(path: Path | str, roles: frozenset[Role] = BOTH) -> str:
    with pytest.raises(ConfigError) as caught:
        MediaSource(str(path), roles=roles, wants=lambda time_ns: False, picture_px=256)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def details(taken: Taken) -> str:
    return " ".join(event.detail for event in taken.events)


def grows(taken: Taken) -> bool:
    times = [frame.time_ns for frame in taken.frames]
    return all(later > earlier for earlier, later in pairwise(times))


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert refusal(path) == f"There is no file {path}; check the path."
    assert refusal(tmp_path / "a.mp4" / "b.mp4").startswith("There is no file ")


def test_no_path_at_all() -> None:
    assert "check the path" in refusal("")
    assert "no usable path" in refusal("a\0b")
    assert "no usable path" in refusal("a" * 5000)


def test_directory(tmp_path: Path) -> None:
    assert f"{tmp_path} is a directory; give one recording" in refusal(tmp_path)


def test_pipe_never_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is a device or a pipe" in refusal(tmp_path / "pipe.mp4")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "a.mp4")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", 0.1)
    path.chmod(0)
    assert "may not be read" in refusal(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.wav", "a.txt", "a.mkv", "a.nfo", "a.ans", "a.m3u8"])
@pytest.mark.parametrize(
    "text",
    [
        "Shopping list: milk, bread.\n" * 50,
        "#EXTM3U\n#EXTINF:10,\nhttp://192.0.2.1/a.ts\n",
        "ffconcat version 1.0\nfile '/etc/hostname'\n",
        "1\n00:00:01,000 --> 00:00:02,000\nHello\n",
        "x",
    ],
    ids=["prose", "playlist", "concat", "subtitles", "letter"],
)
def test_text(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    sentence = refusal(tmp_path / name)
    assert str(tmp_path / name) in sentence


def test_noise_is_refused_or_reported(tmp_path: Path) -> None:
    for seed in range(20):
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(np.random.default_rng(seed).bytes(20_000))
        with contextlib.suppress(ConfigError):
            read(path)


def test_wav_without_samples(tmp_path: Path) -> None:
    content = bytearray(write_recording(tmp_path / "a.wav", 0.1).read_bytes())
    data = content.index(b"data")
    content[data + 4 :] = bytes(4)
    (tmp_path / "b.wav").write_bytes(content)
    assert refusal(tmp_path / "b.wav").startswith(f"Nothing in the sound of {tmp_path / 'b.wav'} can be decoded; ")


def test_unknown_codec_is_named(tmp_path: Path) -> None:
    content = bytearray(write_recording(tmp_path / "a.wav", 0.1).read_bytes())
    content[20:22] = b"\x99\x99"
    (tmp_path / "b.wav").write_bytes(content)
    sentence = refusal(tmp_path / "b.wav")
    assert "codec" in sentence
    assert "0x9999" in sentence


def test_unknown_codec_beside_a_known_one(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", 0.4)
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_FLAX"))
    taken = read(path)
    assert taken.ends_ns.keys() == {"video"}
    assert taken.kinds == [("audio", "unusable")]
    assert "No decoder here knows the codec" in details(taken)


def test_a_role_that_the_file_has_not(tmp_path: Path) -> None:
    silent = write_recording(tmp_path / "a.mp4", 0.2, sound=None)
    blind = write_recording(tmp_path / "a.wav", 0.2)
    assert refusal(silent, frozenset({"audio"})) == f"{silent} holds no sound; give a recording that does."
    assert refusal(blind, frozenset({"video"})) == f"{blind} holds no pictures; give a recording that does."


def test_mp4_without_its_index(tmp_path: Path) -> None:
    path = cut(write_recording(tmp_path / "a.mp4", 1.0), 0.6)
    assert "cut short before its index" in refusal(path)


@pytest.mark.parametrize("name", ["fast.mp4", "a.mkv", "a.webm", "a.avi", "a.wav", "a.flac"])
def test_cut_file_is_read_as_far_as_it_goes(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name == "fast.mp4" else {}
    taken = read(cut(write_recording(tmp_path / name, 3.0, options=options), 0.6))
    assert ("audio", "truncated") in taken.kinds
    assert all(NS_PER_S < end_ns < 2.5 * NS_PER_S for end_ns in taken.ends_ns.values())
    assert grows(taken)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm", ".flac", ".mp3", ".ogg", ".wav"])
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_stop_it(tmp_path: Path, suffix: str, seed: int) -> None:
    path = flip(write_recording(tmp_path / f"a{suffix}", 1.0), 12, first=0.05, seed=seed)
    with contextlib.suppress(ConfigError):
        taken = read(path, wants=lambda time_ns: True)
        assert grows(taken)
        indices = [(chunk.index, len(chunk.samples)) for chunk in taken.chunks]
        assert all(a + n <= b for (a, n), (b, _) in pairwise(indices))


def test_undecodable_packets_are_counted_and_leave_a_gap(tmp_path: Path) -> None:
    taken = read(flip(write_recording(tmp_path / "a.mkv", 4.0, pictures=None), 5, seed=3))
    assert ("audio", "damaged") in taken.kinds
    assert ("audio", "gap") in taken.kinds
    assert "packets that could not be decoded" in details(taken)
    assert len(taken.samples) < 4 * 48_000
    assert taken.chunks[-1].index + len(taken.chunks[-1].samples) == 4 * 48_000


def test_gap_in_the_timestamps(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", 2.0, stamp=lambda time_s: time_s + (1.52 if time_s >= 0.99 else 0))
    taken = read(path)
    assert taken.kinds == [("video", "gap"), ("audio", "gap")]
    assert "nothing was recorded for 1.520 s" in details(taken)
    assert len(taken.samples) == 2 * 48_000
    last = taken.chunks[-1]
    assert last.index + len(last.samples) == pytest.approx(3.52 * 48_000, abs=48)
    assert taken.ends_ns["audio"] == pytest.approx(3.52 * NS_PER_S, abs=1_000_000)
    assert taken.frame_times_s == [round(k / 25 + (1.52 if k >= 25 else 0), 6) for k in range(50)]


def test_timestamps_that_jump_back(tmp_path: Path) -> None:
    taken = read(move_back_mkv(write_recording(tmp_path / "a.mkv", 3.0, options=MOVED), 1.5, 1.0))
    assert sorted(taken.kinds) == [("audio", "timestamps"), ("video", "timestamps")]
    assert "as if there were no break" in details(taken)
    assert [chunk.index for chunk in taken.chunks][:1] == [0]
    assert len(taken.samples) == 3 * 48_000
    assert taken.ends_ns == {"audio": 3 * NS_PER_S, "video": 3 * NS_PER_S}
    assert taken.frame_times_s == [round(k / 25, 6) for k in range(75)]


def test_timestamps_that_jump_for_hours(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", 2.0, stamp=lambda time_s: time_s + (7200.0 if time_s >= 1 else 0))
    taken = read(path)
    assert sorted(taken.kinds) == [("audio", "timestamps"), ("video", "timestamps")]
    assert "jump ahead by 7200" in details(taken)
    assert taken.ends_ns == {"audio": 2 * NS_PER_S, "video": 2 * NS_PER_S}


def test_many_gaps_are_told_once_and_counted(tmp_path: Path) -> None:
    path = write_recording(
        tmp_path / "a.mkv", 4.0, pictures=None, stamp=lambda time_s: time_s + 0.5 * int(time_s), sound=Sound()
    )
    gaps = [event for event in read(path).events if event.event == "gap"]
    assert len(gaps) == 2
    assert "happened 3 times in all" in gaps[1].detail


def test_recordings_joined_back_to_back(tmp_path: Path) -> None:
    one = write_recording(tmp_path / "a.ts", 1.0).read_bytes()
    (tmp_path / "b.ts").write_bytes(one + one)
    taken = read(tmp_path / "b.ts")
    assert grows(taken)
    assert len(taken.frames) == 50
    assert taken.ends_ns["video"] == pytest.approx(2 * NS_PER_S, abs=0.05 * NS_PER_S)
    assert taken.ends_ns["audio"] == pytest.approx(2 * NS_PER_S, abs=0.1 * NS_PER_S)


def test_streams_that_begin_on_the_way(tmp_path: Path) -> None:
    first = write_recording(tmp_path / "a.ts", 1.0, pictures=None).read_bytes()
    second = write_recording(tmp_path / "b.ts", 1.0).read_bytes()
    (tmp_path / "c.ts").write_bytes(first * 200 + second)
    taken = read(tmp_path / "c.ts")
    assert taken.ends_ns.keys() == {"audio"}
    assert taken.ends_ns["audio"] > 199 * NS_PER_S


def test_sound_that_changes_its_format(tmp_path: Path) -> None:
    first = write_recording(tmp_path / "a.ts", 1.0, pictures=None, sound=Sound(48_000, 2)).read_bytes()
    second = write_recording(tmp_path / "b.ts", 1.0, pictures=None, sound=Sound(32_000, 1)).read_bytes()
    (tmp_path / "c.ts").write_bytes(first + second)
    taken = read(tmp_path / "c.ts")
    assert ("audio", "format") in taken.kinds
    assert {(chunk.rate_hz, chunk.samples.shape[1]) for chunk in taken.chunks} == {(48_000, 2)}
    assert taken.ends_ns["audio"] == pytest.approx(2 * NS_PER_S, abs=0.1 * NS_PER_S)


def test_pictures_that_change_their_size(tmp_path: Path) -> None:
    first = write_recording(tmp_path / "a.ts", 1.0, sound=None, pictures=Pictures(64, 48)).read_bytes()
    second = write_recording(tmp_path / "b.ts", 1.0, sound=None, pictures=Pictures(96, 64)).read_bytes()
    (tmp_path / "c.ts").write_bytes(first + second)
    taken = read(tmp_path / "c.ts", wants=lambda time_ns: True)
    assert {frame.image.shape for frame in taken.frames if frame.image is not None} == {(48, 64, 3), (64, 96, 3)}


def test_a_name_that_looks_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(tmp_path / "a.wav", 0.1).rename(tmp_path / "http:a%03d.wav")
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("http:a%03d.wav")).samples) == 4800


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(flip(write_recording(tmp_path / "a.mp4", 1.0), 20))
    refusal(cut(write_recording(tmp_path / "b.mp4", 1.0), 0.6))
    assert capfd.readouterr() == ("", "")
