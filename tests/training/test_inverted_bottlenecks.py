import pytest

pytest.importorskip("torch")

import torch

from edge_avsc.training.inverted_bottlenecks import Block, ResponseNorm


def test_a_channel_twice_as_strong_as_the_mean_gains_by_that() -> None:
    norm = ResponseNorm(over=3)
    x = torch.zeros(1, 2, 2, 4)
    x[0, 0, 0], x[0, 1, 0] = 3.0, 1.0  # in the second time step nothing is heard
    torch.testing.assert_close(norm(x), x)  # as it begins
    with torch.no_grad():
        norm.gamma.fill_(2.0)
        norm.beta.fill_(0.5)
        found = norm(x)
    torch.testing.assert_close(found[0, 0, 0], torch.full((4,), 3 * (1 + 2 * 1.5) + 0.5), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0, 1, 0], torch.full((4,), 1 * (1 + 2 * 0.5) + 0.5), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0, :, 1], torch.full((2, 4), 0.5))


@pytest.mark.parametrize("stride", [(1, 1), (1, 2)])
def test_a_block_that_adds_what_it_got_passes_it_on_where_it_makes_nothing(stride: tuple[int, int]) -> None:
    block = Block(4, 4, 8, stride, over=3).eval()
    torch.nn.init.zeros_(block.block[2][1].weight)
    x = torch.rand(2, 4, 6, 8)
    wanted = x if stride == (1, 1) else torch.nn.functional.avg_pool2d(x, 3, stride, 1)
    with torch.no_grad():
        torch.testing.assert_close(block(x), wanted)
