"""Cameras of this machine with a V4L2 driver, through OpenCV."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from edge_avsc.clock import Clock
from edge_avsc.errors import ConfigError, DeviceError, nearest
from edge_avsc.sources import _v4l2
from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.sources._raw_pictures import Jpeg, Packed, RawPicture
from edge_avsc.sources._watched import Feed, Watched
from edge_avsc.types import NS_PER_MS, NS_PER_S, Item, Role

SILENCE_S = 1.0
OLDEST_STAMP_NS = 500 * NS_PER_MS

# The formats whose brightness is had without decoding: (channel of the luma, OpenCV's conversion).
_PACKED = {
    "YUYV": (0, "COLOR_YUV2RGB_YUYV"),
    "UYVY": (1, "COLOR_YUV2RGB_UYVY"),
    "BGR3": (None, "COLOR_BGR2RGB"),
}
_COMPRESSED = ("MJPG", "JPEG")


@dataclass(frozen=True, slots=True)
class CameraTarget:
    """What a camera URI names: a *kind* (``v4l2``, ``usb-id``, ``csi``, ``default``), which one, and its mode."""

    kind: str
    which: str
    width: int | None = None
    height: int | None = None
    fps: int | None = None


class Camera:
    """The pictures of a camera, each stamped when the driver had it.

    uri: ``default`` (the first camera), ``v4l2:///dev/video0`` or ``usb-id:vendor:product[:serial]``, with
    ``?width=…&height=…&fps=…`` where a mode is wanted. wants: called once for each frame, in order, with its time in
    ns; True means that it must carry its image. picture_px: images are shrunk towards this on both sides, never under
    it. open_capture, devices: open an OpenCV capture and list the cameras; for tests.
    Raises ConfigError when *uri* is malformed.
    """

    roles: frozenset[Role] = frozenset({"video"})

    def __init__(
        self,
        uri: str,
        *,
        clock: Clock,
        wants: Callable[[int], bool],
        picture_px: int,
        open_capture: Callable[[CameraTarget, str], Any] | None = None,
        devices: Callable[[], list[_v4l2.Device]] = _v4l2.devices,
    ) -> None:
        self._uri = uri
        self._target = camera_target(uri)
        self._wants = wants
        self._picture_px = picture_px
        self._open_capture = open_capture or _open_capture
        self._devices = devices
        self._watched = Watched(f"The camera {uri}", clock, self._read, silence_s=SILENCE_S)

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver frames until *stop* is set. Raises DeviceError when the camera cannot be used, or is lost."""
        self._watched.run(put, stop)

    def _read(self, feed: Feed) -> None:
        path = self._path()
        capture = self._open_capture(self._target, path)
        try:
            if not capture.isOpened():
                raise DeviceError(f"The camera {path} does not open; close the program that uses it.")
            self._deliver(feed, capture, path)
        finally:
            capture.release()

    def _deliver(self, feed: Feed, capture: Any, path: str) -> None:
        grabs = _Grabs(capture)
        frames = LiveFrames(f"The camera {path}", self._wants, self._picture_px, feed.put)
        while feed.wanted:
            before_ns = feed.now_ns()
            grabbed = capture.grab()
            now_ns = feed.now_ns()
            # After a read that blocked, OpenCV may well return an old frame.
            if feed.opened and now_ns - before_ns >= SILENCE_S * NS_PER_S:
                raise self._watched.stalled()
            if not grabbed:
                what = "is gone; plug it in again" if feed.opened else "gives no pictures; close what else uses it"
                raise DeviceError(f"The camera {path} {what}.")
            feed.alive()
            feed.opened = True
            time_ns = grabs.time_ns(now_ns)
            picture = grabs.picture()
            if picture is None:
                frames.damaged(time_ns)
            else:
                frames.add(time_ns, picture)

    def _path(self) -> str:
        """Return the device's node. Raises DeviceError when there is none."""
        target = self._target
        if target.kind == "v4l2":
            return _usable(os.path.realpath(target.which))
        known = self._devices()
        if not known:
            raise DeviceError("There is no camera on this machine; plug one in, or name one by its address.")
        if target.kind == "default":
            return _usable(known[0].path)
        asked = target.which.lower().split(":", 2)
        for device in known:
            if [device.vendor, device.product, device.serial.lower()][: len(asked)] == asked:
                return _usable(device.path)
        near = nearest(self._uri, [device.usb_id for device in known if device.usb_id])
        raise DeviceError(f"There is no camera {self._uri}; plug it in, or see 'edge-avsc devices'.{near}")


