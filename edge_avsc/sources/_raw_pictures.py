"""Pictures as cameras send them: brightness at once, RGB only where somebody wants it."""

from __future__ import annotations

from typing import Protocol

from numpy import uint8
from numpy.typing import NDArray


class RawPicture(Protocol):
    """One picture that is not decoded yet."""

    def luma(self) -> float | None:
        """Return the mean brightness in 0..255, or None when the picture is damaged."""

    def rgb(self, min_side_px: int) -> NDArray[uint8] | None:
        """Return RGB ``[height, width, 3]``, shrunk towards *min_side_px*, never under it; None when damaged."""


class Jpeg:
    """A picture that a camera has compressed: uint8 ``[n]``; something may follow its end marker."""

    def __init__(self, data: NDArray[uint8]) -> None:
        self._data = data
        self._eighth = self._decode("IMREAD_REDUCED_GRAYSCALE_8")

    def luma(self) -> float | None:
        """Return the mean brightness of an eighth of the size, which is the least work a JPEG can be."""
        return None if self._eighth is None else float(self._eighth.mean())

    def rgb(self, min_side_px: int) -> NDArray[uint8] | None:
        """Decode at the smallest of 1/8, 1/4, 1/2 and 1/1 that suffices."""
        if self._eighth is None:
            return None
        least_px = (min(self._eighth.shape) - 1) * 8 + 1
        factor = next((factor for factor in (8, 4, 2) if least_px >= factor * min_side_px), 1)
        bgr = self._decode(f"IMREAD_REDUCED_COLOR_{factor}" if factor > 1 else "IMREAD_COLOR")
        return None if bgr is None else _rgb(bgr, "COLOR_BGR2RGB", min_side_px)

    def _decode(self, flag: str) -> NDArray[uint8] | None:
        import cv2

        try:
            decoded = cv2.imdecode(self._data, getattr(cv2, flag))
        except cv2.error:
            return None
        return None if decoded is None else decoded.astype(uint8, copy=False)


class Packed:
    """Uncompressed ``[height, width, 2 or 3]``; *luma_channel* None: the mean of all; *conversion*: OpenCV's name."""

    def __init__(self, pixels: NDArray[uint8], luma_channel: int | None, conversion: str) -> None:
        self._pixels = pixels
        self._luma_channel = luma_channel
        self._conversion = conversion

    def luma(self) -> float | None:
        """Return the mean brightness of a grid of some thousand pixels."""
        height, width = self._pixels.shape[:2]
        grid = self._pixels[:: max(1, height // 45), :: max(1, width // 80)]
        if self._luma_channel is None:
            return float(grid.mean())
        # Television's range: black is 16, white 235.
        mean = float(grid[..., self._luma_channel].mean())
        return min(255.0, max(0.0, (mean - 16.0) * 255.0 / 219.0))

    def rgb(self, min_side_px: int) -> NDArray[uint8] | None:
        """Convert, then shrink."""
        return _rgb(self._pixels, self._conversion, min_side_px)


def _rgb(pixels: NDArray[uint8], conversion: str, min_side_px: int) -> NDArray[uint8]:
    import cv2

    rgb: NDArray[uint8] = cv2.cvtColor(pixels, getattr(cv2, conversion))
    height, width = rgb.shape[:2]
    # Means over whole pixels are cheap; the rest is left to the function that training uses too.
    factor = min(width, height) // min_side_px
    if factor < 2:
        return rgb
    shrunk: NDArray[uint8] = cv2.resize(rgb, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return shrunk
