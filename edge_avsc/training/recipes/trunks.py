"""Trunks that others have trained, laid out as their packages have them, and the one door to their weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_avsc.errors import ConfigError

INSTALL = {
    "openl3": "pip install openl3 h5py",
    "panns_inference": "pip install panns_inference, and run it once, which fetches Cnn14",
    "torchvggish": "pip install torchvggish, and run it once, which fetches its weights",
}

_FILES = {
    "panns_inference": "~/panns_data/Cnn14_mAP=0.431.pth",
    "torchvggish": "~/.cache/torch/hub/checkpoints/vggish-10086976.pth",
}


class L3Trunk(nn.Module):  # type: ignore[misc]
    """OpenL3's audio or image network (Cramer et al. 2019; layers as in openl3/models.py): 8 convolutions, 3 poolings.

    Its feature map's maximum is the 512-number embedding; with *scale* under 1 all widths shrink.
    """

    def __init__(self, signals: int, scale: float = 1.0) -> None:
        super().__init__()
        widths = [max(4, round(width * scale)) for width in (64, 64, 128, 128, 256, 256, 512, 512)]
        layers: list[Any] = [nn.BatchNorm2d(signals, eps=1e-3)]
        inputs = signals
        for k, width in enumerate(widths):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1))
            if k < 7:
                layers += [nn.BatchNorm2d(width, eps=1e-3), nn.ReLU()]
            if k in (1, 3, 5):
                layers.append(nn.MaxPool2d(2))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.size = widths[-1]

    def steps(self, x: Any) -> Any:
        """Return the features in time ``[batch, steps, size]``: the maximum over bands."""
        return self.layers(x).amax(2).transpose(1, 2)

    def forward(self, x: Any) -> Any:
        """Return ``[batch, size]``."""
        return self.layers(x).amax((2, 3))


class Cnn14(nn.Module):  # type: ignore[misc]
    """PANN's Cnn14 behind its log-mel (Kong et al. 2020): 6 blocks of two convolutions, mean plus maximum, a layer.

    Names are those of the published state dict, less the front end and the classes.
    """

    def __init__(self, signals: int, bands: int, scale: float = 1.0) -> None:
        super().__init__()
        widths = [max(4, round(width * scale)) for width in (64, 128, 256, 512, 1024, 2048)]
        self.bn0 = nn.BatchNorm2d(bands)
        for k, (inputs, width) in enumerate(zip((signals, *widths[:-1]), widths, strict=True), 1):
            setattr(self, f"conv_block{k}", _PannBlock(inputs, width, pools=k < 6))
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        self.size = widths[-1]

    def forward(self, x: Any) -> Any:
        """Return ``[batch, size]``."""
        x = self.bn0(x.transpose(1, 2)).permute(0, 2, 3, 1)  # [batch, signals, columns, bands]
        for k in range(1, 7):
            x = nn.functional.dropout(getattr(self, f"conv_block{k}")(x), 0.2, self.training)
        x = x.mean(3)
        return torch.relu(self.fc1(x.amax(2) + x.mean(2)))


class _PannBlock(nn.Module):  # type: ignore[misc]
    def __init__(self, inputs: int, width: int, *, pools: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.pools = pools

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return nn.functional.avg_pool2d(x, 2) if self.pools else x


class Vggish(nn.Module):  # type: ignore[misc]
    """VGGish (Hershey et al. 2017; names as in torchvggish): 6 convolutions, 4 poolings, three layers to 128.

    Its map is pooled to 6 x 4, as 0.96 s of 64 bands give it, so that other windows fit its layers.
    """

    def __init__(self, signals: int, bands: int, columns: int, scale: float = 1.0) -> None:
        super().__init__()
        widths: list[Any] = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M"]
        layers: list[Any] = []
        inputs = signals
        for width in widths:
            if width == "M":
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                continue
            width = max(4, round(width * scale))
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        self.features = nn.Sequential(*layers)
        # Adaptive pooling to what does not divide has no ONNX form; a matrix of means does the same.
        self.register_buffer("rows", _means(_halved(columns, 4), 6), persistent=False)
        self.register_buffer("lines", _means(_halved(bands, 4), 4), persistent=False)
        wide, self.size = max(8, round(4096 * scale)), max(8, round(128 * scale))
        self.embeddings = nn.Sequential(
            nn.Linear(inputs * 24, wide),
            nn.ReLU(),
            nn.Linear(wide, wide),
            nn.ReLU(),
            nn.Linear(wide, self.size),
            nn.ReLU(),
        )

    def forward(self, x: Any) -> Any:
        """Return ``[batch, size]``."""
        x = self.features(x.transpose(2, 3))
        x = self.rows @ x @ self.lines.T
        return self.embeddings(x.permute(0, 2, 3, 1).flatten(1))


def _halved(size: int, times: int) -> int:
    for _ in range(times):
        size = -(-size // 2)
    return size


def _means(inputs: int, outputs: int) -> Any:
    """Return the matrix ``[outputs, inputs]`` of adaptive average pooling."""
    return nn.functional.adaptive_avg_pool1d(torch.eye(inputs, device="cpu")[None], outputs)[0].T.contiguous()


def load_weights(network: Any, source: str, kind: str) -> None:
    """Load a trunk's weights from a package that is installed, or from a file of PyTorch's.

    Raises ConfigError that says what to install, or what does not fit.
    """
    if source == "openl3":
        return _load_openl3(network, "audio_mel256_env" if kind == "openl3" else "image_mel256_env")
    path = Path(_FILES.get(source, source)).expanduser()
    if not path.is_file():
        hint = INSTALL.get(source, "name the file where it is")
        raise ConfigError(f"The weights of {kind} are missing ({path}): {hint}, or train with --from-scratch.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what is no file of its own
        raise ConfigError(f"{path} holds no weights of PyTorch ({type(error).__name__}); name another.") from error
    state = state.get("model", state)
    own = network.state_dict()
    state = {name: _spread(value, own[name]) for name, value in state.items() if name in own}
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if len(fitting) < len(own):
        missing = next(name for name in own if name not in fitting)
        raise ConfigError(f"{path} does not fit {kind}: '{missing}' is missing or of another shape.")
    network.load_state_dict(fitting)
    return None


def _spread(value: Any, like: Any) -> Any:
    """Return a first layer's kernel for one signal, spread over as many as *like* has; all else as it is."""
    if value.dim() == 4 and value.shape[1] == 1 < like.shape[1] and value.shape[0] == like.shape[0]:
        return value.expand(-1, like.shape[1], -1, -1) / like.shape[1]
    return value


