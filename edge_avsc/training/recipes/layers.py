"""Layers that several networks are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_avsc.errors import ConfigError


def plain_conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Any:
    """Return a convolution without bias that keeps the size but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class ResidualBlock(nn.Module):  # type: ignore[misc]
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            plain_conv(inputs, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            plain_conv(width, width),
            nn.BatchNorm2d(width),
        )
        same = inputs == width and stride == 1
        # Every other value, then a 1 x 1 convolution: oneDNN (issue 6035) writes outside its memory where a strided one
        # of few channels learns.
        self.stride = stride
        self.short = nn.Identity() if same else nn.Sequential(plain_conv(inputs, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Any) -> Any:
        """Return ``[batch, width, …]``."""
        thinned = x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]
        return torch.relu(self.main(x) + self.short(thinned))


class TransformerLayer(nn.Module):  # type: ignore[misc]
    """Self-attention and a feed-forward net, each added and normalised (Vaswani et al. 2017), in plain operations.

    nn.TransformerEncoderLayer takes a way of its own in evaluation that ONNX has no word for.
    """

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} heads do not divide a width of {width}; choose another number of heads.")
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.forward_net = nn.Sequential(
            nn.Linear(width, feed_forward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feed_forward, width)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Any) -> Any:
        """Return ``[batch, steps, width]`` of the same."""
        steps, width = x.shape[1], x.shape[2]
        parts = self.project(x).reshape(-1, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        weights = torch.softmax(query @ key.transpose(2, 3) * (width // self.heads) ** -0.5, 3)
        mixed = (weights @ value).transpose(1, 2).reshape(-1, steps, width)
        x = self.norms[0](x + self.drop(self.out(mixed)))
        return self.norms[1](x + self.drop(self.forward_net(x)))
