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
from edge_avsc.training.inverted_bottlenecks import Block, unit

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


FEATURES = 168


class SoundTeacher(nn.Module):  # type: ignore[misc]
    """One second ``[batch, 32000]`` at 32 kHz to a map of class logits ``[batch, 10, 16 (frequency), 8 (time)]``.

    Without a *checkpoint* it knows nothing yet.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        super().__init__()
        self.in_c = nn.Sequential(unit(1, 8, 3, (2, 2)), unit(8, 32, 3, (2, 2)))
        plan = {
            "s1": {"b1": (32, 32, 96, (1, 1)), "b2": (32, 32, 96, (2, 2)), "b3": (32, 32, 96, (1, 1))},
            "s2": {"b4": (32, 72, 96, (2, 1)), "b5": (72, 72, 216, (1, 1))},
            "s3": {"b6": (72, 168, 216, (1, 1))},
        }
        self.stages = nn.Sequential()
        for stage, blocks in plan.items():
            self.stages.add_module(stage, nn.Sequential())
            for name, shape in blocks.items():
                self.stages.get_submodule(stage).add_module(name, Block(*shape, over=2))
        self.feed_forward = nn.Sequential(nn.Conv2d(168, 10, 1, bias=False), nn.BatchNorm2d(10))
        self.register_buffer("filters", torch.from_numpy(mel_filter_bank(_BANDS)), persistent=False)
        self.register_buffer("window", torch.hann_window(3072, periodic=False), persistent=False)
        if checkpoint is not None:
            state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
            self.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
        self.eval()

    def hear(self, sound: Any) -> Any:
        """Return the teacher's own log-mel of sounds ``[batch, 32000]``: ``[batch, 256, 64]``."""
        emphasised = sound[:, 1:] - 0.97 * sound[:, :-1]
        spectrum = torch.stft(emphasised, 4096, 500, 3072, self.window, center=True, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.einsum("bft,fm->bmt", power, self.filters)
        return ((mel + 1e-5).log() + 4.5) / 5.0

    def maps(self, heard: Any) -> list[Any]:
        """Return what each part makes of what is *heard*, ``[batch, channels, frequency, time]``, and the logit map."""
        maps = [heard[:, None]]
        for part in (self.in_c, *(block for stage in self.stages for block in stage), self.feed_forward):
            maps.append(part(maps[-1]))
        return maps[1:]

    def forward(self, sound: Any) -> Any:
        """Return the logit map; its mean over the last two axes are the class logits."""
        return self.maps(self.hear(sound))[-1]


def class_logits(teacher: SoundTeacher, sounds: Any, batch: int = 8) -> Any:
    """Return the teacher's class logits ``[n, 10]`` of numpy sounds ``[n, 32000]``."""
    with torch.inference_mode():
        starts = range(0, len(sounds), batch)
        parts = [teacher.to(DEVICE)(torch.from_numpy(sounds[i : i + batch]).to(DEVICE)).mean((2, 3)) for i in starts]
    return np.concatenate([part.cpu().numpy() for part in parts])
