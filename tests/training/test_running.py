import numpy as np
import pytest

pytest.importorskip("torch")

from edge_avsc.training.classes import LABELS
from edge_avsc.training.measure import Words
from edge_avsc.training.recordings import Windows
from edge_avsc.training.running import on_stream

EACH = 10


def recordings() -> Windows:
    labels = np.repeat(np.arange(len(LABELS)), EACH)
    names = [f"{label}-city-1-1" for label in LABELS]
    return Windows(np.empty((len(labels), 36, 256), np.float32), None, labels, labels.copy(), names)


def words(windows: Windows, said: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Words:
    sure = np.full((len(windows.labels), len(LABELS)), 0.01)
    sure[np.arange(len(said)), said] = 0.91
    return Words(sure, np.full(len(said), -5.0))


def test_who_is_always_right_is_shown_soon_after_each_change() -> None:
    windows = recordings()
    found = on_stream(words(windows, windows.labels), windows, 0.5, "a")
    assert found["changes"] > 50
    assert found["never_shown"] == 0
    assert found["median_delay_s"] <= 5
    assert found["false_changes_per_hour"] == 0
    assert found["right"] > 0.9
    assert found["right"] + found["unsure"] + found["wrong"] == pytest.approx(1, abs=2e-4)


def test_who_always_says_one_scene_is_right_for_its_share_only() -> None:
    windows = recordings()
    found = on_stream(words(windows, np.full(len(windows.labels), 4)), windows, 0.5, "a")
    assert found["right"] == pytest.approx(0.1, abs=0.05)
    assert found["never_shown"] > 0.8


def test_a_stranger_is_unsure() -> None:
    windows = recordings()
    strange = Words(words(windows, windows.labels).probabilities, np.full(len(windows.labels), 5.0))
    assert on_stream(strange, windows, 0.5, "a")["unsure"] > 0.9