class _Grabs:
    """What a capture has grabbed: when, and what it looks like."""

    def __init__(self, capture: Any) -> None:
        import cv2

        self._capture = capture
        self._stamps_hold = True
        self._position, self._converts = cv2.CAP_PROP_POS_MSEC, cv2.CAP_PROP_CONVERT_RGB
        code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self._format = code.to_bytes(4, "little").decode("latin-1")
        raw = self._format in _PACKED or self._format in _COMPRESSED
        if not (raw and capture.set(self._converts, 0)):
            self._format = "BGR3"

    def time_ns(self, now_ns: int) -> int:
        """Return the driver's monotonic time of the frame; where that was ever implausible, the time now."""
        if self._stamps_hold:
            stamp_ns = round(float(self._capture.get(self._position)) * NS_PER_MS)
            self._stamps_hold = now_ns - OLDEST_STAMP_NS <= stamp_ns <= now_ns
            # A camera may lag, but its stamps must not change their meaning on the way.
            if self._stamps_hold:
                return stamp_ns
        return now_ns

    def picture(self) -> RawPicture | None:
        """Return the picture, or None when it is damaged."""
        retrieved, pixels = self._capture.retrieve()
        if not retrieved or pixels is None or pixels.size == 0:
            return None
        if self._format in _COMPRESSED and 1 in pixels.shape[:2]:
            return Jpeg(pixels.reshape(-1))
        channel, conversion = _PACKED.get(self._format, (None, ""))
        channels = 3 if channel is None else 2
        if conversion and pixels.ndim == 3 and pixels.shape[2] == channels:
            return Packed(pixels, channel, conversion)
        # Not what its format promised: OpenCV shall convert from here on.
        self._format = "BGR3"
        self._capture.set(self._converts, 1)
        return Packed(pixels, None, "COLOR_BGR2RGB") if pixels.ndim == 3 and pixels.shape[2] == 3 else None


def cameras(devices: Callable[[], list[_v4l2.Device]] = _v4l2.devices) -> list[tuple[str, str]]:
    """Return, for each camera of this machine, the URI to paste (its USB identity where it has one) and what it is."""
    return [(device.usb_id or f"v4l2://{device.path}", f"{device.name} ({device.path})") for device in devices()]


def camera_target(uri: str) -> CameraTarget:
    """Take a camera's *uri* apart. Raises ConfigError when it names no camera, or asks for an unknown setting."""
    plain, _, query = uri.partition("?")
    found = re.fullmatch(r"(v4l2)://(/.+)|(usb-id):([0-9a-fA-F]{4}:[0-9a-fA-F]{4}(?::.+)?)|(csi)://(\d+)", plain)
    if plain == "default":
        kind, which = "default", ""
    elif found:
        kind, which = (group for group in found.groups() if group is not None)
    else:
        raise ConfigError(
            f"'{uri}' names no camera; write default, v4l2:///dev/video0, usb-id:046d:0825, csi://0 or an address."
        )
    mode: dict[str, int] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in ("width", "height", "fps"):
            raise ConfigError(f"'{uri}' has the unknown setting '{key}'; there are width, height and fps.")
        if not value.isdecimal() or not 0 < int(value) <= 20_000:
            raise ConfigError(f"'{uri}' sets {key} to '{value}'; it must be a number from 1 to 20000.")
        mode[key] = int(value)
    return CameraTarget(kind, which, **mode)


def _usable(path: str) -> str:
    if not os.path.exists(path):
        raise DeviceError(f"There is no camera {path}; plug it in, or see 'edge-avsc devices'.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise DeviceError(
            f"The camera {path} may not be used; add this user to its group: sudo usermod -aG video $USER."
        )
    return path


def _open_capture(target: CameraTarget, path: str) -> Any:
    # OpenCV's V4L2 knows no timeout but this one, in whole seconds; without it a stalled camera blocks for ten.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    import cv2

    # It prints by itself; what matters reaches people as errors.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    large = (target.width or 0) > 640 or (target.height or 0) > 480
    if large:
        # Uncompressed, USB carries so large a picture only a few times a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    modes = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    for setting, value in zip(modes, (target.width, target.height, target.fps), strict=True):
        if value is not None:
            capture.set(setting, value)
    # One to fill while the other is read: with a single one, many cameras lose every second frame.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
    return capture
