"""From embeddings to logits. Every fusion also judges each modality alone, for windows that lack the other one.

``forward`` gives the logits ``[batch, labels]`` of "both", "audio" and "video" as far as they are there, and of
"members" ``[batch, members, labels]``. What a head for one modality alone learns does not reach the encoders, unless
the fusion is made of such heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_avsc.training.recipes.layers import TransformerLayer
from edge_avsc.training.recipes.settings import Fusion


class FusionNet(nn.Module):  # type: ignore[misc]
    """The layers of any kind of fusion.

    audio_sizes, video_sizes: the parts of the embeddings, a part for each network; empty where there is no such
    modality.
    """

    audio_mean: Any
    audio_deviation: Any
    video_mean: Any
    video_deviation: Any

    def __init__(self, settings: Fusion, audio_sizes: list[int], video_sizes: list[int], labels: int) -> None:
        super().__init__()
        self.kind, self.audio_sizes, self.video_sizes = settings.kind, audio_sizes, video_sizes
        audio, video = sum(audio_sizes), sum(video_sizes)
        self.has_both = bool(audio and video)
        for name, size in (("audio", audio), ("video", video)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_deviation", torch.ones(size))
        inherent = settings.kind in ("dense_heads", "late", "hybrid") or not self.has_both
        self.inherent = inherent
        widths = settings.widths if inherent else ()
        if audio:
            self.audio_head = Head(audio, widths, labels, settings.dropout)
        if video:
            self.video_head = Head(video, widths, labels, settings.dropout)
        self.joint: Any = self._joint(settings, audio, video, labels) if self.has_both else None
        members = len(video_sizes) if settings.kind == "ensemble" else 0
        self.members = nn.ModuleList(
            [Head(audio + size, settings.widths, labels, settings.dropout) for size in video_sizes[:members]]
        )
        self.register_buffer("member_weights", torch.ones(members, labels))
        self.register_buffer("floor", torch.zeros(()))

    def _joint(self, settings: Fusion, audio: int, video: int, labels: int) -> Any:
        if settings.kind in ("late", "ensemble"):
            return None
        if settings.kind == "dense_heads":
            return nn.Sequential(nn.Linear(2 * settings.widths[-2], 128), nn.Linear(128, labels))
        if settings.kind == "transformer":
            return _Steps(settings, audio, video, labels)
        if settings.kind == "tokens":
            return _Tokens(settings, [*self.audio_sizes, *self.video_sizes], labels)
        return Head(audio + video, settings.widths, labels, settings.dropout)

    def fit(self, name: str, embeddings: Any) -> None:
        """Take mean and deviation of a modality's *embeddings* ``[n, size]`` for the z-score."""
        getattr(self, f"{name}_mean").copy_(embeddings.mean(0))
        getattr(self, f"{name}_deviation").copy_(embeddings.std(0).clamp(min=1e-3))

    def forward(self, audio_embedding: Any, image_embedding: Any) -> dict[str, Any]:
        """Return the logits of each part."""
        result: dict[str, Any] = {}
        audio = (audio_embedding - self.audio_mean) / self.audio_deviation if self.audio_sizes else None
        video = (image_embedding - self.video_mean) / self.video_deviation if self.video_sizes else None
        if audio is not None:
            pooled = audio.mean(1) if audio.dim() == 3 else audio
            result["audio"] = self.audio_head(pooled if self.inherent else pooled.detach())
        if video is not None:
            result["video"] = self.video_head(video if self.inherent else video.detach())
        if self.kind == "ensemble":
            self._judge_members(result, audio, video)
        elif audio is not None and video is not None:
            result["both"] = self._fused(result, audio, video)
        return result

    def _fused(self, result: dict[str, Any], audio: Any, video: Any) -> Any:
        if self.kind == "dense_heads":
            return self.joint(torch.cat([self.audio_head.before(audio), self.video_head.before(video)], 1))
        if self.kind in ("transformer", "tokens"):
            return self.joint(audio, video)
        if self.kind == "early":
            return self.joint(torch.cat([audio, video], 1))
        heads = [torch.log_softmax(result[name], 1) for name in ("audio", "video")]
        if self.kind == "late":
            return (heads[0] + heads[1]) / 2
        early = torch.log_softmax(self.joint(torch.cat([audio, video], 1)), 1)
        # "Hybrid": what the model says of both, and the decisions on each, averaged as probabilities.
        return torch.log((early.exp() * 2 + heads[0].exp() + heads[1].exp()) / 4 + 1e-9)

    def _judge_members(self, result: dict[str, Any], audio: Any, video: Any) -> None:
        """The members' probabilities, weighted by class and summed, normalised, not under the floor."""
        parts = torch.split(video, self.video_sizes, 1)
        joined = [part if audio is None else torch.cat([audio, part], 1) for part in parts]
        logits = torch.stack([member(part) for member, part in zip(self.members, joined, strict=True)], 1)
        summed = (torch.softmax(logits, 2) * self.member_weights).sum(1)
        summed = torch.maximum(summed / summed.sum(1, keepdim=True), self.floor)
        result["members"] = logits
        result["both" if audio is not None else "video"] = torch.log(summed + 1e-9)


