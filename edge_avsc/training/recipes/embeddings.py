"""What frozen encoders make of each window: computed once, then the run learns from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float32

from edge_avsc.training.recipes.material import Embedded, Material, ahead, in_order
from edge_avsc.training.recipes.system import System

NAMES = ("audio.npy", "image.npy", "there.npy")


def embedded(system: System, material: Material, folder: Path, device: str) -> Embedded:
    """Return the windows by their embeddings, computed once on *device* and kept in *folder*."""
    if not (folder / "done.json").is_file():
        system.to(device).eval()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with torch.no_grad():
            _write(system, material, folder, device)
        (folder / "done.json").write_text(json.dumps({"windows": len(material)}))
    audio, image, there = (np.load(folder / name, mmap_mode="r") for name in NAMES)
    return Embedded(material, audio, image, there)


def _write(system: System, material: Material, folder: Path, device: str) -> None:
    arrays: list[Any] = []
    order = in_order(len(material), 16)
    for which, batch in zip(order, ahead(material, order), strict=True):
        nothing = torch.zeros(len(which), 0)
        there = torch.cat([batch.heard[:, None].float(), batch.seen], 1)
        values = [nothing if part is None else part for part in (*system.embed(batch.on(device)), there)]
        if not arrays:
            arrays = [
                np.lib.format.open_memmap(
                    str(folder / name), mode="w+", dtype=float32, shape=(len(material), *part.shape[1:])
                )
                for name, part in zip(NAMES, values, strict=True)
            ]
        for array, part in zip(arrays, values, strict=True):
            array[which] = part.cpu().numpy()
    for array in arrays:
        array.flush()
