"""Fewer hidden channels for the image encoder: those go that others can stand in for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from edge_avsc.training.networks import SameConv

# Of each block but the first, which has none to spare. Chosen where a microsecond (ONNX Runtime, VNNI) costs the
# embedding least, each block by itself. A picture then takes .84 of the time; before anything is learnt, 84.7 % of
# MiniPlaces' classes alike are right of 86.2 %. At .79 of the time it was 83.2 %, and 84.7 % after 93 minutes.
WIDTHS = (80, 96, 128, 96, 240, 288, 256, 448, 448, 496, 640, 1088, 768, 848, 1088)
RIDGE = 1e-3


def triples(encoder: Any) -> list[tuple[SameConv, SameConv, SameConv]]:
    """Return what makes the hidden channels of each block but the first, what moves and what projects them."""
    convolutions = [module for module in encoder.blocks[1:].modules() if isinstance(module, SameConv)]
    return list(zip(*(convolutions[i::3] for i in range(3)), strict=True))


def widths(encoder: Any) -> tuple[int, ...]:
    """Return the number of hidden channels of each block but the first."""
    return tuple(len(expand.weight) for expand, *_ in triples(encoder))


def resize(encoder: Any, wanted: Sequence[int]) -> None:
    """Give *encoder*, in place, blocks of at most so many hidden channels; which ones is left to who fills them."""
    for (expand, move, project), width in zip(triples(encoder), wanted, strict=True):
        _put(project, project.weight[:, :width], project.bias)
        for conv in (expand, move):
            _put(conv, conv.weight[:width], conv.bias[:width])


def narrowed(encoder: Any, pictures: Iterable[Any], wanted: Sequence[int]) -> Any:
    """Return a copy of *encoder* with so many hidden channels, which do on *pictures*, its inputs, what all did."""
    narrow = deepcopy(encoder)
    statistics = _hidden_statistics(encoder, pictures)
    for (expand, move, project), (mean, covariance), width in zip(triples(narrow), statistics, wanted, strict=True):
        full = project.weight[:, :, 0, 0].double()
        kept, rest = eliminate(full, covariance, width)
        bias = project.bias.double() + full @ mean - rest @ mean[kept]
        _put(project, rest.float()[:, :, None, None], bias.float())
        for conv in (expand, move):
            _put(conv, conv.weight[kept], conv.bias[kept])
    return narrow


def _hidden_statistics(encoder: Any, pictures: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return mean ``[hidden]`` and covariance ``[hidden, hidden]`` of what each block projects, over all places."""
    blocks = triples(encoder)
    sums: list[list[Any]] = [[0, 0.0, 0.0] for _ in blocks]

    def note(sum_: list[Any]) -> Any:
        def hook(_: Any, inputs: tuple[Any]) -> None:
            rows = inputs[0].permute(0, 2, 3, 1).flatten(0, 2).double()
            for i, part in enumerate((len(rows), rows.sum(0), rows.T @ rows)):
                sum_[i] += part

        return hook

    hooks = [project.register_forward_pre_hook(note(sum_)) for (*_, project), sum_ in zip(blocks, sums, strict=True)]
    with torch.no_grad():
        for picture in pictures:
            encoder(picture)
    for hook in hooks:
        hook.remove()
    means = [(total / count, square / count) for count, total, square in sums]
    return [(mean, square - torch.outer(mean, mean)) for mean, square in means]


def eliminate(weight: Any, covariance: Any, keep: int) -> tuple[Any, Any]:
    """Return which *keep* columns of *weight* ``[out, hidden]`` stay, and the weights that make up for the others.

    covariance: of the hidden channels ``[hidden, hidden]``. One after another the column goes whose loss costs least
    once the others have done what they can: the optimal brain surgeon (Hassibi & Stork 1993) by columns (Kurtic et al.
    2023, "ZipLM").
    """
    weight, hidden = weight.double().clone(), len(covariance)
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(hidden, dtype=torch.float64)
    inverse = torch.linalg.inv(covariance + ridge)
    there = torch.ones(hidden, dtype=torch.bool)
    for _ in range(hidden - keep):
        cost = weight.square().sum(0) / inverse.diagonal().clamp(min=1e-12)
        gone = int(torch.where(there, cost, torch.inf).argmin())
        weight -= torch.outer(weight[:, gone], inverse[gone]) / inverse[gone, gone]
        inverse -= torch.outer(inverse[:, gone], inverse[gone]) / inverse[gone, gone]
        there[gone] = False
        inverse[gone, gone] = 1.0
    kept = there.nonzero()[:, 0]
    return kept, weight[:, kept]


def _put(conv: Any, weight: Any, bias: Any) -> None:
    learns = conv.weight.requires_grad, conv.bias.requires_grad
    conv.weight, conv.bias = (
        nn.Parameter(part.detach().clone(), requires_grad=one) for part, one in zip((weight, bias), learns, strict=True)
    )
    conv.out_channels = len(weight)
    conv.groups = conv.out_channels if conv.groups > 1 else 1
    conv.in_channels = weight.shape[1] * conv.groups
