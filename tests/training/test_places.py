from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("tqdm")

from edge_avsc.training.classes import LABELS
from edge_avsc.training.picture_data import Pictures, read_pictures
from edge_avsc.training.places import CHOSEN, PLACES, learn_places, places_to_labels
from edge_avsc.training.places_teacher import taught_places


def test_each_label_gets_the_mean_of_its_places() -> None:
    assert tuple(PLACES) == LABELS
    table = places_to_labels()
    assert table.shape == (len(CHOSEN), len(LABELS))
    np.testing.assert_allclose(table.sum(0), 1.0, rtol=1e-6)
    inside_a_train = table[CHOSEN.index(336)]
    assert {LABELS[i] for i in np.flatnonzero(inside_a_train)} == {"metro", "tram"}
    # No other place is of two labels.
    assert sorted(np.count_nonzero(table, axis=1))[-2:] == [1, 2]


def log_softmax(logits: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def test_what_is_linear_in_the_embeddings_is_learnt() -> None:
    random = np.random.default_rng(1)
    plain = random.standard_normal((1000, 6), np.float32)
    embeddings = plain * np.array([1, 2, 3, 1, 1, 9], np.float32) + 4
    said = np.asarray(plain @ random.standard_normal((6, 365), np.float32) / 2, np.float32)
    weight, bias = learn_places(embeddings, said)
    assert weight.shape == (len(CHOSEN), 6)
    learnt, wanted = (log_softmax(logits) for logits in (embeddings @ weight.numpy().T + bias.numpy(), said[:, CHOSEN]))
    assert (np.exp(wanted) * (wanted - learnt)).sum(1).mean() < 0.02
    assert np.mean(learnt.argmax(1) == wanted.argmax(1)) > 0.9


def test_the_teacher_knows_places(shared_data: Path, tmp_path: Path) -> None:
    pictures = read_pictures(shared_data / "images/miniplaces_val.tar", tmp_path / "pictures.npz")
    few = Pictures(pictures.images[::40], pictures.categories[::40], pictures.names)
    weights = shared_data / "teachers/places365_squeezenet/squeezenet_places365_fp32.npz"
    said = taught_places(weights, few, tmp_path / "places.npy")
    order = (weights.parent / "categories_places365_order.txt").read_text(encoding="utf-8").splitlines()
    # MiniPlaces' names are those of Places365, some with a word more; of 47 pictures that many are no accident.
    right = [few.names[c].startswith(order[i].split()[0]) for c, i in zip(few.categories, said.argmax(1), strict=True)]
    assert sum(right) > 5
    for places in PLACES.values():
        for index, name in places.items():
            assert order[index].split() == [name.split("/")[0], str(index)]
    assert np.array_equal(taught_places(tmp_path / "no weights.npz", few, tmp_path / "places.npy"), said)
