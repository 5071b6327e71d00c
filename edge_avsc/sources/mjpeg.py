"""Cameras that send MJPEG over HTTP: an own reader, since OpenCV's decodes every frame and stamps none."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from email.message import Message
from typing import NoReturn, Protocol

import numpy as np

from edge_avsc.clock import Clock
from edge_avsc.errors import DeviceError
from edge_avsc.sources._address import Address, network_address
from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.sources._login import authorization
from edge_avsc.sources._multipart import Multipart, MultipartError
from edge_avsc.sources._raw_pictures import Jpeg
from edge_avsc.sources._watched import Feed, Watched
from edge_avsc.types import Item, Role

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

NETWORK_S = 2.0
"""How long a name, a connection or an answer may take."""

SILENCE_S = 1.5
"""How long there may be no picture: a camera of one frame a second lives."""


class Response(Protocol):
    """What is needed of an HTTP answer: its kind, and its body as it arrives."""

    status: int
    reason: str

    @property
    def headers(self) -> Message:
        """What was said of the body."""

    def read1(self, n: int = ..., /) -> bytes:
        """Return what has arrived, at most *n* bytes; nothing at the end."""

    def close(self) -> None:
        """Close the connection."""


class MjpegCamera:
    """The pictures of an MJPEG stream, each stamped when its first byte arrived.

    uri: ``http[s]://[user:password@]host[:port]/path``. wants: called once for each frame, in order, with its time in
    ns; True means that it must carry its image. picture_px: images are shrunk towards this on both sides, never under
    it. request: asks for the stream; for tests. Raises ConfigError when *uri* is malformed.
    """

    roles: frozenset[Role] = frozenset({"video"})

    def __init__(
        self,
        uri: str,
        *,
        clock: Clock,
        wants: Callable[[int], bool],
        picture_px: int,
        request: Callable[[Address], Response] | None = None,
    ) -> None:
        self._address = network_address(uri, ("http", "https"))
        self._wants = wants
        self._picture_px = picture_px
        self._request = request or self._ask_for
        self._socket: socket.socket | None = None
        self._watched = Watched(
            self._address.name,
            clock,
            self._read,
            opening_s=2 * NETWORK_S,
            silence_s=SILENCE_S,
            let_go=self._hang_up,
        )

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver frames until *stop* is set. Raises DeviceError when the stream cannot be had, ends, or stalls."""
        self._watched.run(put, stop)

    def _read(self, feed: Feed) -> None:
        name = self._address.name
        try:
            response = self._request(self._address)
        except (OSError, http.client.HTTPException, ValueError) as error:
            _refuse(self._address, error)
        try:
            parts = Multipart(_boundary(name, response))
            feed.alive()
            feed.opened = True
            self._deliver(feed, response, parts)
        except MultipartError as error:
            raise DeviceError(f"{name} sends no MJPEG stream ({error}); give the address of one.") from None
        except TimeoutError:
            raise self._watched.stalled() from None
        except (OSError, http.client.HTTPException) as error:
            raise DeviceError(f"{name} broke off ({type(error).__name__}); check the camera and its network.") from None
        finally:
            response.close()

    def _deliver(self, feed: Feed, response: Response, parts: Multipart) -> None:
        frames = LiveFrames(self._address.name, self._wants, self._picture_px, feed.put)
        while feed.wanted:
            data = response.read1(65536)
            if not data:
                raise DeviceError(f"{self._address.name} closed the stream; check the camera.")
            for part in parts.feed(data, feed.now_ns()):
                feed.alive()
                # Some cameras append something; what was cut off has no end at all.
                if part.body.startswith(JPEG_START) and part.body.rfind(JPEG_END) > len(part.body) // 2:
                    frames.add(part.started_ns, Jpeg(np.frombuffer(part.body, np.uint8)))
                else:
                    frames.damaged(part.started_ns)

    def _ask_for(self, address: Address) -> Response:
        answer = self._ask(address, None)
        if answer.status == 401 and address.user is not None:
            wanted = answer.headers.get_all("WWW-Authenticate") or []
            login = authorization(wanted, address.user, address.password, address.target, secrets.token_hex(8))
            if login is not None:
                answer.close()
                answer = self._ask(address, login)
        return answer

    def _ask(self, address: Address, login: str | None) -> http.client.HTTPResponse:
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.host, address.port, timeout=NETWORK_S)
        headers = {"User-Agent": "edge-avsc", "Accept": "multipart/x-mixed-replace, */*", "Connection": "close"}
        if login is not None:
            headers["Authorization"] = login
        try:
            connection.connect()
            self._socket = connection.sock
            connection.request("GET", address.target, headers=headers)
            # It is told to close, so that the answer owns the connection from here on.
            return connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _hang_up(self) -> None:
        """End a read that would go on for as long as the server sends something, such as one header after the other."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _refuse(address: Address, error: Exception) -> NoReturn:
    """Raise the DeviceError for a source that could not be reached; its sentence holds no secret."""
    name = address.name
    if isinstance(error, socket.gaierror):
        sentence = f"The host of {name} is not known; check its name and the network."
    elif isinstance(error, ConnectionRefusedError):
        sentence = f"{name} refuses the connection; check its port, and that it is switched on."
    elif isinstance(error, TimeoutError):
        sentence = f"{name} does not answer within {NETWORK_S:g} s; check its address and the network."
    elif isinstance(error, ssl.SSLCertVerificationError):
        sentence = f"The certificate of {name} is not trusted; install it on this machine, or use http://."
    elif isinstance(error, (http.client.HTTPException, ssl.SSLError, ValueError)):
        sentence = f"{name} does not speak {address.scheme.upper()}; check its port."
    else:
        sentence = f"{name} cannot be reached ({error.strerror if isinstance(error, OSError) else error})"
        sentence += "; check its address and the network."
    raise DeviceError(sentence) from None


def _boundary(name: str, response: Response) -> str:
    """Return the boundary that the header names. Raises DeviceError when this is no MJPEG stream."""
    if response.status in (401, 403):
        raise DeviceError(
            f"{name} wants another user or password ({response.status}); write them as http://user:password@host/…."
        )
    if response.status != 200:
        raise DeviceError(f"{name} answers {response.status} {response.reason}; check the path of the address.")
    try:
        kind = response.headers.get_content_type()
        boundary = str(response.headers.get_param("boundary") or "")
    except Exception:
        # The standard library stumbles in many ways over what is no header of this kind.
        raise DeviceError(f"{name} sends a Content-Type that cannot be read; give the address of a camera.") from None
    if not kind.startswith("multipart/"):
        raise DeviceError(f"{name} sends {kind}, not an MJPEG stream; give its MJPEG address, or name it as 'media'.")
    return boundary
