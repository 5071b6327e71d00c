from __future__ import annotations

import av
import numpy as np
import pytest
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.sources._sound import Blocks, as_float, joined


@pytest.mark.parametrize(
    ("name", "dtype", "value", "expected"),
    [
        ("s16", np.int16, -32768, -1.0),
        ("s16p", np.int16, 16384, 0.5),
        ("s32", np.int32, -(2**31), -1.0),
        ("s32p", np.int32, 2**30, 0.5),
        ("u8", np.uint8, 0, -1.0),
        ("u8p", np.uint8, 192, 0.5),
        ("flt", np.float32, 1.5, 1.5),
        ("fltp", np.float32, -0.25, -0.25),
        ("dbl", np.float64, 0.125, 0.125),
        ("dblp", np.float64, 1e300, np.inf),
    ],
)
def test_full_scale_is_one(name: str, dtype: type, value: float, expected: float) -> None:
    planar = name.endswith("p")
    raw = np.full((2, 5) if planar else (1, 10), value, dtype)
    samples = as_float(av.AudioFrame.from_ndarray(raw, format=name, layout="stereo"))
    assert samples.dtype == float32
    assert samples.shape == (5, 2)
    assert (samples == float32(expected)).all()


def test_channels_stay_apart() -> None:
    frame = av.AudioFrame.from_ndarray(np.array([[1, 2, 3, 4, 5, 6]], np.int16), format="s16", layout="stereo")
    assert (as_float(frame) * 32768).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_what_is_no_number_stays() -> None:
    frame = av.AudioFrame.from_ndarray(np.array([[np.nan, np.inf, 0]], float32), format="fltp", layout="mono")
    assert np.array_equal(as_float(frame)[:, 0], [np.nan, np.inf, 0], equal_nan=True)


def counted(start: int, count: int) -> NDArray[float32]:
    return np.arange(start, start + count, dtype=float32)[:, None]


def put(blocks: Blocks, start: int, count: int) -> list[tuple[int, list[float]]]:
    return [(index, block[:, 0].tolist()) for index, block in blocks.put(counted(start, count), start)]


def test_blocks_have_one_size_until_the_end() -> None:
    blocks = Blocks(4)
    assert put(blocks, 0, 3) == []
    assert put(blocks, 3, 6) == [(0, [0, 1, 2, 3]), (4, [4, 5, 6, 7])]
    assert [(index, block[:, 0].tolist()) for index, block in blocks.rest()] == [(8, [8])]
    assert list(blocks.rest()) == []


def test_a_gap_ends_a_block() -> None:
    blocks = Blocks(4)
    assert put(blocks, 0, 3) == []
    assert put(blocks, 10, 5) == [(0, [0, 1, 2]), (10, [10, 11, 12, 13])]
    assert put(blocks, 20, 1) == [(14, [14])]


def test_without_a_size_blocks_pass_as_they_are() -> None:
    blocks = Blocks(None)
    assert put(blocks, 7, 2) == [(7, [7, 8])]
    assert put(blocks, 9, 0) == []
    assert list(blocks.rest()) == []


def test_joined_may_have_no_parts() -> None:
    assert joined([], 2).shape == (0, 2)
    assert joined([counted(0, 2), counted(2, 1)], 1)[:, 0].tolist() == [0, 1, 2]
