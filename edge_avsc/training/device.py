"""Where training computes: on a GPU where PyTorch finds one, fed by the machine's cores, else on one CPU thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"

# A GPU learns from four times as many examples in about the time of one batch, at twice the rate (the square root).
BATCHES_AT_ONCE, RATE_FACTOR = (4, 2.0) if HAS_GPU else (1, 1.0)


# A CPU that multiplies in bfloat16 learns nearly twice as fast in it (AVX-512: 1162 instead of 687 views of sound a
# second, 100 instead of 63 pictures); any other would be slower. An older PyTorch does not know what its CPU can do.
CPU_FEATURES: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
HAS_BFLOAT16 = HAS_GPU or bool(CPU_FEATURES.get("amx_bf16") or CPU_FEATURES.get("avx512_bf16"))


def half_precision() -> Any:
    """Return the context in which a GPU, or a CPU made for it, computes in bfloat16; others go on in float32."""
    return torch.autocast(DEVICE, torch.bfloat16, enabled=HAS_BFLOAT16)


# A teacher's maps, its last ones above all, bear bfloat16 less well: 3 % of its labels become others, none in float16.
HAS_FLOAT16 = HAS_GPU or bool(CPU_FEATURES.get("avx512_fp16"))


def finer_half_precision() -> Any:
    """Return the context in which a GPU, or a CPU made for it, computes in float16; others go on in float32."""
    return torch.autocast(DEVICE, torch.float16, enabled=HAS_FLOAT16)


def made_ahead(maker: Any, orders: Iterable[Any], share: float = 0.5) -> Iterator[Any]:
    """Return what *maker* has at each of the *orders*, one after the other, as tensors.

    For a GPU, processes on that share of the machine's cores make them ahead; orders are then taken early too.
    """
    processes = max(1, round(share * (os.cpu_count() or 1))) if HAS_GPU else 0
    ahead = {"num_workers": processes, "prefetch_factor": 4, "pin_memory": True} if processes else {}
    return iter(DataLoader(maker, batch_size=None, sampler=orders, **ahead))
