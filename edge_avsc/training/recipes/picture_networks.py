"""Backbones over a picture, side by side; timm is met only here."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.training.recipes.layers import ResidualBlock
from edge_avsc.training.recipes.settings import Backbone, Picture
from edge_avsc.training.recipes.trunks import L3Trunk, load_weights

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PictureEncoder(nn.Module):  # type: ignore[misc]
    """A picture ``[batch, 3, size, size]``, normalised as for ImageNet, to all backbones' features side by side."""

    def __init__(self, picture: Picture, *, load: bool) -> None:
        super().__init__()
        self.backbones = nn.ModuleList([_Backbone(one, picture.size_px, load) for one in picture.backbones])
        self.sizes = [backbone.size for backbone in self.backbones]

    def forward(self, picture: Any) -> Any:
        """Return ``[batch, sum of sizes]``."""
        parts = [backbone(picture) for backbone in self.backbones]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class _Backbone(nn.Module):  # type: ignore[misc]
    scale: Any
    shift: Any

    def __init__(self, one: Backbone, size_px: int, load: bool) -> None:
        super().__init__()
        self.net, self.size, mean, std = _made(one, size_px, load)
        self.average_max = one.pool == "average_max"
        # From ImageNet's normalisation to the one that the weights were trained with.
        to = torch.tensor([_STD, std], device="cpu"), torch.tensor([_MEAN, mean], device="cpu")
        self.register_buffer("scale", (to[0][0] / to[0][1])[:, None, None], persistent=False)
        self.register_buffer("shift", ((to[1][0] - to[1][1]) / to[0][1])[:, None, None], persistent=False)
        self.renormalises = tuple(mean) != _MEAN or tuple(std) != _STD
        self.project = nn.Linear(self.size, one.project) if one.project else nn.Identity()
        self.size = one.project or self.size

    def forward(self, picture: Any) -> Any:
        if self.renormalises:
            picture = picture * self.scale + self.shift
        if not self.average_max:
            return self.project(self.net(picture))
        features = self.net.forward_features(picture)
        return self.project(features.mean((2, 3)) + features.amax((2, 3)))


def _made(one: Backbone, size_px: int, load: bool) -> tuple[Any, int, tuple[float, ...], tuple[float, ...]]:
    """Return a backbone, how many features it gives, and the normalisation that it expects."""
    if one.kind == "small":
        return _small(one.widths), one.widths[-1], _MEAN, _STD
    if one.kind == "openl3":
        trunk = L3Trunk(3)
        if load and one.weights:
            load_weights(trunk, one.weights, "openl3_image")
        return trunk, trunk.size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    net = _from_timm(one, size_px, load)
    config = net.pretrained_cfg
    return net, net.num_features, tuple(config["mean"]), tuple(config["std"])


def _from_timm(one: Backbone, size_px: int, load: bool) -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # a torchvision of another build than torch raises RuntimeError
        raise ConfigError(
            f"The backbone {one.name} comes from timm, which cannot be imported ({str(error).splitlines()[0]}); "
            "install it with 'pip install timm', and a torchvision that fits torch."
        ) from error
    if not timm.is_model(one.name):
        raise ConfigError(f"timm has no backbone '{one.name}'.{nearest(one.name, timm.list_models())}")
    pretrained = one.pretrained and load and one.weights is None
    more: dict[str, Any] = {"img_size": size_px} if one.name.startswith(("vit_", "swin", "test_vit")) else {}
    try:
        net = timm.create_model(one.name, pretrained=pretrained, num_classes=0, exportable=True, **more)
    except Exception as error:  # the hub raises errors of requests, urllib and its own
        if not pretrained:
            raise ConfigError(f"timm cannot make '{one.name}' ({error}); choose another backbone or size.") from error
        raise ConfigError(
            f"The weights of {one.name} cannot be had ({type(error).__name__}): go online once, so that they are "
            "kept on disk, or train with --from-scratch."
        ) from error
    if one.weights and load:
        load_weights(net, one.weights, one.name)
    return net


def _small(widths: tuple[int, ...]) -> Any:
    """Return a little residual network, to check the machinery with."""
    layers: list[Any] = []
    inputs = 3
    for width in widths:
        layers.append(ResidualBlock(inputs, width, 2))
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
