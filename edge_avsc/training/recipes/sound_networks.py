"""Networks over a window's columns: each turns ``[batch, signals, bands, columns]`` into an embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edge_avsc.bundle import AudioFrontEnd
from edge_avsc.errors import ConfigError
from edge_avsc.training.recipes.cp_mobile import CpMobileNetwork
from edge_avsc.training.recipes.layers import ResidualBlock, TransformerLayer, plain_conv
from edge_avsc.training.recipes.settings import Sound, SoundNetwork
from edge_avsc.training.recipes.trunks import Cnn14, L3Trunk, Vggish, load_weights


class SoundEncoder(nn.Module):  # type: ignore[misc]
    """Columns ``[batch, columns, column_size]``, plain logarithms, to the embeddings of all networks side by side.

    sizes: how long each network's part is. A single ``sequence`` network gives ``[batch, steps, size]`` instead.
    Each signal of each bank is normalised by its own mean and deviation, see :meth:`fit`.
    """

    mean: Any
    deviation: Any

    def __init__(self, sound: Sound, *, load: bool) -> None:
        super().__init__()
        self.front = sound.front()
        self.networks = nn.ModuleList([_network(one, sound, self.front, load) for one in sound.networks])
        self.chosen = [_signals(one, self.front) for one in sound.networks]
        self.every = [one.every for one in sound.networks]
        self.scales = [_scale(one) for one in sound.networks]
        self.sizes = [network.size for network in self.networks]
        self.is_sequence = any(one.kind == "sequence" for one in sound.networks)
        if len(self.networks) > 1 and self.is_sequence:
            raise ConfigError("A 'sequence' network stands alone; take the other sound networks out.")
        planes = self.front.channels * len(self.front.banks)
        self.register_buffer("mean", torch.zeros(1, planes, 1, 1))
        self.register_buffer("deviation", torch.ones(1, planes, 1, 1))

    def planes(self, columns: Any) -> Any:
        """Return columns as ``[batch, signals and banks, bands, columns]``."""
        front = self.front
        planes = columns.reshape(-1, front.columns, front.channels * len(front.banks), front.n_mels)
        return planes.permute(0, 2, 3, 1)

    def fit(self, columns: Any) -> None:
        """Take mean and deviation of *columns* ``[n, columns, column_size]`` for the normalisation."""
        planes = self.planes(columns)
        self.mean.copy_(planes.mean((0, 2, 3), keepdim=True))
        self.deviation.copy_(planes.std((0, 2, 3), keepdim=True).clamp(min=1e-3))

    def forward(self, log_mel: Any) -> Any:
        """Return the embeddings."""
        raw = self.planes(log_mel)
        usual = (raw - self.mean) / self.deviation
        parts = []
        for network, chosen, every, scale in zip(self.networks, self.chosen, self.every, self.scales, strict=True):
            planes = usual if scale is None else raw
            if len(chosen) < planes.shape[1]:
                planes = planes[:, chosen]
            planes = planes if scale is None else scale(planes)
            parts.append(network(planes[:, :, :, ::every]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


_DECIBELS = 10.0 / math.log(10.0)


def _scale(one: SoundNetwork) -> Callable[[Any], Any] | None:
    """Return what makes of natural logarithms what a known trunk was trained on; None for the usual normalisation."""
    if one.kind == "openl3" or (one.kind == "sequence" and one.of == "openl3"):
        return _under_the_loudest
    return {"cnn14": lambda raw: raw * _DECIBELS, "vggish": lambda raw: raw * 0.5}.get(one.kind)


def _under_the_loudest(raw: Any) -> Any:
    """Decibels under the window's maximum, at most 80, as OpenL3's front end has them."""
    return ((raw - raw.amax((1, 2, 3), keepdim=True)) * _DECIBELS).clamp(min=-80.0)


def _signals(one: SoundNetwork, front: AudioFrontEnd) -> list[int]:
    """Return which planes a network sees: those of its banks, of all signals."""
    for bank in one.banks:
        if bank not in front.banks:
            raise ConfigError(f"A sound network asks for the bank '{bank}', which front_end does not have; add it.")
    banks = [k for k, bank in enumerate(front.banks) if not one.banks or bank in one.banks]
    return [signal * len(front.banks) + k for signal in range(front.channels) for k in banks]


def _network(one: SoundNetwork, sound: Sound, front: AudioFrontEnd, load: bool) -> Any:
    signals, bands = len(_signals(one, front)), front.n_mels
    columns = -(-front.columns // one.every)
    made: dict[str, Any] = {
        "scse_resnet": lambda: ScseResnet(signals, one.widths or (32, 64, 128)),
        "conv1d": lambda: Conv1d(signals * bands, one.widths or (256, 512, 512), one.depth),
        "cp_mobile": lambda: CpMobileNetwork(signals, one.widths or (32, 56, 104)),
        "fcnn": lambda: Fcnn(signals, one.widths or (48, 96, 192, 384), one.depth),
        "resnet": lambda: Resnet(signals, one.widths or (64, 128, 256, 512), one.depth),
        "cnn14": lambda: Cnn14(signals, bands, one.scale),
        "vggish": lambda: Vggish(signals, bands, columns, one.scale),
        "openl3": lambda: L3Trunk(signals, one.scale),
        "sequence": lambda: Sequence(signals, one),
    }
    network = made[one.kind]()
    if one.weights and load:
        known = network.trunk if isinstance(network, Sequence) else network
        load_weights(known, one.weights, one.of if isinstance(network, Sequence) else one.kind)
        if isinstance(network, Sequence):
            network.trunk_learns = False
    return network


class ScseResnet(nn.Module):  # type: ignore[misc]
    """Three residual blocks with scSE of ratio 2, ELU, pooling of time by 2, 2 and 1, then the mean.

    As in the public code of Naranjo-Alcazar et al., https://github.com/Machine-Listeners-Valencia/DCASE2021-Task1b:
    the shortcut (1 x 1, normalised) is added before the last ELU and again after the excitation.
    """

    def __init__(self, signals: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (signals, *widths[:-1])
        self.blocks = nn.ModuleList([_ScseBlock(i, o) for i, o in zip(inputs, widths, strict=True)])
        self.pools = [2] * min(2, len(widths)) + [1] * (len(widths) - 2)
        self.drop = nn.Dropout(0.3)
        self.size = widths[-1]

    def forward(self, x: Any) -> Any:
        """Return ``[batch, widths[-1]]``."""
        for block, pool in zip(self.blocks, self.pools, strict=True):
            x = block(x)
            x = self.drop(nn.functional.max_pool2d(x, (1, pool)) if pool > 1 else x)
        return x.mean((2, 3))


class _ScseBlock(nn.Module):  # type: ignore[misc]
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width))
        self.squeeze = nn.Linear(width, width // 2, bias=False)
        self.excite = nn.Linear(width // 2, width, bias=False)
        self.spatial = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, x: Any) -> Any:
        short = self.shortcut(x)
        x = nn.functional.elu(self.main(x) + short)
        channel = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * channel[:, :, None, None] + x * torch.sigmoid(self.spatial(x)) + short


class Conv1d(nn.Module):  # type: ignore[misc]
    """A deep network of convolutions over time, bands as channels; mean and maximum over time."""

    def __init__(self, inputs: int, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        layers: list[Any] = []
        for width in widths:
            for _ in range(depth):
                layers += [nn.Conv1d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool1d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.size = 2 * widths[-1]

    def forward(self, x: Any) -> Any:
        """Return ``[batch, 2 * widths[-1]]``."""
        x = self.layers(x.flatten(1, 2))
        return torch.cat([x.mean(2), x.amax(2)], 1)


class Fcnn(nn.Module):  # type: ignore[misc]
    """A fully convolutional network, *depth* convolutions a width, each pair pooled by 2; then the mean."""

    def __init__(self, signals: int, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        layers: list[Any] = []
        inputs = signals
        for width in widths:
            for _ in range(depth):
                layers += [plain_conv(inputs, width), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.size = widths[-1]

    def steps(self, x: Any) -> Any:
        """Return the features in time ``[batch, steps, widths[-1]]``."""
        return self.layers(x).mean(2).transpose(1, 2)

    def forward(self, x: Any) -> Any:
        """Return ``[batch, widths[-1]]``."""
        return self.layers(x).mean((2, 3))


class Resnet(nn.Module):  # type: ignore[misc]
    """Residual blocks of two convolutions (He et al. 2016), *depth* for each width, halving both axes; the mean."""

    def __init__(self, signals: int, widths: tuple[int, ...], depth: int) -> None:
        super().__init__()
        layers: list[Any] = [plain_conv(signals, widths[0]), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        inputs = widths[0]
        for width in widths:
            for block in range(depth):
                layers.append(ResidualBlock(inputs, width, 2 if block == 0 else 1))
                inputs = width
        self.layers = nn.Sequential(*layers)
        self.size = widths[-1]

    def forward(self, x: Any) -> Any:
        """Return ``[batch, widths[-1]]``."""
        return self.layers(x).mean((2, 3))


class Sequence(nn.Module):  # type: ignore[misc]
    """A transformer layer over a trunk's features in time, then four convolutions over time (Hou_UGent)."""

    def __init__(self, signals: int, one: SoundNetwork) -> None:
        super().__init__()
        self.trunk = L3Trunk(signals, one.scale) if one.of == "openl3" else Fcnn(signals, one.widths[:-1], one.depth)
        width = self.trunk.size
        self.size = one.widths[-1] if one.widths else 256
        self.attention = TransformerLayer(width, one.heads, width)
        layers: list[Any] = []
        for k in range(4):
            inputs = width if k == 0 else self.size
            layers += [nn.Conv1d(inputs, self.size, 3, padding=1), nn.BatchNorm1d(self.size), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.trunk_learns = True

    def train(self, mode: bool = True) -> Sequence:
        """Set the mode; a trunk with known weights stays as it is, statistics included."""
        super().train(mode)
        if not self.trunk_learns:
            self.trunk.eval()
        return self

    def forward(self, x: Any) -> Any:
        """Return ``[batch, steps, size]``."""
        steps = self.trunk.steps(x)
        steps = self.attention(steps if self.trunk_learns else steps.detach())
        return self.convolutions(steps.transpose(1, 2)).transpose(1, 2)
