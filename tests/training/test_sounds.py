from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

import torch

from edge_avsc.training.classes import LABELS
from edge_avsc.training.device import DEVICE
from edge_avsc.training.networks import AudioClassifier, AudioEncoder
from edge_avsc.training.schedule import run_length
from edge_avsc.training.sound_data import Recordings, Views
from edge_avsc.training.sounds import APART, START, Field, Lesson, Lessons, adapt, apart, between, lessons, train
from edge_avsc.training.spec import AUDIO
from edge_avsc.training.teachers import FEATURES, SoundTeacher

SHARD = 40


@pytest.fixture(scope="module")
def teacher() -> SoundTeacher:
    """A teacher that knows nothing, but says something else of each sound."""
    torch.manual_seed(1)
    return SoundTeacher()


@pytest.fixture(scope="module")
def taught(teacher: SoundTeacher, tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    random = np.random.default_rng(1)
    noise = (random.standard_normal((4, 64_000)).cumsum(1) % 2000 + 300 * random.standard_normal((4, 64_000))).astype(
        np.int16
    )
    starts = np.arange(5) * 64_000
    views = Views(Recordings(noise.ravel(), starts, list("abcd")), Recordings(noise[0], starts[:2], ["r"]))
    return lessons(teacher, views, tmp_path_factory.mktemp("lessons"), shards=1, seed=1, shard=SHARD)


def pupil() -> AudioClassifier:
    torch.manual_seed(2)
    return AudioClassifier(AudioEncoder(), len(LABELS), FEATURES)


def test_a_lesson_holds_what_both_hear_of_a_view_and_what_the_teacher_says(
    teacher: SoundTeacher, taught: Lessons
) -> None:
    assert taught.log_mel.shape == (SHARD, AUDIO.columns, AUDIO.n_mels)
    assert taught.heard.shape == (SHARD, 256, 64)
    with torch.inference_mode():
        said = teacher.maps(torch.from_numpy(taught.heard).to(DEVICE).float())[-1].mean((2, 3)).cpu()
    np.testing.assert_allclose(taught.said, said, atol=0.02)
    # Both have the same bands: but for the pre-emphasis they hear the same.
    with torch.inference_mode():
        emphasised = torch.from_numpy(taught.log_mel).float() + pupil().encoder.parts[0].bias.cpu()
    ours, theirs = emphasised.numpy().mean(1), taught.heard.astype(np.float32).mean(2)
    assert np.abs(ours - theirs).mean() < 0.15


@pytest.mark.parametrize("steps", [8, 16])
def test_times_between_the_teachers_steps_are_mixed_of_both(steps: int) -> None:
    weights = between(steps).cpu().numpy()
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    times = np.arange(steps) * (32_000 / steps) @ weights
    np.testing.assert_allclose(times, START + AUDIO.n_fft / 2 + np.arange(9) * 4 * AUDIO.hop_samples, rtol=1e-6)


def test_parts_make_maps_like_those_of_their_counterparts(teacher: SoundTeacher, taught: Lessons) -> None:
    asked = Lesson(pupil(), teacher, taught).asked(taught.heard[:4])
    found = pupil().maps(torch.from_numpy(taught.log_mel[:4]).float(), asked)
    assert [one.shape for one in found] == [one.shape for one in asked]


def test_parts_learn_apart_then_together_and_go_on_where_they_stopped(
    teacher: SoundTeacher, taught: Lessons, tmp_path: Path
) -> None:
    model, path = pupil(), tmp_path / "sounds.pt"

    def loss() -> float:
        torch.manual_seed(3)
        with torch.no_grad():
            return float(Lesson(model.to(DEVICE), teacher, taught)(taught)[0])

    before = loss()
    train(model, taught, teacher, path, epochs=8, minutes=60, seed=1)
    assert loss() < 0.7 * before
    steps = round(8 * SHARD / 32)
    assert run_length(apart(path))["steps"] == round(APART * steps)
    assert run_length(path)["steps"] == round((1 - APART) * steps)
    assert run_length(path)["began_with"] == f"what {round(APART * steps)} steps of its parts apart taught"
    learnt = {key: value.clone() for key, value in model.state_dict().items()}
    train(again := pupil(), taught, teacher, path, epochs=8, minutes=60, seed=1)
    assert all(torch.equal(value, learnt[key]) for key, value in again.state_dict().items())
    train(pupil(), taught, teacher, path, epochs=16, minutes=60, seed=1)
    assert run_length(apart(path))["steps"] == round(APART * steps)
    assert run_length(path)["steps"] == round((1 - APART) * 2 * steps)


def test_labels_of_the_field_are_heeded_beside_the_teachers_word(
    teacher: SoundTeacher, taught: Lessons, tmp_path: Path
) -> None:
    labels = np.repeat([3, 7], SHARD // 2)
    field = Field(taught, labels, np.zeros(SHARD, np.int64))

    def likely(model: AudioClassifier) -> float:
        with torch.inference_mode():
            said = torch.log_softmax(model.to(DEVICE).eval()(torch.from_numpy(taught.log_mel).to(DEVICE).float()), 1)
        return float(said[np.arange(SHARD), labels].mean())

    model = pupil()
    before = likely(model)
    adapt(model, taught, field, teacher, tmp_path / "x.pt", steps=8, minutes=60, seed=1, began_with="nothing")
    assert likely(model) > before
