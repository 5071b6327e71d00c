"""Inverted bottlenecks with response normalisation, what CP-Mobile is made of: the sound teacher and its pupil."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class ResponseNorm(nn.Module):  # type: ignore[misc]
    """Channels gain by how strong they are beside the others, over frequency (axis *over*), each time step for itself.

    Global response normalisation (Woo et al. 2023, "ConvNeXt V2") with one gamma and one beta, as CP-Mobile has it.
    """

    def __init__(self, over: int) -> None:
        super().__init__()
        self.over = over
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        """Return the same shape."""
        size = torch.linalg.vector_norm(x, dim=self.over, keepdim=True)
        return x * (self.gamma * size / (size.mean(1, keepdim=True) + 1e-6) + 1) + self.beta


def unit(
    channels_in: int, channels: int, kernel: int, stride: tuple[int, int], groups: int = 1, relu: bool = True
) -> Any:
    """Return a convolution and its batch norm, and most often ReLU."""
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), *([nn.ReLU()] if relu else []))


class Block(nn.Module):  # type: ignore[misc]
    """One inverted bottleneck of *inner* channels; *over*: the axis of frequency, None for no response norm."""

    def __init__(self, channels_in: int, channels: int, inner: int, stride: tuple[int, int], over: int | None) -> None:
        super().__init__()
        self.block = nn.Sequential(
            unit(channels_in, inner, 1, (1, 1)),
            unit(inner, inner, 3, stride, inner),
            unit(inner, channels, 1, (1, 1), relu=False),
        )
        self.after_block_norm = nn.Identity() if over is None else ResponseNorm(over)
        self.adds = channels_in == channels
        self.shortcut = nn.AvgPool2d(3, stride, 1) if stride != (1, 1) else nn.Identity()

    def forward(self, x: Any) -> Any:
        """Return ``[batch, channels, ...]``."""
        out = self.block(x)
        return torch.relu(self.after_block_norm(out + self.shortcut(x) if self.adds else out))
