from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import float32, uint8

from edge_avsc.audio_track import AudioTrack
from edge_avsc.model import SceneModel
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Role, SourceEnded, VideoFrame
from edge_avsc.video_track import Embedded, VideoTrack
from edge_avsc.windows import PATIENCE_NS, StreamWindows


class Stream:
    """Windows over real tracks, fed to the millisecond; the sound is noise at the bundle's rate."""

    def __init__(
        self,
        model: SceneModel,
        *,
        hop_ms: int = 500,
        epoch_ms: int = 0,
        lateness_ms: int | None = 150,
        roles: tuple[Role, ...] = ("audio", "video"),
    ) -> None:
        def count(counter: str, n: int) -> None:
            self.counted[counter] += n

        self.counted: Counter[str] = Counter()
        epoch_ns = epoch_ms * NS_PER_MS
        self.windows = StreamWindows(
            AudioTrack(model.bundle.audio, model.log_mel, count) if "audio" in roles else None,
            VideoTrack(model.bundle.image, epoch_ns, count) if "video" in roles else None,
            epoch_ns=epoch_ns,
            hop_ns=hop_ms * NS_PER_MS,
            max_lateness_ns=None if lateness_ms is None else lateness_ms * NS_PER_MS,
            count=count,
        )

    def hear(self, from_ms: int, to_ms: int) -> None:
        samples = np.random.default_rng(from_ms).normal(0, 0.1, ((to_ms - from_ms) * 16, 1)).astype(float32)
        chunk = AudioChunk(samples, 16000, from_ms * 16, from_ms * NS_PER_MS)
        assert self.windows.audio
        self.windows.audio.add(chunk, to_ms * NS_PER_MS)
        self.windows.note(chunk)

    def see(self, *times_ms: int) -> None:
        assert self.windows.video
        for time_ms in times_ms:
            frame = VideoFrame(time_ms * NS_PER_MS, None, np.full((4, 4, 3), 99, uint8))
            if self.windows.video.add(frame) is not None:
                self.windows.video.put(frame.time_ns, Embedded(np.array([time_ms], float32), None))
            self.windows.note(frame)

    def end(self, role: Role, at_ms: int) -> None:
        self.windows.note(SourceEnded(role, at_ms * NS_PER_MS))

    def due(self, now_ms: float) -> bool:
        return self.windows.due(round(now_ms * NS_PER_MS))


def test_live_both_are_waited_for(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model)
    stream.hear(0, 930)
    stream.see(300, 800)
    assert not stream.due(932)
    stream.hear(930, 932)
    assert stream.due(932)
    stream.windows.take()
    stream.hear(932, 1432)
    assert not stream.due(1432)
    stream.see(1249)
    assert not stream.due(1432)
    stream.see(1250)
    assert stream.due(1432)


def test_live_the_lateness_bound_is_exact(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model, epoch_ms=70)
    assert not stream.due(1219.999999)
    assert stream.due(1220)
    window = stream.windows.take()
    assert (window.index, window.start_ns, window.end_ns) == (0, 70 * NS_PER_MS, 1070 * NS_PER_MS)
    assert (window.modality, window.columns, window.embeddings, window.closed_ns) == ("none", None, None, None)
    assert not stream.due(1719.999999)
    assert stream.due(1720)


def test_live_pictures_alone_wait_for_the_end_of_the_window(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model, roles=("video",))
    stream.see(300, 800, 850)
    assert not stream.due(999.999999)
    assert stream.due(1000)


def test_live_who_ended_is_not_waited_for_until_it_returns(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model)
    stream.see(300)
    stream.end("video", 310)
    stream.hear(0, 940)
    assert stream.due(940)
    stream.windows.take()
    stream.hear(940, 1440)
    assert stream.due(1440)
    stream.see(1100)
    assert not stream.due(1440)
    stream.see(1260)
    assert stream.due(1440)


def test_live_all_that_ended_leaves_windows_that_come_with_time(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model)
    stream.end("audio", 0)
    stream.end("video", 0)
    assert not stream.due(999)
    assert stream.due(1000)


@pytest.mark.parametrize("ahead", ["audio", "video"])
def test_recorded_lateness_never_acts(tiny_model: SceneModel, ahead: Role) -> None:
    stream = Stream(tiny_model, lateness_ms=None)
    for start_ms in range(0, 40_000, 1000):
        if ahead == "audio":
            stream.hear(start_ms, start_ms + 1000)
        else:
            stream.see(*range(start_ms, start_ms + 1000, 100))
    assert not stream.due(10**9)
    stream.end("video" if ahead == "audio" else "audio", 0)
    taken = 0
    while stream.due(0):
        window = stream.windows.take()
        assert window.modality == ("a" if ahead == "audio" else "v")
        assert max(window.audio_coverage, window.video_coverage) == 1.0
        taken += 1
    assert taken == 79 if ahead == "audio" else 78


def test_recorded_what_is_remembered_bounds_the_wait(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model, lateness_ms=None)
    limit_ms = PATIENCE_NS // NS_PER_MS + 1000
    for start_ms in range(0, limit_ms - 1000, 1000):
        stream.hear(start_ms, start_ms + 1000)
    stream.hear(limit_ms - 1000, limit_ms - 1)
    assert not stream.due(0)
    stream.hear(limit_ms - 1, limit_ms)
    assert stream.due(0)
    assert stream.windows.take().audio_coverage == 1.0
    assert not stream.due(0)


@given(
    epoch_ms=st.integers(-5000, 10**7),
    hop_ms=st.integers(1, 40).map(lambda n: 50 * n),
    steps_ms=st.lists(st.integers(0, 3000), max_size=30),
)
def test_windows_lie_exactly_on_the_grid_each_once(
    tiny_model: SceneModel, epoch_ms: int, hop_ms: int, steps_ms: list[int]
) -> None:
    stream = Stream(tiny_model, epoch_ms=epoch_ms, hop_ms=hop_ms)
    now_ms = epoch_ms
    index = 0
    for step_ms in steps_ms:
        now_ms += step_ms
        while stream.due(now_ms):
            window = stream.windows.take()
            assert window.index == index
            assert window.start_ns == (epoch_ms + index * hop_ms) * NS_PER_MS
            assert window.end_ns == window.start_ns + NS_PER_S
            index += 1
    assert index == max(0, (now_ms - epoch_ms - 1150) // hop_ms + 1)


def test_what_comes_after_its_window_is_late(tiny_model: SceneModel) -> None:
    stream = Stream(tiny_model, hop_ms=1000)
    stream.hear(0, 500)
    stream.see(300)
    assert stream.due(1150)
    stream.windows.take()
    stream.hear(500, 2000)
    stream.see(760, 1300)
    assert +stream.counted == {"audio_late_columns": 18, "video_late_frames": 1}
