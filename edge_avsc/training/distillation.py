"""Teach a narrowed image encoder what the full one makes of views of the pictures."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, kl_div, log_softmax, mse_loss, softmax
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from edge_avsc.training import team
from edge_avsc.training.device import DEVICE, half_precision, made_ahead
from edge_avsc.training.narrowing import WIDTHS, narrowed, resize
from edge_avsc.training.networks import SameConv
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.pictures import BATCH, Batches, group_chances, orders, to_input
from edge_avsc.training.schedule import Run, load_average
from edge_avsc.training.spec import IMAGE

RATE = 3e-4
STATISTICS = 6
"""Batches of views by which channels are chosen."""


def train(wide: Any, data: Pictures, path: Path, *, epochs: float = 100.0, minutes: float, seed: int) -> None:
    """Narrow a copy of *wide*, an ImageClassifier, and teach it what *wide* says; *path* keeps the run, to go on from.

    No label is asked for. Views are of the product's size alone: it is there that the two shall agree.
    """
    torch.manual_seed(seed)
    batches = Batches(data, group_chances(data.groups), seed)
    narrow = deepcopy(wide)
    if path.is_file():
        resize(narrow.encoder, WIDTHS)
    else:
        views = (to_input(torch.from_numpy(batches[i, IMAGE.size_px][0])) for i in range(STATISTICS))
        narrow.encoder = narrowed(wide.encoder, views, WIDTHS)
    # What is learnt in less than half a step of int8 would be rounded away at the end.
    _round_weights(narrow.encoder)
    for model in (narrow, wide):
        model.to(DEVICE, memory_format=torch.channels_last)
    wide.eval()
    narrow.train()
    optimiser = torch.optim.AdamW(_what_learns(narrow), lr=RATE, weight_decay=0.0, fused=True)
    steps = round(epochs * len(data.images) / (BATCH * team.SIZE))
    run = Run(narrow, optimiser, path, steps=steps, minutes=minutes, began_with="the encoder of full width")
    random = np.random.default_rng([seed, run.step])
    for views, _ in made_ahead(batches, orders(run, lambda _: IMAGE.size_px)):
        if run.done() >= 1:
            break
        run.learn(_apart(narrow, wide, further(to_input(views), random)))
    run.finish()


def take_up(model: Any, path: Path) -> None:
    """Narrow *model*, an ImageClassifier, in place, to what the run saved in *path* taught, in weights of int8."""
    resize(model.encoder, WIDTHS)
    _round_weights(model.encoder)
    load_average(model, path)
    for conv in _convolutions(model.encoder):
        remove_parametrizations(conv, "weight")


class _Rounded(nn.Module):  # type: ignore[misc]
    """Weights as their int8 form has them, 255 steps for each channel; gradients pass (Bengio et al. 2013)."""

    def forward(self, weight: Any) -> Any:
        step = weight.detach().abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-9) / 127  # some are dead
        return weight + ((weight / step).round() * step - weight).detach()


def _round_weights(encoder: Any) -> None:
    for conv in _convolutions(encoder):
        register_parametrization(conv, "weight", _Rounded())


def _convolutions(encoder: Any) -> list[SameConv]:
    return [module for module in encoder.modules() if isinstance(module, SameConv)]


def _what_learns(model: Any) -> list[Any]:
    """Return the parameters that learn, and let no other: neither the head, nor the first maps, large and dear.

    Nor depthwise kernels that are large or strided, whose gradients are most of a step's time on a CPU.
    """
    encoder = model.encoder
    model.requires_grad_(False)
    for part in (encoder.blocks[1].layers[4:], encoder.blocks[2:], encoder.top, encoder.projection):
        part.requires_grad_(True)
    for conv in _convolutions(encoder):
        if conv.groups > 1 and (conv.kernel_size[0] > 3 or conv.stride[0] > 1):
            conv.parametrizations.weight.original.requires_grad_(False)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def further(pictures: Any, random: np.random.Generator) -> Any:
    """Return *pictures* ``[n, 3, size, size]``, or in half of the cases what shows the encoder more than they do.

    Mixed in pairs (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent"), or four in
    one, since pictures to learn from are small ones made larger, and a camera's are sharper.
    """
    kind = random.random()
    if kind < 0.25:
        share = torch.rand(len(pictures), 1, 1, 1, device=pictures.device).clamp(min=0.5)
        return share * pictures + (1 - share) * pictures.flip(0)
    if kind < 0.5:
        small = avg_pool2d(pictures, 2)
        left, right = (torch.cat([small.roll(i, 0), small.roll(i + 1, 0)], 2) for i in (0, 2))
        return torch.cat([left, right], 3).contiguous(memory_format=torch.channels_last)
    return pictures


def _apart(narrow: Any, wide: Any, pictures: Any) -> Any:
    """Return how far *narrow* is from *wide*: after each block, in the embedding and in what the categories are."""
    with half_precision():
        with torch.no_grad():
            start = narrow.encoder.blocks[0](narrow.encoder.stem(pictures))  # not narrowed, and does not learn
            wanted, said = _maps(wide, start)
        found, logits = _maps(narrow, start)
    apart = [
        mse_loss(one.float(), other.float()) / other.float().var() for one, other in zip(found, wanted, strict=True)
    ]
    words = kl_div(log_softmax(logits.float(), 1), softmax(said.float(), 1), reduction="batchmean")
    return sum(apart[:-1]) / len(apart[:-1]) + 2 * (apart[-1] + words)


def _maps(model: Any, start: Any) -> tuple[list[Any], Any]:
    encoder, maps = model.encoder, [start]
    for block in encoder.blocks[1:]:
        maps.append(block(maps[-1]))
    embedding = encoder.projection(encoder.top(maps[-1]).mean((2, 3)))
    return [*maps[1:], embedding], model.head(embedding)
