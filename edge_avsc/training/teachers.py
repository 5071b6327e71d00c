"""The sound teacher: CP-Mobile, first place of DCASE 2023 Task 1, rebuilt from its checkpoint. It never ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation
from edge_avsc.features import mel_filter_bank
from edge_avsc.training.device import DEVICE

# Only the filter bank of this front end is used: Kaldi's mel bands are the house's.
_BANDS = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=32_000,
    channels=1,
    n_fft=4096,
    hop_samples=400,
    n_mels=256,
    fmin_hz=0.0,
    fmax_hz=15_500.0,
    columns=1,
    normalisation=AudioNormalisation(floor=1e-5, mean=-4.5, scale=5.0),
)


class _ResponseNorm(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        size = torch.linalg.vector_norm(x, dim=2, keepdim=True)  # over frequency, each time step for itself
        return self.gamma * (x * (size / (size.mean(1, keepdim=True) + 1e-6))) + self.beta + x


def _unit(channels_in: int, channels: int, kernel: int, stride: tuple[int, int], groups: int, relu: bool) -> Any:
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), *([nn.ReLU()] if relu else []))


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, channels_in: int, channels: int, inner: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _unit(channels_in, inner, 1, (1, 1), 1, True),
            _unit(inner, inner, 3, stride, inner, True),
            _unit(inner, channels, 1, (1, 1), 1, False),
        )
        self.after_block_norm = _ResponseNorm()
        self.adds = channels_in == channels
        self.shortcut = nn.AvgPool2d(3, stride, 1) if stride != (1, 1) else nn.Identity()

    def forward(self, x: Any) -> Any:
        out = self.block(x)
        return torch.relu(self.after_block_norm(out + self.shortcut(x) if self.adds else out))


FEATURES = 168


class SoundTeacher(nn.Module):  # type: ignore[misc]
    """One second ``[batch, 32000]`` at 32 kHz to a map of class logits ``[batch, 10, 16 (frequency), 9 (time)]``."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self.in_c = nn.Sequential(_unit(1, 8, 3, (2, 2), 1, True), _unit(8, 32, 3, (2, 2), 1, True))
        plan = {
            "s1": {"b1": (32, 32, 96, (1, 1)), "b2": (32, 32, 96, (2, 2)), "b3": (32, 32, 96, (1, 1))},
            "s2": {"b4": (32, 72, 96, (2, 1)), "b5": (72, 72, 216, (1, 1))},
            "s3": {"b6": (72, 168, 216, (1, 1))},
        }
        self.stages = nn.Sequential()
        for stage, blocks in plan.items():
            self.stages.add_module(stage, nn.Sequential())
            for name, shape in blocks.items():
                self.stages.get_submodule(stage).add_module(name, _Block(*shape))
        self.feed_forward = nn.Sequential(nn.Conv2d(168, 10, 1, bias=False), nn.BatchNorm2d(10))
        self.register_buffer("filters", torch.from_numpy(mel_filter_bank(_BANDS)), persistent=False)
        self.register_buffer("window", torch.hann_window(3072, periodic=False), persistent=False)
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
        self.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
        self.eval()

    def _log_mel(self, sound: Any) -> Any:
        emphasised = sound[:, 1:] - 0.97 * sound[:, :-1]
        spectrum = torch.stft(emphasised, 4096, 500, 3072, self.window, center=True, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.einsum("bft,fm->bmt", power, self.filters)
        return ((mel + 1e-5).log() + 4.5) / 5.0

    def features(self, sound: Any) -> Any:
        """Return the map that the logits are read from: ``[batch, 168, 16 (frequency), 9 (time)]``."""
        return self.stages(self.in_c(self._log_mel(sound)[:, None]))

    def forward(self, sound: Any) -> Any:
        """Return the logit map; its mean over the last two axes are the class logits."""
        return self.feed_forward(self.features(sound))


def class_logits(teacher: SoundTeacher, sounds: Any, batch: int = 8) -> Any:
    """Return the teacher's class logits ``[n, 10]`` of numpy sounds ``[n, 32000]``."""
    with torch.inference_mode():
        starts = range(0, len(sounds), batch)
        parts = [teacher.to(DEVICE)(torch.from_numpy(sounds[i : i + batch]).to(DEVICE)).mean((2, 3)) for i in starts]
    return np.concatenate([part.cpu().numpy() for part in parts])
