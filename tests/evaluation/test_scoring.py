from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_avsc import replay
from edge_avsc.config import SourceConfig, StreamConfig
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row, read_dataset
from edge_avsc.evaluation.scoring import SKEWS_MS, STATES, ClipScorer
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.types import NS_PER_S, SceneEstimate
from recordings import Pictures, Sound, write_recording


def row(audio: Path | None, video: Path | None) -> Row:
    return Row("clip", audio, video, "bus", "lisbon-1", "lisbon")


def values(estimates: list[SceneEstimate]) -> list[list[float]]:
    return [list(estimate.window_probabilities.values()) for estimate in estimates]


def test_windows_are_those_of_a_replay(tau: Path, tiny_model: SceneModel) -> None:
    scorer = ClipScorer(tiny_model)
    for clip in read_dataset(tau).rows:
        scores = scorer.score(clip)
        replayed = list(replay(audio=clip.audio, video=clip.video, model=tiny_model, hop_s=1.0))
        assert scores.windows.shape == (6, len(STATES), 10)
        assert scores.windows[:, STATES.index("given")].tolist() == values(replayed)


def test_each_modality_alone_is_a_replay_of_it_alone(tau: Path, tiny_model: SceneModel) -> None:
    clip = read_dataset(tau).rows[0]
    scores = ClipScorer(tiny_model).score(clip)
    for state, audio, video in (("a", clip.audio, None), ("v", None, clip.video)):
        replayed = list(replay(audio=audio, video=video, model=tiny_model, hop_s=1.0))
        assert scores.windows[:, STATES.index(state)].tolist() == values(replayed)
    both = scores.windows[:, STATES.index("av")]
    assert both.tolist() == scores.windows[:, STATES.index("given")].tolist()


def test_one_file_for_both_columns_is_a_replay_of_that_file(tmp_path: Path, tiny_model: SceneModel) -> None:
    path = write_recording(tmp_path / "both.mp4", 3.0)
    scores = ClipScorer(tiny_model).score(row(path, path))
    replayed = list(replay(path, model=tiny_model, hop_s=1.0))
    assert scores.windows[:, 0].tolist() == values(replayed)


@pytest.mark.parametrize("skew_ms", SKEWS_MS)
def test_imposed_skew_is_that_of_a_late_microphone(skew_ms: int, tau: Path, tiny_model: SceneModel) -> None:
    """An independent road to the same skew: a source whose sound is stamped so much later."""
    clip = read_dataset(tau).rows[0]
    scores = ClipScorer(tiny_model).score(clip)
    stream = StreamConfig(
        audio=SourceConfig(uri=str(clip.audio), latency_ms=-float(skew_ms)), video=SourceConfig(uri=str(clip.video))
    )
    played = [one for one in Player(tiny_model, NS_PER_S).play("skewed", stream) if isinstance(one, SceneEstimate)]
    # Two seconds at either end have no sound under some skew.
    assert scores.skewed_windows.tolist() == [2, 3]
    expected = np.array([values(played)[index] for index in scores.skewed_windows])
    np.testing.assert_allclose(scores.skewed[:, SKEWS_MS.index(skew_ms)], expected, atol=1e-6)


def test_skews_differ(tau: Path, tiny_model: SceneModel) -> None:
    skewed = ClipScorer(tiny_model).score(read_dataset(tau).rows[0]).skewed
    assert len(np.unique(skewed[0], axis=0)) == len(SKEWS_MS)


@pytest.mark.parametrize("alone", ["a", "v"])
def test_absent_modality_is_no_number(alone: str, tau: Path, tiny_model: SceneModel) -> None:
    clip = read_dataset(tau).rows[0]
    scores = ClipScorer(tiny_model).score(row(clip.audio, None) if alone == "a" else row(None, clip.video))
    has = [state for k, state in enumerate(STATES) if not np.isnan(scores.windows[:, k]).any()]
    assert has == ["given", alone]
    assert len(scores.skewed) == 0


@pytest.mark.parametrize("samples", [-1, 0, 1])
def test_a_sample_more_or_less_makes_ten_windows(samples: int, tmp_path: Path, tiny_model: SceneModel) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (160_000 + samples, 1)).astype(np.float32)
    sound = Sound(rate_hz=16_000, channels=1, samples=noise)
    audio = write_recording(tmp_path / "a.wav", 10.0, sound=sound, pictures=None)
    video = write_recording(tmp_path / "v.mkv", 9.9, sound=None, pictures=Pictures(fps=10))
    assert len(ClipScorer(tiny_model).score(row(audio, video)).windows) == 10


def test_long_clips_are_skewed_to_their_end(tmp_path: Path, tiny_model: SceneModel) -> None:
    """Longer than what the tracks remember."""
    noise = np.random.default_rng(1).normal(0, 0.1, (70 * 16_000, 1)).astype(np.float32)
    sound = Sound(rate_hz=16_000, channels=1, samples=noise)
    audio = write_recording(tmp_path / "a.wav", 70.0, sound=sound, pictures=None)
    video = write_recording(tmp_path / "v.mkv", 70.0, sound=None, pictures=Pictures(fps=5, width=32, height=32))
    scores = ClipScorer(tiny_model).score(row(audio, video))
    assert scores.skewed_windows.tolist() == list(range(2, 68))
    given = scores.windows[scores.skewed_windows, 0]
    assert scores.skewed[:, SKEWS_MS.index(0)].tolist() == given.tolist()


def test_too_short_and_missing(tmp_path: Path, tiny_model: SceneModel) -> None:
    short = write_recording(tmp_path / "short.wav", 0.5, pictures=None)
    with pytest.raises(ConfigError, match="shorter than a window"):
        ClipScorer(tiny_model).score(row(short, None))
    with pytest.raises(ConfigError, match="There is no file"):
        ClipScorer(tiny_model).score(row(tmp_path / "none.wav", None))
