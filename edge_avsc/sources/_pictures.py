"""Decoded frames as brightness and, where somebody wants them, as upright RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_LUMA_FAMILIES = ("yuv", "nv", "gray")


class Pictures:
    """Measures and converts decoded frames of one video stream; sizes and formats may change on the way.

    min_side_px: both sides of a converted picture are shrunk towards this, but never under it.
    """

    def __init__(self, min_side_px: int, reformatter: Any, rotation: int | None = None) -> None:
        self._min_side_px = min_side_px
        self._reformatter = reformatter
        self._rotation = rotation
        self._planes: dict[tuple[str, int], tuple[type[np.unsignedinteger[Any]], float, float] | None] = {}

    def luma(self, frame: Any) -> float:
        """Return the mean brightness in 0..255 (full range), from a grid of some thousand pixels."""
        key = (frame.format.name, int(frame.color_range))
        if key not in self._planes:
            self._planes[key] = _luma_plane(frame)
        plane = self._planes[key]
        rows, columns = max(1, frame.height // 32), max(1, frame.width // 64)
        if plane is None:
            gray = self._reformat(frame, min(frame.width, 64), min(frame.height, 32), "gray")
            return float(gray.to_ndarray().mean())
        dtype, scale, black = plane
        first = frame.planes[0]
        pixels = np.frombuffer(first, dtype).reshape(frame.height, -1)
        grid = pixels[rows // 2 :: rows, columns // 2 : frame.width : columns]
        mean = float(np.add.reduce(grid, axis=None, dtype=np.int64)) / grid.size
        return min(255.0, max(0.0, mean * scale - black))

    def rgb(self, frame: Any) -> NDArray[uint8]:
        """Return the frame as upright RGB ``[height, width, 3]``."""
        width, height = _shrunk(frame.width, frame.height, self._min_side_px)
        image: NDArray[uint8] = self._reformat(frame, width, height, "rgb24").to_ndarray()
        turns = _quarter_turns(frame, self._rotation)
        return np.ascontiguousarray(np.rot90(image, turns))

    def _reformat(self, frame: Any, width: int, height: int, name: str) -> Any:
        options: dict[str, Any] = {"width": width, "height": height, "format": name, "interpolation": "AREA"}
        try:
            # One core is one core: newer PyAV would start a thread for each.
            return self._reformatter.reformat(frame, threads=1, **options)
        except TypeError:
            return self._reformatter.reformat(frame, **options)


def _luma_plane(frame: Any) -> tuple[type[np.unsignedinteger[Any]], float, float] | None:
    """Return element type, scale and black level of plane 0, or None where it is not simply the luma."""
    pixel_format = frame.format
    name: str = pixel_format.name
    component = pixel_format.components[0]
    if not (name.startswith(_LUMA_FAMILIES) and component.plane == 0 and 8 <= component.bits <= 16):
        return None
    if not (pixel_format.is_planar or name.startswith("gray")) or pixel_format.is_big_endian:
        return None
    full = name.startswith(("yuvj", "gray")) or int(frame.color_range) == _FULL_RANGE
    to_8_bits = 1.0 / (1 << (component.bits - 8))
    gain = 1.0 if full else 255.0 / 219.0
    dtype = np.uint8 if component.bits == 8 else np.uint16
    return dtype, to_8_bits * gain, 0.0 if full else 16.0 * gain


def _shrunk(width: int, height: int, min_side_px: int) -> tuple[int, int]:
    side = min(width, height)
    if side <= min_side_px:
        return width, height
    # Multiples of 8 are half as dear to scale and to copy; the picture is squashed to a square later anyway.
    eights = [-(-length * min_side_px // (side * 8)) * 8 for length in (width, height)]
    return min(width, eights[0]), min(height, eights[1])


def _quarter_turns(frame: Any, stream_rotation: int | None) -> int:
    """Return how often the picture must be turned counter-clockwise by 90 degrees to stand upright."""
    degrees = getattr(frame, "rotation", None)
    if degrees is None:
        degrees = stream_rotation or 0
    return round(degrees / 90) % 4
