"""MiniPlaces: two tars of 128 x 128 JPEG pictures, in folders by category."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy import float32, int64, uint8
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.features import normalised_picture, square_picture
from edge_avsc.training.classes import group_of
from edge_avsc.training.spec import IMAGE


@dataclass(frozen=True)
class Pictures:
    """A picture set: uint8 RGB ``[n, 128, 128, 3]``, a category index for each, and the categories' names."""

    images: NDArray[uint8]
    categories: NDArray[int64]
    names: list[str]

    def inputs(self, rows: NDArray[int64]) -> NDArray[float32]:
        """Return some pictures as the image encoder's input ``[n, 3, size_px, size_px]``, as the product makes it."""
        return np.stack([normalised_picture(square_picture(self.images[i], IMAGE), IMAGE) for i in rows])

    @property
    def groups(self) -> NDArray[int64]:
        """Return each picture's index in GROUPS."""
        return np.array([group_of(name) for name in self.names], int64)[self.categories]


def read_pictures(tar_path: Path, cache: Path) -> Pictures:
    """Decode all pictures of a MiniPlaces tar, once; *cache* (.npz) keeps them."""
    if not cache.is_file():
        _decode(tar_path, cache)
    stored = np.load(cache)
    return Pictures(stored["images"], stored["categories"], [str(name) for name in stored["names"]])


def _decode(tar_path: Path, cache: Path) -> None:
    images, labels = [], []
    with tarfile.open(tar_path) as tar:
        members = sorted((m for m in tar.getmembers() if m.name.endswith(".jpg")), key=lambda m: m.name)
        for member in tqdm(members, desc=tar_path.name, mininterval=5.0):
            data = tar.extractfile(member)
            assert data is not None
            bgr = cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None, member.name
            images.append(np.ascontiguousarray(bgr[..., ::-1], np.uint8))
            labels.append(member.name.split("/")[-2])
    names = sorted(set(labels))
    categories = np.array([names.index(label) for label in labels], int64)
    np.savez(cache, images=np.stack(images), categories=categories, names=np.array(names))