class Head(nn.Module):  # type: ignore[misc]
    """Dense layers, between them batch norm, ReLU and dropout; without *widths* one linear layer.

    Batch norm, as in the challenge's baseline: 512-512-128-64-10 has 338,634 parameters.
    """

    def __init__(self, size: int, widths: tuple[int, ...], labels: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.ModuleList()
        self.norms = nn.ModuleList()
        for width in widths:
            self.linear.append(nn.Linear(size, width))
            self.norms.append(nn.BatchNorm1d(width))
            size = width
        self.last = nn.Linear(size, labels)
        self.drop = nn.Dropout(dropout)

    def before(self, x: Any) -> Any:
        """Return what the last but one layer of *widths* gives, before its batch norm and ReLU (128 numbers there)."""
        for k in range(len(self.linear) - 2):
            x = self._layer(k, x)
        return self.linear[len(self.linear) - 2](x)

    def forward(self, x: Any) -> Any:
        """Return the logits."""
        for k in range(len(self.linear)):
            x = self._layer(k, x)
        return self.last(x)

    def _layer(self, k: int, x: Any) -> Any:
        return self.drop(torch.relu(self.norms[k](self.linear[k](x))))


class _Steps(nn.Module):  # type: ignore[misc]
    """The picture beside each step of the sound; a transformer over the steps; mean and maximum over time."""

    def __init__(self, settings: Fusion, audio: int, video: int, labels: int) -> None:
        super().__init__()
        width = audio + video
        self.layers = nn.ModuleList(
            [TransformerLayer(width, settings.heads, settings.feed_forward) for _ in range(settings.layers)]
        )
        self.drop = nn.Dropout(settings.dropout)
        self.last = nn.Linear(width, labels)

    def forward(self, audio: Any, video: Any) -> Any:
        steps = audio if audio.dim() == 3 else audio[:, None]
        x = torch.cat([steps, video[:, None].expand(-1, steps.shape[1], -1)], 2)
        for layer in self.layers:
            x = layer(x)
        x = self.last(self.drop(x))
        return x.mean(1) + x.amax(1)


class _Tokens(nn.Module):  # type: ignore[misc]
    """A token for each network's embedding, a transformer over them, their mean to the labels."""

    def __init__(self, settings: Fusion, sizes: list[int], labels: int) -> None:
        super().__init__()
        width = settings.widths[0]
        self.sizes = sizes
        self.project = nn.ModuleList([nn.Linear(size, width) for size in sizes])
        self.layers = nn.ModuleList(
            [TransformerLayer(width, settings.heads, settings.feed_forward) for _ in range(settings.layers)]
        )
        self.drop = nn.Dropout(settings.dropout)
        self.last = nn.Linear(width, labels)

    def forward(self, audio: Any, video: Any) -> Any:
        parts = torch.split(torch.cat([audio, video], 1), self.sizes, 1)
        x = torch.stack([layer(part) for layer, part in zip(self.project, parts, strict=True)], 1)
        for layer in self.layers:
            x = layer(x)
        return self.last(self.drop(x.mean(1)))
