import pytest

pytest.importorskip("torch")

import torch

from edge_avsc.training.device import DEVICE, HAS_BFLOAT16, HAS_FLOAT16, finer_half_precision, half_precision


def test_what_is_learnt_in_half_precision_is_nearly_what_is_learnt_in_float() -> None:
    torch.manual_seed(1)
    layer, x = torch.nn.Linear(64, 8).to(DEVICE), torch.randn(32, 64, device=DEVICE)
    exact = layer(x).square().mean()
    with half_precision():
        said = layer(x)
    assert said.dtype == (torch.bfloat16 if HAS_BFLOAT16 else torch.float32)
    said.float().square().mean().backward()
    torch.testing.assert_close(said.float(), layer(x), rtol=0.05, atol=0.02)
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(said.float().square().mean(), exact, rtol=0.02, atol=0)


def test_the_finer_half_precision_is_nearer_to_float() -> None:
    torch.manual_seed(1)
    layer, x = torch.nn.Linear(64, 8).to(DEVICE), torch.randn(32, 64, device=DEVICE)
    with torch.no_grad(), finer_half_precision():
        said = layer(x)
    assert said.dtype == (torch.float16 if HAS_FLOAT16 else torch.float32)
    torch.testing.assert_close(said.float(), layer(x), rtol=0.005, atol=0.003)
