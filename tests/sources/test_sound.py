from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.sources._sound import Blocks, OneFormat, as_float
from edge_avsc.sources._timeline import Notes


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
    raw: NDArray[Any] = np.full((2, 5) if planar else (1, 10), value, dtype)
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


def frame_of(rate_hz: int, layout: str, value: float, count: int = 960) -> Any:
    channels = {"mono": 1, "stereo": 2, "7.1": 8}[layout]
    frame = av.AudioFrame.from_ndarray(np.full((1, count * channels), value, float32), format="flt", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def test_sound_keeps_the_format_that_it_began_with() -> None:
    notes = Notes("a.ts", "audio")
    one = OneFormat(frame_of(48_000, "stereo", 0.5), av.AudioResampler, notes)
    assert one.rate_hz == 48_000
    assert (one.samples(frame_of(48_000, "stereo", 0.5), 0) == 0.5).all()
    mono = one.samples(frame_of(48_000, "mono", 0.25), 20)
    assert mono.shape == (960, 2)
    slower = [one.samples(frame_of(16_000, "stereo", 0.25, 320), 40) for _ in range(10)]
    assert sum(map(len, slower)) == pytest.approx(9600, abs=100)
    assert one.samples(frame_of(48_000, "7.1", 0.25), 60).shape == (960, 2)
    assert (one.samples(frame_of(48_000, "stereo", 0.125), 80) == 0.125).all()
    assert [(event.event, event.time_ns) for event in notes.take()] == [("format", 20)]
    assert [event.detail for event in notes.summary(99)] == [
        "In the sound of a.ts this happened 3 times in all: format."
    ]
