import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

import torch

from edge_avsc.training.experts import Unseen, event_direction


def unseen(sure: float, right: float) -> Unseen:
    """Return what is said of 1000 views with one sureness, a share of it right; class 0 comes nine times of ten."""
    random = np.random.default_rng(1)
    labels = np.where(random.random(1000) < 0.9, 0, 1)
    said = np.where(random.random(1000) < right, labels, (labels + 5) % 10)
    return Unseen(np.eye(10)[said] * sure, labels, np.arange(1000) % 5)


def test_who_is_too_sure_is_cooled_and_who_is_too_shy_is_sharpened() -> None:
    assert unseen(8.0, 0.6).temperature() > 1.5
    assert unseen(1.0, 0.95).temperature() < 0.7


def test_a_fold_is_kept_out() -> None:
    known = unseen(2.0, 0.8)
    assert set(known.without(3).folds.tolist()) == {0, 1, 2, 4}
    assert len(known.without(None).labels) == 1000


def test_what_a_place_sounds_like_is_no_event_however_like_one_it_is() -> None:
    generator = torch.Generator().manual_seed(1)
    events, places, bus = torch.randn(3, 200, 4, generator=generator)
    events[:, 0] += 4.0
    bus[:, 0] += 3.0
    bus[:, 1] += 3.0

    def alarms(heard: torch.Tensor) -> float:
        weight, bias = event_direction(heard, torch.arange(len(heard)) < len(events))
        return float((bus @ weight.T + bias > 0).float().mean())

    assert alarms(torch.cat([events, places])) > 0.8
    assert alarms(torch.cat([events, places, bus])) < 0.2
