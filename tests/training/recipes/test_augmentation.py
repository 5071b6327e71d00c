from __future__ import annotations

import pytest
import torch

from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation
from edge_avsc.training.recipes.augmentation import augmented, pictures_changed, sound_changed
from edge_avsc.training.recipes.settings import Augmentation
from edge_avsc.training.recipes.system import Batch

FRONT = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=16000,
    channels=2,
    mix="left_right",
    n_fft=512,
    hop_samples=400,
    n_mels=4,
    fmin_hz=20,
    fmax_hz=8000,
    columns=10,
    normalisation=AudioNormalisation(floor=1e-6, mean=0, scale=1),
)


def batch(n: int = 64) -> Batch:
    torch.manual_seed(5)
    return Batch(
        torch.randn(n, 10, 8), torch.ones(n).bool(), torch.randn(n, 2, 3, 6, 6), torch.ones(n, 2), torch.arange(n) % 3
    )


def test_nothing_asked_for_changes_nothing() -> None:
    given = batch()
    targets = torch.eye(3)[given.labels]
    changed, same = augmented(given, Augmentation(), FRONT, targets)
    assert torch.equal(changed.columns, given.columns)
    assert torch.equal(changed.pictures, given.pictures)
    assert torch.equal(same, targets)


@pytest.mark.parametrize("joint", [True, False])
def test_mixup_mixes_targets_as_it_mixes_windows(joint: bool) -> None:
    given = batch()
    # Material that tells its label: what is mixed of it must be what the targets say.
    telling = torch.eye(3)[given.labels]
    given = Batch(telling[:, None].expand(-1, 10, 3), given.heard, telling[:, None], given.seen[:, :1], given.labels)
    changed, targets = augmented(given, Augmentation(mixup=1.0, joint=joint), None, telling)
    torch.testing.assert_close(targets, (changed.columns[:, 0] + changed.pictures[:, 0]) / 2)
    torch.testing.assert_close(targets.sum(1), torch.ones(64))
    assert torch.allclose(changed.columns[:, 0], changed.pictures[:, 0]) == joint
    assert targets.max(1).values.min() < 0.9


def test_channel_confusion_exchanges_left_and_right_of_some() -> None:
    columns = batch().columns
    changed = sound_changed(columns, Augmentation(channel_confusion=0.5), FRONT)
    exchanged = torch.cat([columns[:, :, 4:], columns[:, :, :4]], 2)
    same = [torch.equal(a, b) for a, b in zip(changed, columns, strict=True)]
    other = [torch.equal(a, b) for a, b in zip(changed, exchanged, strict=True)]
    assert all(a != b for a, b in zip(same, other, strict=True))
    assert 10 < sum(other) < 54


def test_pitch_shift_moves_bands() -> None:
    columns = torch.arange(4.0).repeat(2).expand(64, 10, 8)
    changed = sound_changed(columns, Augmentation(pitch_shift=1), FRONT)
    assert {tuple(row[0, :4].tolist()) for row in changed} == {(0, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 3)}


def test_spec_augment_masks_runs_with_the_mean() -> None:
    columns = batch().columns
    changed = sound_changed(columns, Augmentation(spec_augment=True), FRONT)
    touched = (changed != columns).float().mean()
    assert 0.02 < touched < 0.5
    torch.testing.assert_close(changed.mean(), columns.mean(), atol=0.05, rtol=0)


def test_a_flip_mirrors_and_all_pictures_of_a_window_alike() -> None:
    pictures = batch().pictures
    changed = pictures_changed(pictures, Augmentation(flip=True))
    mirrored = 0
    for before, after in zip(pictures, changed, strict=True):
        flipped = torch.allclose(after, before.flip(3), atol=1e-4)
        assert flipped or torch.allclose(after, before, atol=1e-4)
        mirrored += flipped
    assert 10 < mirrored < 54


def test_crop_and_jitter_keep_size() -> None:
    pictures = batch().pictures
    how = Augmentation(random_resized_crop=0.5, colour_jitter=0.3)
    changed = pictures_changed(pictures, how)
    assert changed.shape == pictures.shape
    assert not torch.allclose(changed, pictures, atol=0.1)
