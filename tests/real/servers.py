"""Small servers for the tests that need real ones; run one with ``python servers.py mjpeg|rtsp …``.

They print their port on the first line, end with their standard input, and need nothing of this package: the RTSP one
runs in the system's Python, which has GStreamer.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import importlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
BLOCK_PX = 32
BITS = 40


class Server:
    """A server in a process of its own, which can be stopped, continued, killed and started again on its port."""

    def __init__(self, kind: str, *options: str) -> None:
        self._kind = kind
        self._options = options
        self.port = 0
        self.start()

    def start(self) -> None:
        python = SYSTEM_PYTHON if self._kind == "rtsp" else sys.executable
        command = [python, __file__, self._kind, "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 10)
        line = self._process.stdout.readline() if ready else ""
        if not line.strip().isdigit():
            self.kill()
            raise RuntimeError(f"the {self._kind} server did not start")
        self.port = int(line)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def serving(kind: str, *options: str) -> Iterator[Server]:
    server = Server(kind, *options)
    try:
        yield server
    finally:
        server.kill()


def has_rtsp_server() -> bool:
    code = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ['matroskademux', 'rtph264pay', 'rtpL16pay']))"
    )
    if not os.path.exists(SYSTEM_PYTHON):
        return False
    return subprocess.run([SYSTEM_PYTHON, "-W", "ignore", "-c", code], capture_output=True, check=False).returncode == 0


def stamped_picture(number: int, time_ns: int, width: int = 640, height: int = 360) -> Any:
    """Draw a moving picture whose upper left blocks say, in bits, at which microsecond it was drawn: BGR."""
    import numpy as np

    picture = np.random.default_rng(number % 16).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    for bit in range(BITS):
        top, left = divmod(bit * BLOCK_PX, width)
        value = 255 * (time_ns // 1000 >> bit & 1)
        picture[top * BLOCK_PX : (top + 1) * BLOCK_PX, left : left + BLOCK_PX] = value
    return picture


def stamp_of(picture: Any) -> int:
    """Return the time in ns that a (perhaps shrunk) picture of stamped_picture says."""
    scale = picture.shape[1] / 640
    time_us = 0
    for bit in range(BITS):
        top, left = divmod(bit * BLOCK_PX, 640)
        row, column = int((top * BLOCK_PX + BLOCK_PX / 2) * scale), int((left + BLOCK_PX / 2) * scale)
        time_us |= int(picture[row, column].mean() > 127) << bit
    return time_us * 1000


def knows(authorization: str, password: str, digest: bool) -> bool:
    """Tell whether a GET of ``/`` was asked for by the user ``user`` with *password*."""
    if not digest:
        return authorization == "Basic " + base64.b64encode(f"user:{password}".encode()).decode()
    said = dict(re.findall(r'(\w+)="?([^",]*)', authorization))
    secret, what = (hashlib.md5(text.encode()).hexdigest() for text in (f"user:camera:{password}", "GET:/"))
    text = ":".join([secret, "once", said.get("nc", ""), said.get("cnonce", ""), "auth", what])
    return said.get("response") == hashlib.md5(text.encode()).hexdigest()


def run_mjpeg(
    port: int,
    fps: float,
    folder: str | None,
    password: str | None,
    digest: bool,
    freeze_after: int,
    began_ns: int,
) -> None:
    """Serve ``/`` as multipart, ``/short`` (ends after 10), ``/text`` and what *folder*'s JPEGs show, in a loop."""
    import cv2

    pictures = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))] if folder else []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if password and not knows(self.headers.get("Authorization", ""), password, digest):
                self.send_response(401)
                kind = 'Digest realm="camera", nonce="once", qop="auth"' if digest else 'Basic realm="camera"'
                self.send_header("WWW-Authenticate", kind)
                self.end_headers()
            elif self.path == "/text":
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(b"no camera")
            elif self.path in ("/", "/short"):
                with contextlib.suppress(OSError):
                    self.stream(10 if self.path == "/short" else None)
            else:
                self.send_error(404)

        def stream(self, most: int | None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            now_ns = time.monotonic_ns()
            start_ns = began_ns or now_ns
            number = max(0, -int((start_ns - now_ns) * fps // 1e9))
            while number != most:
                due_ns = start_ns + round(number * 1e9 / fps)
                time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
                if pictures:
                    jpeg = pictures[number % len(pictures)]
                else:
                    shown = min(number, freeze_after) if freeze_after else number
                    at_ns = 0 if freeze_after and number >= freeze_after else time.monotonic_ns()
                    jpeg = cv2.imencode(".jpg", stamped_picture(shown, at_ns))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                number += 1

        def log_message(self, *_: Any) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

    with Listener(("127.0.0.1", port), Pages) as server:
        print(server.server_port, flush=True)
        _end_with_input(server.shutdown)
        server.serve_forever(0.1)


def run_rtsp(port: int, path: str, password: str | None) -> None:
    """Serve a Matroska file of H.264 and 48 kHz PCM at ``/``, from its beginning for each client, at its own pace."""
    gi: Any = importlib.import_module("gi")
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    glib, gst, rtsp = (importlib.import_module(f"gi.repository.{name}") for name in ("GLib", "Gst", "GstRtspServer"))
    gst.init(None)
    server = rtsp.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = rtsp.RTSPMediaFactory()
    factory.set_launch(
        f"( filesrc location={path} ! matroskademux name=d d. ! queue ! h264parse config-interval=-1 ! "
        "rtph264pay name=pay0 pt=96 d. ! queue ! audioconvert ! audio/x-raw,format=S16BE ! rtpL16pay name=pay1 pt=97 )"
    )
    if password:
        auth = rtsp.RTSPAuth()
        token = rtsp.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_basic(rtsp.RTSPAuth.make_basic("user", password), token)
        server.set_auth(auth)
        roles = rtsp.RTSPPermissions()
        roles.add_permission_for_role("user", "media.factory.access", True)
        roles.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(roles)
    server.get_mount_points().add_factory("/", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = glib.MainLoop()
    _end_with_input(loop.quit)
    loop.run()


def _end_with_input(end: Any) -> None:
    def wait() -> None:
        sys.stdin.read()
        end()

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("mjpeg", "rtsp"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--path", help="mjpeg: a folder of JPEGs; rtsp: a Matroska file")
    parser.add_argument("--password", help="wanted of the user 'user'")
    parser.add_argument("--digest", action="store_true", help="mjpeg: the password may not be told")
    parser.add_argument("--freeze-after", type=int, default=0, help="mjpeg: from this frame on, always the same")
    parser.add_argument("--began", type=int, default=0, metavar="NS", help="mjpeg: when the first picture was due")
    chosen = parser.parse_args()
    if chosen.kind == "mjpeg":
        run_mjpeg(
            chosen.port, chosen.fps, chosen.path, chosen.password, chosen.digest, chosen.freeze_after, chosen.began
        )
    else:
        run_rtsp(chosen.port, chosen.path, chosen.password)


if __name__ == "__main__":
    main()