def _load_openl3(network: Any, name: str) -> None:
    """Copy the weights that the package openl3 brings, kernels from Keras' order to PyTorch's."""
    found = importlib.util.find_spec("openl3")
    if found is None or found.origin is None or importlib.util.find_spec("h5py") is None:
        raise ConfigError(f"openl3 is not installed: {INSTALL['openl3']}, or train with --from-scratch.")
    import h5py

    path = Path(found.origin).parent / f"openl3_{name}.h5"
    if not path.is_file():
        raise ConfigError(f"{path} is missing; install openl3 again, or train with --from-scratch.")
    with h5py.File(path) as file:
        stored = {key: torch.from_numpy(value[()]) for key, value in _datasets(file)}
    names = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    kinds: dict[str, list[Any]] = {name: [] for name in names}
    for key in sorted(stored, key=_layer_number):
        kinds[key.split("/")[-1].split(":")[0]].append(stored[key])
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm2d)]
    try:
        with torch.no_grad():
            for layer, kernel, bias in zip(convolutions, kinds["kernel"], kinds["bias"], strict=True):
                layer.weight.copy_(kernel.permute(3, 2, 0, 1))
                layer.bias.copy_(bias)
            parts = (kinds["gamma"], kinds["beta"], kinds["moving_mean"], kinds["moving_variance"])
            for layer, *values in zip(norms, *parts, strict=True):
                for target, value in zip(
                    (layer.weight, layer.bias, layer.running_mean, layer.running_var), values, strict=True
                ):
                    target.copy_(value)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{path} is not laid out as OpenL3 0.4's weights are; install openl3==0.4.2.") from error


def _datasets(group: Any, prefix: str = "") -> Any:
    for key, value in group.items():
        if hasattr(value, "keys"):
            yield from _datasets(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _layer_number(key: str) -> tuple[str, int]:
    layer = key.split("/")[-2]
    name, _, number = layer.rpartition("_")
    return (name, int(number)) if number.isdecimal() else (layer, 0)
