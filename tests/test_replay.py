from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge_avsc import ConfigError, SceneEstimate, StreamEvent, replay
from edge_avsc.config import SourceConfig, StreamConfig, hop_ns
from edge_avsc.health import Health
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.sinks.jsonl import estimate_line
from edge_avsc.sources.synthetic import Demo
from recordings import Pictures, Sound, write_recording
from taken import write_demo_tool


def lines(estimates: Iterator[SceneEstimate]) -> list[str]:
    return [estimate_line(estimate, timed=False) for estimate in estimates]


def noise(seconds: float, rate_hz: int = 48_000, channels: int = 2) -> Sound:
    samples = np.random.default_rng(3).normal(0, 0.1, (round(seconds * rate_hz), channels)).astype(np.float32)
    return Sound(rate_hz=rate_hz, channels=channels, samples=samples)


def expected_count(duration_s: Fraction, hop_s: Fraction) -> int:
    """The CONTRACT's formula; a tail that is short by at most 1 ms is whole."""
    return max(0, math.floor((duration_s + Fraction(1, 1000) - 1) / hop_s) + 1)


def decoded_duration_s(path: Path) -> Fraction:
    """How long the longer stream of a file is, read by PyAV alone."""
    ends = [Fraction(0)]
    for kind in ("audio", "video"):
        with av.open(str(path)) as container:
            for stream in [stream for stream in container.streams if stream.type == kind][:1]:
                frames = list(container.decode(stream))
                last = frames[-1]
                length = Fraction(last.samples, last.sample_rate) if kind == "audio" else 1 / stream.average_rate
                ends.append(last.pts * last.time_base + length)
    return max(ends)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds whose sound and picture differ from window to window."""
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    return write_recording(path, 4.0, sound=noise(4.0), pictures=Pictures(fps=25))


def test_python_contract(clip: Path, tiny_folder: Path) -> None:
    model = SceneModel.load(str(tiny_folder))
    estimates = list(replay(str(clip), model=model, hop_s=0.5))
    assert len(estimates) == 7
    assert {estimate.modality for estimate in estimates} == {"av"}
    assert all(estimate.scene_label in (*model.labels, "unsure") for estimate in estimates)
    assert [estimate.start_s for estimate in estimates] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert all(estimate.stream == str(clip) and estimate.latency is None for estimate in estimates)


@pytest.mark.parametrize("hop_s", [0.05, 0.25, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("seconds", [0.4, 0.999, 1.0, 1.04, 2.48])
def test_count_is_the_formula(seconds: float, hop_s: float, tiny_model: SceneModel, tmp_path: Path) -> None:
    sound = noise(seconds, 16_000, 1)
    path = write_recording(tmp_path / "a.wav", seconds, sound=sound, pictures=None)
    duration_s = Fraction(len(sound.all_samples(seconds)), 16_000)
    assert len(list(replay(path, model=tiny_model, hop_s=hop_s))) == expected_count(duration_s, Fraction(str(hop_s)))


def test_two_runs_and_any_blocks_give_the_same_bytes(clip: Path, tiny_model: SceneModel) -> None:
    first = lines(replay(clip, model=tiny_model, hop_s=0.25))
    assert lines(replay(clip, model=tiny_model, hop_s=0.25)) == first
    for block_samples in (77, 4096, 100_000):
        assert lines(replay(clip, model=tiny_model, hop_s=0.25, block_samples=block_samples)) == first


def test_hops_share_their_windows(clip: Path, tiny_model: SceneModel) -> None:
    every_half = list(replay(clip, model=tiny_model, hop_s=0.5))
    every_quarter = list(replay(clip, model=tiny_model, hop_s=0.25))[::2]
    assert [e.window_probabilities for e in every_half] == [e.window_probabilities for e in every_quarter]
    assert len({tuple(e.window_probabilities.values()) for e in every_half}) == len(every_half)


def test_paced_replay_has_times_and_the_same_labels(clip: Path, tiny_model: SceneModel) -> None:
    fast = list(replay(clip, model=tiny_model))
    paced = list(replay(clip, model=tiny_model, speed=50.0))
    assert [e.window_probabilities for e in paced] == [e.window_probabilities for e in fast]
    assert all(e.latency is not None and e.latency.close_to_label is not None for e in paced)


def test_sound_and_picture_from_separate_files(clip: Path, tiny_model: SceneModel, tmp_path: Path) -> None:
    sound = write_recording(tmp_path / "s.wav", 4.0, sound=noise(4.0), pictures=None)
    apart = list(replay(audio=sound, video=clip, model=tiny_model))
    assert {e.modality for e in apart} == {"av"}
    assert apart[0].stream == f"{sound}+{clip}"
    assert len(apart) == 7
    assert {e.modality for e in replay(audio=clip, model=tiny_model)} == {"a"}
    assert {e.modality for e in replay(video=clip, model=tiny_model)} == {"v"}


def test_several_files_are_separate_streams(clip: Path, tiny_model: SceneModel) -> None:
    estimates = list(replay(clip, "test://demo?duration=2", clip, model=tiny_model))
    assert [e.index for e in estimates] == [*range(7), *range(3), *range(7)]
    assert [e.changed for e in estimates if e.index == 0] == [True, True, True]


@pytest.mark.parametrize("skew_ms", [0, 40, -120, 500])
def test_demo_measures_its_skew(skew_ms: int, tiny_model: SceneModel) -> None:
    *_, last = replay(f"test://demo?duration=8&skew_ms={skew_ms}", model=tiny_model)
    assert last.av_skew_ms is not None
    assert abs(last.av_skew_ms - skew_ms) < 5


@pytest.mark.parametrize("skew_ms", [-120, 40])
def test_encoded_demo_measures_its_skew(skew_ms: int, tiny_model: SceneModel, tmp_path: Path) -> None:
    write_demo_tool().write_demo(tmp_path / "a.mp4", Demo(6.0, skew_ms=skew_ms))
    *_, last = replay(tmp_path / "a.mp4", model=tiny_model)
    assert last.av_skew_ms is not None
    assert abs(last.av_skew_ms - skew_ms) < 5


@pytest.mark.parametrize("latency_ms", [0.0, 80.0, -130.0])
def test_spared_frames_are_missed_by_nobody(latency_ms: float, tiny_model: SceneModel, tmp_path: Path) -> None:
    options = {"preset": "medium", "x264-params": "b-adapt=0:bframes=3"}
    path = write_recording(tmp_path / "a.mp4", 4.0, sound=None, pictures=Pictures(options=options))
    player = Player(tiny_model, hop_ns(0.5))
    camera = StreamConfig(video=SourceConfig(uri=str(path), latency_ms=latency_ms))
    estimates = [output for output in player.play("camera", camera) if isinstance(output, SceneEstimate)]
    assert {estimate.video_coverage for estimate in estimates[:6]} == {1.0}
    assert player.health.counters("camera").keys() == {"windows_v"}


def test_ordinary_recordings_have_no_skew(clip: Path, tiny_model: SceneModel) -> None:
    assert {e.av_skew_ms for e in replay(clip, model=tiny_model)} == {None}


def test_silence_is_not_judged_and_said(tiny_model: SceneModel, tmp_path: Path) -> None:
    sound = Sound(samples=np.zeros((96_000, 2), np.float32))
    path = write_recording(tmp_path / "silent.mkv", 2.0, sound=sound, pictures=Pictures())
    events: list[StreamEvent] = []
    estimates = list(replay(path, model=tiny_model, on_event=events.append))
    assert {(e.modality, e.audio_coverage) for e in estimates} == {("v", 0.0)}
    assert [(e.source, e.event) for e in events] == [("audio", "silent")]


def test_black_pictures_are_not_judged_and_said(tiny_model: SceneModel, tmp_path: Path) -> None:
    black = Pictures(draw=lambda frame: np.zeros((48, 64, 3), np.uint8))
    path = write_recording(tmp_path / "black.mkv", 2.0, sound=noise(2.0), pictures=black)
    events: list[StreamEvent] = []
    estimates = list(replay(path, model=tiny_model, on_event=events.append))
    assert {(e.modality, e.video_coverage) for e in estimates} == {("a", 0.0)}
    assert [(e.source, e.event) for e in events] == [("video", "black")]


def test_samples_that_are_no_numbers_are_counted(tiny_model: SceneModel, tmp_path: Path) -> None:
    samples = noise(3.0, 16_000, 1).all_samples(3.0)
    samples[20_000:20_010] = np.nan
    path = write_recording(
        tmp_path / "nan.wav", 3.0, sound=Sound(16_000, 1, codec="pcm_f32le", samples=samples), pictures=None
    )
    health = Health()
    estimates = list(replay(path, model=tiny_model, health=health))
    assert health.counters(str(path))["audio_invalid_samples"] == 10
    assert [e.audio_coverage < 1 for e in estimates] == [False, True, True, False, False]
    assert all(math.isfinite(e.confidence) for e in estimates)


def test_gap_makes_windows_without_evidence(tiny_model: SceneModel, tmp_path: Path) -> None:
    path = write_recording(
        tmp_path / "gap.mkv", 4.0, sound=noise(4.0), stamp=lambda time_s: time_s + (3.0 if time_s >= 2 else 0)
    )
    health = Health()
    estimates = list(replay(path, model=tiny_model, health=health))
    assert len(estimates) == expected_count(Fraction(7), Fraction(1, 2))
    assert "none" in {e.modality for e in estimates}
    assert all(not e.window_probabilities for e in estimates if e.modality == "none")
    assert health.counters(str(path))["audio_gap_samples"] == pytest.approx(3 * 48_000, abs=2_000)


def test_odd_formats(tiny_model: SceneModel, tmp_path: Path) -> None:
    odd = [
        write_recording(tmp_path / "phone.wav", 2.0, sound=noise(2.0, 8_000, 1), pictures=None),
        write_recording(tmp_path / "surround.flac", 2.0, sound=noise(2.0, 96_000, 6), pictures=None),
        write_recording(
            tmp_path / "tiny.mkv", 2.0, sound=None, pictures=Pictures(2, 2, codec="ffv1", pixel_format="yuv444p")
        ),
    ]
    for path in odd:
        assert len(list(replay(path, model=tiny_model))) == 3


def test_usage_errors(tiny_model: SceneModel, clip: Path, tmp_path: Path) -> None:
    for bad in (0.0, 0.03, -1.0, math.nan):
        with pytest.raises(ConfigError, match="hop"):
            replay(clip, model=tiny_model, hop_s=bad)
    with pytest.raises(ConfigError, match="speed"):
        replay(clip, model=tiny_model, speed=0.0)
    with pytest.raises(ConfigError, match="nothing to replay"):
        replay(model=tiny_model)
    with pytest.raises(ConfigError, match="no recording"):
        list(replay("rtsp://camera.local/stream", model=tiny_model))
    mute = write_recording(tmp_path / "mute.mkv", 1.0, sound=None)
    with pytest.raises(ConfigError, match="sound"):
        list(replay(audio=mute, model=tiny_model))


def test_every_shared_recording(shared_data: Path, tiny_model: SceneModel) -> None:
    files = sorted(path for kind in ("tau/*/*.mp4", "tau/*/*.flac", "clips/*.mp4") for path in shared_data.glob(kind))
    assert len(files) == 75
    for number, path in enumerate(files):
        half = list(replay(path, model=tiny_model, hop_s=0.5))
        duration_s = decoded_duration_s(path)
        assert len(half) == expected_count(duration_s, Fraction(1, 2)), path.name
        if number % 3:
            continue
        quarter = list(replay(path, model=tiny_model, hop_s=0.25, block_samples=1000))
        assert len(quarter) == expected_count(duration_s, Fraction(1, 4)), path.name
        assert [e.window_probabilities for e in quarter[::2]] == [e.window_probabilities for e in half], path.name
