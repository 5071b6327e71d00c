"""Windows in batches: read from disk as they are needed, in an order that a seed fixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy import float32, int64
from numpy.typing import NDArray

from edge_avsc.bundle import ImageFrontEnd
from edge_avsc.training.recipes.corpus import Clip
from edge_avsc.training.recipes.system import Batch


class Material:
    """The windows of clips; *every*: each so many-th of a clip's. labels: the order of all probabilities."""

    def __init__(self, clips: Sequence[Clip], image: ImageFrontEnd, labels: tuple[str, ...], every: int = 1) -> None:
        self.clips = clips
        counts = [-(-clip.windows // every) for clip in clips]
        self.clip_of = np.repeat(np.arange(len(clips)), counts)
        self.number_of = np.concatenate([np.arange(count) * every for count in counts] or [np.empty(0, int64)])
        of_clip = np.array([labels.index(str(clip.row.scene_label)) for clip in clips], int64)
        self.label_index = of_clip[self.clip_of]
        mean, std = (np.asarray(values, float32) for values in (image.normalisation.mean, image.normalisation.std))
        self._shift = torch.from_numpy(mean * float32(255))[:, None, None]
        self._scale = torch.from_numpy(float32(1) / (std * float32(255)))[:, None, None]

    def __len__(self) -> int:
        return len(self.clip_of)

    def read(self, which: NDArray[int64]) -> Batch:
        """Return the windows *which* ``[n]``."""
        columns, heard, pictures, seen = zip(
            *(self.clips[self.clip_of[k]].window(int(self.number_of[k])) for k in which), strict=True
        )
        images = torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 1, 4, 2, 3)).astype(float32))
        k = images.shape[1]
        return Batch(
            torch.from_numpy(np.stack(columns)),
            torch.tensor(heard),
            # The order of operations is that of features.normalised_picture.
            (images - self._shift) * self._scale,
            torch.from_numpy((np.arange(k)[None] < np.array(seen)[:, None]).astype(float32)),
            torch.from_numpy(self.label_index[which]),
        )


class Embedded:
    """The same windows by their embeddings, which frozen encoders gave once: arrays that may lie on disk."""

    def __init__(self, material: Material, audio: NDArray[float32], image: NDArray[float32], there: NDArray[float32]):
        self.label_index = material.label_index
        self._audio, self._image, self._there = audio, image, there

    def __len__(self) -> int:
        return len(self.label_index)

    def read(self, which: NDArray[int64]) -> Batch:
        """Return the windows *which* ``[n]``, embeddings in the place of columns and pictures."""
        there = torch.from_numpy(np.array(self._there[which]))
        return Batch(
            torch.from_numpy(np.array(self._audio[which])),
            there[:, 0] > 0.5,
            torch.from_numpy(np.array(self._image[which])),
            there[:, 1:],
            torch.from_numpy(self.label_index[which]),
        )


def ahead(material: Material | Embedded, order: Sequence[NDArray[int64]]) -> Iterator[Batch]:
    """Yield the batches of *order*, each read while the one before is worked on."""
    with ThreadPoolExecutor(1) as reader:
        waiting: Future[Batch] | None = reader.submit(material.read, order[0]) if order else None
        for following in [*order[1:], None]:
            batch = waiting.result() if waiting else None
            waiting = None if following is None else reader.submit(material.read, following)
            if batch is not None:
                yield batch


def shuffled(count: int, batch: int, *seed: int) -> list[NDArray[int64]]:
    """Return which windows are in which batch of an epoch; a rest that is smaller than a batch is left out."""
    order = np.random.default_rng(seed).permutation(count)
    return [order[first : first + batch] for first in range(0, max(1, count - batch + 1), batch)]


def in_order(count: int, batch: int) -> list[NDArray[int64]]:
    """Return all windows in order."""
    return [np.arange(first, min(first + batch, count)) for first in range(0, count, batch)]
