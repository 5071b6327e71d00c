"""Cameras on a board's own connector, and decoders in hardware: pictures through a pipe from ``gst-launch-1.0``.

OpenCV from the registry has no GStreamer, and a board's own OpenCV has no wheel; a pipe needs neither, and when what is
in it hangs or crashes, which drivers of cameras do, that is another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy import uint8

from edge_avsc.clock import Clock
from edge_avsc.errors import ConfigError, DeviceError, without_secrets
from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.sources._raw_pictures import Packed
from edge_avsc.sources._watched import Feed, Watched
from edge_avsc.sources.camera import CameraTarget, camera_target
from edge_avsc.types import Item, Role

OPENING_S = 10.0
"""A camera's service and a decoder may need seconds to start."""

SILENCE_S = 1.5
ENDING_S = 0.5
PIPE_BYTES = 1 << 20
ERROR_BYTES = 1 << 18
"""Drivers may warn with each picture, for months."""

SIZE_PX = (640, 360)

_BOARDS = {
    "nvarguscamerasrc": "nvarguscamerasrc sensor-id={which} ! video/x-raw(memory:NVMM),{mode} ! nvvidconv",
    "libcamerasrc": "libcamerasrc ! video/x-raw,{mode}",
}
"""NVIDIA's boards, and the Raspberry Pi."""


class GstreamerCamera:
    """The pictures of a GStreamer pipeline, each stamped when its first byte arrived.

    uri: ``csi://0``, with ``?width=…&height=…&fps=…`` where a mode is wanted, or ``gst://`` and what gst-launch-1.0
    takes, up to where pictures come out: ``gst://videotestsrc is-live=true``. wants: called once for each frame, in
    order, with its time in ns; True means that it must carry its image. picture_px: images are shrunk towards this on
    both sides, never under it. launcher: the program. has_element: tells whether GStreamer has an element; for tests.
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
        launcher: str = "gst-launch-1.0",
        has_element: Callable[[str], bool] | None = None,
    ) -> None:
        shown = without_secrets(uri)
        self._name = f"The camera {shown if len(shown) <= 60 else shown[:59] + '…'}"
        self._target = camera_target(uri) if uri.startswith("csi:") else None
        self._pipeline = _split(uri)
        self._size_px = _size_px(self._target, picture_px)
        self._wants = wants
        self._picture_px = picture_px
        self._launcher = launcher
        self._has_element = has_element or _has_element
        self._watched = Watched(self._name, clock, self._read, opening_s=OPENING_S, silence_s=SILENCE_S)

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver frames until *stop* is set. Raises DeviceError when the pipeline fails, ends or stalls."""
        self._watched.run(put, stop)

    def _read(self, feed: Feed) -> None:
        pipeline = self._pipeline if self._target is None else _csi(self._target, self._has_element)
        with tempfile.TemporaryFile() as errors:
            # So that what is written after a cut begins there.
            fcntl.fcntl(errors, fcntl.F_SETFL, fcntl.fcntl(errors, fcntl.F_GETFL) | os.O_APPEND)
            process, pipe = _launch([self._launcher, "-q", *pipeline], self._size_px, errors)
            try:
                self._deliver(feed, pipe, errors)
            finally:
                os.close(pipe)
                _end(process)
            if feed.wanted:
                raise self._ended(feed, errors)

    def _deliver(self, feed: Feed, pipe: int, errors: IO[bytes]) -> None:
        """Hand frames on until the pipe ends, or nobody wants them any more."""
        width, height = self._size_px
        frames = LiveFrames(self._name, self._wants, self._picture_px, feed.put)
        room = memoryview(bytearray(2 * width * height))
        frame = np.frombuffer(room, uint8).reshape(height, width, 2)
        have = began_ns = 0
        while feed.wanted:
            if not select.select([pipe], [], [], 0.1)[0]:
                continue
            count = os.readv(pipe, [room[have:]])
            if not count:
                return
            now_ns = feed.alive()
            began_ns = began_ns if have else now_ns
            have += count
            if have == len(room):
                feed.opened = True
                have = 0
                frames.add(began_ns, Packed(frame, 0, "COLOR_YUV2RGB_YUYV"))
                if os.fstat(errors.fileno()).st_size > ERROR_BYTES:
                    errors.truncate(0)

    def _ended(self, feed: Feed, errors: IO[bytes]) -> DeviceError:
        errors.seek(0)
        # What is cut first may have lost what tells a password.
        why = without_secrets(_reason(errors.read().decode(errors="replace")))[:200]
        what = "has ended" if feed.opened else "does not start"
        return DeviceError(f"{self._name} {what} ({why}); try its pipeline with gst-launch-1.0.")


