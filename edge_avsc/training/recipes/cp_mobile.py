"""A small network of inverted residuals, in the style of CP-Mobile."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_avsc.training.recipes.layers import plain_conv


class CpMobileNetwork(nn.Module):  # type: ignore[misc]
    """Inverted residuals, after each a global response norm (in the style of CP-Mobile, DCASE 2023), then the mean."""

    def __init__(self, signals: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        stem = widths[0]
        layers: list[Any] = []
        for inputs, outputs in ((signals, stem // 4), (stem // 4, stem)):
            layers += [plain_conv(inputs, outputs, stride=2), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = stem
        for stage, (width, blocks) in enumerate(zip(widths, (3, 2, 1), strict=False)):
            for block in range(blocks):
                layers.append(_CpBlock(inputs, width, 2 if stage < 2 and block == 1 else 1))
                inputs = width
        self.layers = nn.Sequential(*layers)
        self.size = inputs

    def forward(self, x: Any) -> Any:
        """Return ``[batch, widths[-1]]``."""
        return self.layers(x).mean((2, 3))


class _CpBlock(nn.Module):  # type: ignore[misc]
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inputs
        self.layers = nn.Sequential(
            plain_conv(inputs, wide, 1),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            plain_conv(wide, wide, 3, stride, wide),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            plain_conv(wide, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.pool = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        self.adds = inputs == outputs
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        y = self.layers(x)
        if self.adds:
            y = y + self.pool(x)
        power = torch.sqrt((y * y).sum((2, 3), keepdim=True) + 1e-6)
        return torch.relu(y + self.gamma * y * power / (power.mean(1, keepdim=True) + 1e-6) + self.beta)
