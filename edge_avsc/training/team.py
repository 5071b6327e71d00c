"""Several processes that learn together, as ``torchrun`` starts them: work is shared out, gradients are averaged.

On two CPU cores, two processes of one thread learn 1.45 times as fast as one of two threads: much of a step is serial.
PyTorch's DistributedDataParallel averages what goes through a model's forward; ours are taught by other methods too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed

SIZE = int(os.environ.get("WORLD_SIZE", "1"))
RANK = int(os.environ.get("RANK", "0"))
LEADS = RANK == 0

Item = TypeVar("Item")


def gather() -> None:
    """Meet the others, once; alone there is nothing to do."""
    if SIZE > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo")


def share(items: list[Item]) -> list[Item]:
    """Return which of the *items* are this process's to do."""
    return items[RANK::SIZE]


@contextmanager
def leader_first() -> Iterator[None]:
    """Let the first process do the block before any other begins it, so that what it writes is found by them."""
    if not LEADS:
        wait()
    yield
    if LEADS:
        wait()


def wait() -> None:
    """Wait until all have come so far."""
    if SIZE > 1:
        distributed.barrier()


def largest(value: float) -> float:
    """Return the largest of all processes' values."""
    if SIZE == 1:
        return value
    values = torch.tensor([value], dtype=torch.float64)
    distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return float(values)


def average_gradients(parameters: Iterable[Any]) -> None:
    """Give each of the *parameters* the mean of all processes' gradients."""
    if SIZE == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    joined = torch.cat([one.reshape(-1) for one in gradients]).cpu()
    distributed.all_reduce(joined)
    parts = (joined / SIZE).split([one.numel() for one in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
