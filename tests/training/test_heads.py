import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

from edge_avsc.training.experts import TaughtSeconds
from edge_avsc.training.heads import Material
from edge_avsc.training.picture_data import Pictures
from edge_avsc.training.sounds import Field, Lessons

NAMES = ["street"] * 5 + ["forest"] * 3 + ["hall"] * 4


def material() -> Material:
    """Unlabelled sound of three recordings, and three views of each second of them."""
    seconds = np.repeat(np.arange(len(NAMES)), 3)
    nothing_heard = np.zeros((len(seconds), 1), np.float16)
    views = Lessons(nothing_heard, nothing_heard, np.zeros((len(seconds), 10), np.float32), seconds)
    kept_out = TaughtSeconds(np.zeros((len(NAMES), 1, 1), np.float32), np.zeros((len(NAMES), 10), np.float32), NAMES)
    nothing = Pictures(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64), [])
    field = Field(views, np.zeros(len(seconds), np.int64), np.zeros(len(seconds), np.int64))
    return Material(kept_out, field, kept_out, views, nothing, np.zeros((0, 365), np.float32), [], nothing)


def test_a_recording_is_lent_as_a_whole_or_not_at_all() -> None:
    lent, of = material().lent(), np.array(NAMES)
    assert {name: set(lent[of == name].tolist()) for name in set(NAMES)} == {
        "forest": {True},
        "hall": {False},
        "street": {True},
    }
