"""Frames that nobody needs are spared, and nothing else changes: times, wanted images, events, ends."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.skew import FLASH_LUMA
from edge_avsc.sources._container import ticks_to_ns
from edge_avsc.sources.media_sparing import UNSEEN_NS, SparingDecoder
from edge_avsc.types import NS_PER_MS, NS_PER_S, VideoFrame
from edge_avsc.video_track import WantedFrames
from recordings import Pictures, cut, flip, move_back_mkv, needs_encoder, write_recording
from taken import Taken, read

TEXTURE = np.kron(np.random.default_rng(1).integers(40, 140, (60, 60, 3)), np.ones((8, 8, 1))).astype(uint8)
MEDIUM = {"preset": "medium"}
PYRAMID = {"preset": "medium", "x264-params": "b-adapt=0:bframes=3:b-pyramid=normal:scenecut=0"}


def moving(frame: int) -> NDArray[uint8]:
    """A texture that moves, so that no two frames are alike; 96 wide, 64 high."""
    down, right = 2 * frame % 400, 3 * frame % 350
    return np.ascontiguousarray(TEXTURE[down : down + 64, right : right + 96])


def written(path: Path, seconds: float = 4.0, codec: str = "libx264", **changes: Any) -> Path:
    settings: dict[str, Any] = {"options": PYRAMID if codec == "libx264" else {}, "draw": moving, **changes}
    stamp, options = settings.pop("stamp", None), settings.pop("container", None)
    pictures = Pictures(96, 64, codec=codec, **settings)
    return write_recording(path, seconds, sound=None, pictures=pictures, stamp=stamp, options=options)


def read_sparing(path: Path) -> Taken:
    wanted = WantedFrames(0, 2)
    return read(path, wants=wanted.wants, needless=lambda after, until: not wanted.any_in(after, until))


def seen(frame: VideoFrame) -> bytes | None:
    return None if frame.image is None else frame.image.tobytes()


def spared(path: Path, *, damaged: bool = False, like: Path | None = None) -> list[float]:
    """Check that sparing changes nothing that anybody sees, and return at what seconds frames were spared.

    like: what *path* is to be like when all its frames are decoded; *path* itself where None.
    """
    whole, sparing = read(like or path, wants=WantedFrames(0, 2).wants), read_sparing(path)
    assert [frame.time_ns for frame in sparing.frames] == [frame.time_ns for frame in whole.frames]
    assert sparing.ends_ns == whole.ends_ns
    if not damaged:
        assert sparing.events == whole.events
    for one, other in zip(sparing.frames, whole.frames, strict=True):
        # What damage leaves of a picture is made up from any frame before it.
        assert seen(one) == seen(other) if not damaged else (one.image is None) == (other.image is None)
        assert damaged or one.luma in (None, other.luma)
    return [frame.time_ns / NS_PER_S for frame in sparing.frames if frame.luma is None]


@pytest.mark.parametrize(
    ("name", "codec", "options", "least"),
    [
        ("a.mp4", "libx264", PYRAMID, 36),
        ("a.mkv", "libx264", MEDIUM, 20),
        ("a.ts", "libx264", {**MEDIUM, "g": "20"}, 20),
        ("b.mp4", "libx264", {**MEDIUM, "x264-params": "bframes=3:b-pyramid=none"}, 20),
        ("b.mkv", "libx264", {**MEDIUM, "x264-params": "bframes=8:b-adapt=0:scenecut=0"}, 10),
        ("c.mp4", "libx264", {**MEDIUM, "x264-params": "open-gop=1:keyint=20"}, 20),
        ("d.mp4", "libx264", {**MEDIUM, "x264-params": "intra-refresh=1:keyint=20"}, 20),
        ("e.mp4", "libx264", {**MEDIUM, "x264-params": "interlaced=1"}, 10),
        ("f.mp4", "libx264", {**MEDIUM, "x264-params": "slices=4:aud=1"}, 20),
        ("g.mp4", "libx264", {"preset": "ultrafast"}, 0),
        ("a.avi", "libx264", PYRAMID, 0),  # which has no times of presentation
        ("h.mp4", "libx265", MEDIUM, 0),  # whose layers may refer to what looks like nobody's
        ("b.avi", "mpeg4", {"bf": "2"}, 0),
        ("a.webm", "libvpx-vp9", {}, 0),
    ],
)
def test_whatever_the_encoder_does(tmp_path: Path, name: str, codec: str, options: dict[str, str], least: int) -> None:
    needs_encoder(codec)
    count = len(spared(written(tmp_path / name, codec=codec, options=options)))
    assert count >= least
    assert count == 0 or least > 0


def test_jpeg(tmp_path: Path) -> None:
    assert spared(written(tmp_path / "a.mkv", codec="mjpeg", pixel_format="yuvj420p")) == []


def test_no_flash_fits_between_decoded_frames(tmp_path: Path) -> None:
    for fps in (15, 24, 30, 60):
        path = written(tmp_path / f"{fps}.mp4", 3.0, fps=fps)
        spared(path)
        decoded = [frame.time_ns for frame in read_sparing(path).frames if frame.luma is not None]
        assert max(later - earlier for earlier, later in pairwise(decoded)) <= max(UNSEEN_NS, NS_PER_S // fps + 1000)


def test_wanted_frames_are_never_spared_wherever_they_fall(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", 4.0)
    for per_s in (1, 2, 3, 5, 7, 12, 25):
        wanted, twin = WantedFrames(0, per_s), WantedFrames(0, per_s)
        whole = read(path, wants=twin.wants)
        sparing = read(path, wants=wanted.wants, needless=lambda after, until, w=wanted: not w.any_in(after, until))
        assert [seen(frame) for frame in sparing.frames] == [seen(frame) for frame in whole.frames]


def written_at(path: Path, times_ms: list[int], options: dict[str, str]) -> Path:
    """Write a frame at each of *times_ms*."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.thread_count = 96, 64, "yuv420p", 1
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(moving(number), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@given(
    pauses=st.lists(st.sampled_from([3, 7, 17, 33, 33, 40, 40, 40, 130, 700, 2500]), min_size=40, max_size=40),
    bframes=st.integers(0, 4),
    keyint=st.sampled_from([1, 6, 30]),
    suffix=st.sampled_from([".mkv", ".mp4", ".ts"]),
)
def test_any_times(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[int], bframes: int, keyint: int, suffix: str
) -> None:
    options = {**MEDIUM, "x264-params": f"bframes={bframes}:keyint={keyint}:b-adapt=0"}
    folder = tmp_path_factory.mktemp("times")
    spared(written_at(folder / f"a{suffix}", np.cumsum(pauses).tolist(), options))


@pytest.mark.parametrize("by_s", [0.02, 0.5, 1.52, 7200.0, -0.5])
def test_times_that_jump(tmp_path: Path, by_s: float) -> None:
    options = {**PYRAMID, "g": "25"}
    if by_s < 0:
        path = written(tmp_path / "a.mkv", options=options, container={"cluster_time_limit": "400"})
        move_back_mkv(path, 2.0, -by_s)
    else:
        path = written(
            tmp_path / "a.mkv", options=options, stamp=lambda time_s: time_s + (by_s if time_s >= 2.0 else 0.0)
        )
    assert min(spared(path)) < 2.0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("seed", range(6))
def test_damage(tmp_path: Path, suffix: str, seed: int) -> None:
    path = written(tmp_path / f"a{suffix}", options={**PYRAMID, "g": "25"})
    whole = path.read_bytes()
    damage_around_the_spared(path, seed)
    assert path.read_bytes() != whole
    spared(path, damaged=True)


def damage_around_the_spared(path: Path, seed: int) -> None:
    """Change bytes at random, the container's too, but none that would change or lose a spared frame, or any time.

    Nor is an mp4's index changed: without what it says of the codec such a file is refused.
    """
    whole, never_seen = path.read_bytes(), spared_packets(path)
    times = {pts for pts, _ in packets_of(path)}
    wild = flip(path, 12, seed=seed).read_bytes()
    damaged = bytearray(whole)
    for at in range(whole.rfind(b"moov") if path.suffix == ".mp4" else len(whole)):
        if wild[at] != whole[at]:
            path.write_bytes(whole[:at] + wild[at : at + 1] + whole[at + 1 :])
            now = packets_of(path)
            if never_seen.issubset(now) and times.issuperset(pts for pts, _ in now):
                damaged[at] = wild[at]
    path.write_bytes(damaged)


def spared_packets(path: Path) -> set[tuple[int, bytes]]:
    frames, packets = read_sparing(path).frames, sorted(packets_of(path))
    return {packet for frame, packet in zip(frames, packets, strict=True) if frame.luma is None}


def packets_of(path: Path) -> list[tuple[int, bytes]]:
    """Return the time in ticks of each picture's packet, and what it holds; nothing where the container is broken."""
    try:
        with closing(av.open(str(path), metadata_errors="replace")) as container:
            return [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.pts is not None]
    except (av.FFmpegError, IndexError):
        return []


@pytest.mark.parametrize("byte", range(5, 13))
def test_damage_that_nobody_sees(tmp_path: Path, byte: int) -> None:
    whole = written(tmp_path / "a.mp4")
    _, packet = min(spared_packets(whole))
    damaged = packet[:byte] + bytes([packet[byte] ^ 0x5A]) + packet[byte + 1 :]
    path = tmp_path / "b.mp4"
    path.write_bytes(whole.read_bytes().replace(packet, damaged))
    assert path.read_bytes() != whole.read_bytes()
    spared(path, like=whole)


def test_a_file_that_was_cut(tmp_path: Path) -> None:
    spared(cut(written(tmp_path / "a.mkv"), 0.6), damaged=True)


def test_recordings_joined_back_to_back(tmp_path: Path) -> None:
    one = written(tmp_path / "a.ts", 2.0).read_bytes()
    (tmp_path / "b.ts").write_bytes(one + one)
    assert spared(tmp_path / "b.ts")


def flashing(first: int, count: int) -> Any:
    def draw(frame: int) -> NDArray[uint8]:
        return np.full((64, 96, 3), 250, uint8) if first <= frame < first + count else moving(frame)

    return draw


@pytest.mark.parametrize("first", range(90, 98))
def test_a_flash_is_seen_to_the_frame(tmp_path: Path, first: int) -> None:
    path = written(tmp_path / "a.mp4", 20.0, draw=flashing(first, 2), options={**PYRAMID, "g": "50"})
    times_s = spared(path)
    frames = {round(frame.time_ns * 25 / NS_PER_S): frame.luma for frame in read_sparing(path).frames}
    around = [frames[number] for number in range(first - 3, first + 200)]
    assert all(luma is not None for luma in around)
    assert [number for number, luma in frames.items() if luma and luma >= FLASH_LUMA] == [first, first + 1]
    # It is calm before, and again after.
    assert min(times_s) < first / 25 - 1 < first / 25 + 11 < max(times_s)


def test_flashes_without_end_are_all_seen(tmp_path: Path) -> None:
    def draw(frame: int) -> NDArray[uint8]:
        return np.full((64, 96, 3), 250, uint8) if frame % 13 > 10 else moving(frame)

    path = written(tmp_path / "a.mp4", 8.0, draw=draw)
    # The first comes at 0.44 s, and three frames before it are looked at.
    assert max(spared(path)) < 0.32


def decoder(container: Any, most_bytes: int) -> SparingDecoder:
    stream = container.streams.video[0]
    return SparingDecoder(
        stream.codec_context,
        time_ns=lambda ticks: ticks_to_ns(ticks, stream.time_base),
        needless=lambda after_ns, until_ns: True,
        luma=lambda frame: 100.0,
        most_bytes=most_bytes,
    )


def test_what_cannot_be_kept_is_decoded_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", 4.0)
    with closing(av.open(str(path))) as container:
        sparing = decoder(container, path.stat().st_size // 2)
        shown = list(sparing.shown(container.demux(video=0)))
        assert 0 < len(shown) < 100
        assert shown[-1].time_ns == sparing.last_ns
        rest = [frame for packet in sparing.undone for frame in packet.decode()]
        assert len(rest) == 100
    with closing(av.open(str(path))) as container:
        sparing = decoder(container, path.stat().st_size)
        assert len(list(sparing.shown(container.demux(video=0)))) == 100
        assert list(sparing.undone) == []


def foretelling(*frames_of: list[int]) -> list[Any]:
    """Packets stamped 0, 1, 2 … ms, each of which completes the frames of these times."""

    def packet(pts: int, times: list[int]) -> Any:
        frames = [SimpleNamespace(pts=time, is_corrupt=False) for time in times]
        return SimpleNamespace(pts=pts, size=1, is_keyframe=False, decode=lambda: frames)

    return [packet(pts, times) for pts, times in enumerate(frames_of)]


@pytest.mark.parametrize(
    ("frames_of", "shown_ms"),
    [
        (([], [0], [1], [2, 3]), [0, 1, 2, 3]),
        (([0], [1], [2], []), []),  # the last never comes: those that were held back are decoded again
        (([0], [1], [2], [3], [5], []), [0]),  # another than was foretold
        (([0], [1], [2], [3], [3]), [0]),
        (([0], [1], [2], [3], [2]), [0]),
    ],
)
def test_frames_must_come_as_foretold(frames_of: tuple[list[int], ...], shown_ms: list[int]) -> None:
    flushed: list[bool] = []
    sparing = SparingDecoder(
        SimpleNamespace(extradata=None, flush_buffers=lambda: flushed.append(True)),
        time_ns=lambda ticks: ticks * NS_PER_MS,
        needless=lambda after_ns, until_ns: False,
        luma=lambda frame: 100.0,
    )
    packets = foretelling(*frames_of)
    whole = len(shown_ms) == len(packets)
    assert [shown.time_ns // NS_PER_MS for shown in sparing.shown(iter(packets))] == shown_ms
    assert list(sparing.undone) == ([] if whole else packets)
    assert flushed == ([] if whole else [True])
