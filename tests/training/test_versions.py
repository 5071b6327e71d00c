"""Who answers for which recordings: nobody for those that he learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("tqdm")

import torch

from edge_avsc.training.measure import Words
from edge_avsc.training.sounds import Field, Lessons
from edge_avsc.training.versions import _out_of_fold, where_unseen

VIEWS = 40
RANDOM = np.random.default_rng(3)


@dataclass
class Named:
    """A hearing, an audio encoder and a version in one: whatever it is asked, it says its own number and the item's."""

    number: int

    @property
    def trios(self) -> dict[str, Named]:
        return {".cpu": self}

    @property
    def audio(self) -> Named:
        return self

    def rows(self, log_mel: Any) -> Any:
        return log_mel

    def logits(self, log_mel: Any) -> Any:
        return torch.tensor([[float(self.number), float(item)] for item in log_mel[:, 0, 0]])

    def words(self, kind: str, audio: Any, image: Any) -> Words:
        known = audio if audio is not None else image
        said = np.zeros((len(known), 10))
        said[:, 0], said[:, 1] = self.number, known.reshape(len(known), -1)[:, 0]
        return Words(said, np.full(len(known), self.number * 1.0))


def numbered(count: int) -> np.ndarray[Any, Any]:
    return np.arange(count, dtype=np.float16)[:, None, None]


def test_views_are_judged_by_the_encoder_that_their_fold_was_kept_from() -> None:
    folds, labels = RANDOM.integers(0, 5, VIEWS), RANDOM.integers(0, 10, VIEWS)
    nothing = np.zeros((VIEWS, 1), np.float16)
    field = Field(Lessons(numbered(VIEWS), nothing, nothing.astype(np.float32), np.arange(VIEWS)), labels, folds)
    unseen = where_unseen([Named(i) for i in range(5)], field)  # type: ignore[misc]
    items = unseen.logits[:, 1].astype(int)
    assert sorted(items) == list(range(VIEWS))
    assert (unseen.logits[:, 0] == unseen.folds).all()
    assert (unseen.folds == folds[items]).all()
    assert (unseen.labels == labels[items]).all()


@pytest.mark.parametrize("with_pictures", [False, True])
def test_windows_are_judged_by_the_version_that_their_fold_was_kept_from(with_pictures: bool) -> None:
    folds = RANDOM.integers(0, 4, VIEWS)  # one of five has no window at all
    pictures = numbered(VIEWS)[:, 0] if with_pictures else None
    said = _out_of_fold([Named(i) for i in range(5)], ".cpu", numbered(VIEWS), pictures, folds)  # type: ignore
    assert set(said) == ({"a", "v", "av"} if with_pictures else {"a"})
    for words in said.values():
        assert (words.probabilities[:, 0] == folds).all()
        assert (words.probabilities[:, 1] == np.arange(VIEWS)).all()
        assert (words.none == folds).all()
