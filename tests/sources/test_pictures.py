from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from edge_avsc.sources._pictures import Pictures

FULL_RANGE = 2


def pictures(min_side_px: int = 256) -> Pictures:
    return Pictures(min_side_px, VideoReformatter())


def half_white(name: str, width: int = 64, height: int = 48) -> Any:
    """A frame in the pixel format *name*, black on the left and white on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=name, interpolation="POINT")


@pytest.mark.parametrize(
    "name",
    [
        "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv410p", "nv12", "yuyv422", "gray", "gray10le",
        "yuv420p10le", "yuv444p12le", "p010le", "rgb24", "bgr24", "rgba", "bgr0", "gbrp", "rgb565le",
    ],
)  # fmt: skip
def test_luma_is_the_mean_brightness(name: str) -> None:
    assert pictures().luma(half_white(name)) == pytest.approx(127.5, abs=3.0)


@pytest.mark.parametrize("size", [(2, 2), (6, 2), (90, 46), (1366, 768)])
def test_luma_at_any_size(size: tuple[int, int]) -> None:
    assert pictures().luma(half_white("yuv420p", *size)) == pytest.approx(127.5, abs=2.0)


def test_luma_knows_the_range() -> None:
    one = pictures()
    frame = av.VideoFrame(16, 16, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    assert one.luma(frame) == pytest.approx((128 - 16) * 255 / 219)
    frame.color_range = FULL_RANGE
    assert one.luma(frame) == pytest.approx(128)


def test_luma_stays_in_range() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    for value, expected in ((0, 0.0), (255, 255.0)):
        for plane in frame.planes:
            plane.update(bytes([value]) * plane.buffer_size)
        assert pictures().luma(frame) == expected


@pytest.mark.parametrize(
    ("size", "shrunk"),
    [
        ((1280, 720), (456, 256)),
        ((1920, 1080), (456, 256)),
        ((720, 1280), (256, 456)),
        ((3840, 2160), (456, 256)),
        ((400, 226), (400, 226)),
        ((260, 258), (260, 256)),
        ((2000, 20), (2000, 20)),
    ],
)
def test_images_shrink_but_never_under_the_asked_side(size: tuple[int, int], shrunk: tuple[int, int]) -> None:
    image = pictures().rgb(half_white("yuv420p", *size))
    assert image.shape == (shrunk[1], shrunk[0], 3)
    assert image.flags.c_contiguous
    assert image[:, : shrunk[0] // 2 - 8].max() < 5
    assert image[:, shrunk[0] // 2 + 8 :].min() > 250