def _split(uri: str) -> list[str]:
    try:
        words = shlex.split(uri.removeprefix("gst://"))
    except ValueError as error:
        raise ConfigError(f"'{without_secrets(uri)}' is no pipeline ({error}); close the quotes.") from None
    if not words or words[-1] == "!":
        raise ConfigError(
            f"'{without_secrets(uri)}' names no pipeline; write e.g. 'gst://v4l2src device=/dev/video0 ! jpegdec'."
        )
    return words


def _csi(target: CameraTarget, has_element: Callable[[str], bool]) -> list[str]:
    """Return the pipeline of a board's own camera, up to plain pictures."""
    element = next((name for name in _BOARDS if has_element(name)), None)
    if element is None:
        raise DeviceError(
            f"GStreamer has no element for csi://{target.which}; on a Jetson install nvidia-l4t-gstreamer, on a "
            "Raspberry Pi gstreamer1.0-libcamera."
        )
    if element == "libcamerasrc" and target.which != "0":
        raise DeviceError(
            f"libcamera numbers no cameras; name that of csi://{target.which} as 'gst://libcamerasrc camera-name=…', "
            "with what 'cam -l' lists."
        )
    mode = f"width={target.width or 1280},height={target.height or 720},framerate={target.fps or 30}/1"
    return _BOARDS[element].format(which=target.which, mode=mode).split()


def _size_px(target: CameraTarget | None, picture_px: int) -> tuple[int, int]:
    """Return the size to ask of the pipeline: a whole fraction of the camera's, that is not under *picture_px*."""
    if target is None:
        return SIZE_PX
    width, height = target.width or 1280, target.height or 720
    factor = max(1, min(width, height) // picture_px)
    return max(2, width // factor // 2 * 2), max(2, height // factor // 2 * 2)


def _launch(command: list[str], size_px: tuple[int, int], errors: IO[bytes]) -> tuple[subprocess.Popen[bytes], int]:
    """Start it; return the process and the pipe's end to read from. Not its stdout: elements print there."""
    ours, theirs = os.pipe()
    try:
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        caps = f"video/x-raw,format=YUY2,width={size_px[0]},height={size_px[1]}"
        # Who reads too slowly shall get new pictures, not old ones.
        tail = f"! videoconvert ! videoscale ! {caps} ! queue leaky=downstream max-size-buffers=2".split()
        # In a session of its own, so that Ctrl-C reaches it through us alone.
        process = subprocess.Popen(
            [*command, *tail, "!", "fdsink", f"fd={theirs}", "sync=false"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=(theirs,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(ours)
        raise DeviceError(
            f"{command[0]} cannot be started ({error.strerror}); install it with 'apt-get install gstreamer1.0-tools "
            "gstreamer1.0-plugins-base'."
        ) from None
    finally:
        os.close(theirs)
    return process, ours


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the pipeline in its own way, so that a camera's service lets the sensor go; else in ours."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(said: str) -> str:
    """Return what matters of gst-launch's words."""
    found = re.search(r'no element "([^"]+)"', said)
    if found:
        return f'there is no element "{found[1]}"'
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "WARNING: erroneous"))]
    line = (errors or lines[-1:] or ["it does not say why"])[0]
    return re.sub(r"^(ERROR|WARNING)\S* (from element \S+ )?", "", line)


def _has_element(name: str) -> bool:
    try:
        asked = subprocess.run(["gst-inspect-1.0", "--exists", name], check=False, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
