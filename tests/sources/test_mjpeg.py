from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message

import cv2
import numpy as np
import pytest

from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ConfigError
from edge_avsc.sources._address import Address
from edge_avsc.sources.mjpeg import MjpegCamera
from edge_avsc.types import NS_PER_MS, NS_PER_S
from sources.live import START_NS, SetClock, run_until_lost

URI = "http://user:hunter2@cam/video"


def jpeg(value: int, width: int = 1280, height: int = 720) -> bytes:
    picture = np.full((height, width, 3), value, np.uint8)
    picture[:, : width // 2, 0] = 0  # BGR: no blue on the left
    return bytes(cv2.imencode(".jpg", picture)[1])


def part(body: bytes) -> bytes:
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)


@dataclass
class Answer:
    """An HTTP answer whose body comes in given pieces; *before* is called before each is read."""

    pieces: list[bytes | Exception] = field(default_factory=list)
    kind: str = "multipart/x-mixed-replace; boundary=frame"
    status: int = 200
    reason: str = "Some reason"
    before: Callable[[], None] = lambda: None
    closed: bool = False

    @property
    def headers(self) -> Message:
        message = Message()
        message["Content-Type"] = self.kind
        return message

    def read1(self, n: int = -1, /) -> bytes:
        self.before()
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed = True


def camera(
    answer: Answer | Exception, clock: SetClock | None = None, every: int = 1, picture_px: int = 300
) -> MjpegCamera:
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        asked.append(time_ns)
        return (len(asked) - 1) % every == 0

    def request(address: Address) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return MjpegCamera(URI, clock=clock or SetClock(), wants=wants, picture_px=picture_px, request=request)


def test_pictures_are_stamped_at_their_first_byte_and_decoded_where_wanted() -> None:
    clock = SetClock()

    def pass_time() -> None:
        clock.time_ns += 40 * NS_PER_MS

    data = b"".join(part(jpeg(value)) for value in (200, 120, 40))
    middle = len(part(jpeg(200))) + 200
    answer = Answer([data[:100], data[100:middle], data[middle:]], before=pass_time)
    delivered = run_until_lost(camera(answer, clock, every=2))
    assert [(frame.time_ns - START_NS) // (40 * NS_PER_MS) for frame in delivered.frames] == [1, 2, 3]
    assert [frame.image is not None for frame in delivered.frames] == [True, False, True]
    assert [frame.luma for frame in delivered.frames] == [
        pytest.approx(value * (1 - 0.5 * 0.114), abs=3) for value in (200, 120, 40)
    ]
    image = delivered.frames[0].image
    assert image is not None
    assert image.shape == (360, 640, 3)
    assert image[150, 100].tolist() == pytest.approx([200, 200, 0], abs=6)  # RGB
    assert answer.closed
    assert delivered.sentence == "http://cam/video closed the stream; check the camera."


@pytest.mark.parametrize(
    ("size", "picture_px", "shape"),
    [
        ((1280, 720), 90, (90, 160)),
        ((1280, 720), 720, (720, 1280)),
        ((720, 1280), 448, (1280, 720)),
        ((60, 40), 90, (40, 60)),
    ],
)
def test_images_are_shrunk_towards_what_is_asked_but_never_under_it(
    size: tuple[int, int], picture_px: int, shape: tuple[int, int]
) -> None:
    delivered = run_until_lost(camera(Answer([part(jpeg(100, *size))]), picture_px=picture_px))
    image = delivered.frames[0].image
    assert image is not None
    assert image.shape == (*shape, 3)


def test_cut_and_broken_pictures_are_left_out() -> None:
    good = jpeg(100)
    answer = Answer([part(good[:-500]), part(b"\xff\xd8nonsense\xff\xd9"), part(b""), part(good)])
    delivered = run_until_lost(camera(answer))
    assert delivered.events == [("video", "damaged")]
    assert len(delivered.frames) == 1


def test_what_is_no_jpeg_is_no_picture() -> None:
    """Other formats may say in a few bytes that they are of a billion pixels."""
    png = bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])
    delivered = run_until_lost(camera(Answer([part(png + b"\xff\xd9")])))
    assert delivered.events == [("video", "damaged")]
    assert delivered.frames == []


def test_what_a_camera_appends_to_its_pictures_is_no_damage() -> None:
    delivered = run_until_lost(camera(Answer([part(jpeg(100) + b"\r\n" + b"\0" * 200 + b"stamp")])))
    assert delivered.events == []
    assert len(delivered.frames) == 1


REFUSALS: list[tuple[Answer | Exception, str]] = [
    (
        Answer(status=401),
        "http://cam/video wants another user or password (401); write them as http://user:password@host/….",
    ),
    (Answer(status=404, reason="Not Found"), "http://cam/video answers 404 Not Found; check the path of the address."),
    (
        Answer(kind="text/html"),
        "http://cam/video sends text/html, not an MJPEG stream; give its MJPEG address, or name it as 'media'.",
    ),
    (
        Answer(kind="multipart/x-mixed-replace; boundary*=a; boundary*0=b"),
        "http://cam/video sends a Content-Type that cannot be read; give the address of a camera.",
    ),
    (ConnectionRefusedError(), "http://cam/video refuses the connection; check its port, and that it is switched on."),
    (socket.gaierror(-2, "unknown"), "The host of http://cam/video is not known; check its name and the network."),
    (TimeoutError(), "http://cam/video does not answer within 2 s; check its address and the network."),
    (ValueError("Invalid header value"), "http://cam/video does not speak HTTP; check its port."),
    (http.client.BadStatusLine("x"), "http://cam/video does not speak HTTP; check its port."),
    (
        ssl.SSLCertVerificationError(),
        "The certificate of http://cam/video is not trusted; install it on this machine, or use http://.",
    ),
    (
        OSError(113, "No route to host"),
        "http://cam/video cannot be reached (No route to host); check its address and the network.",
    ),
    (Answer([TimeoutError()]), "http://cam/video has sent nothing for 1.5 s; check its power and its cable."),
    (
        Answer([ConnectionResetError()]),
        "http://cam/video broke off (ConnectionResetError); check the camera and its network.",
    ),
    (
        Answer([b"--frame\r\nContent-Length: 99999999\r\n\r\n"]),
        "http://cam/video sends no MJPEG stream (a part is larger than 16 MiB); give the address of one.",
    ),
]


@pytest.mark.parametrize(("answer", "sentence"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_wrong_is_one_sentence_without_the_password(answer: Answer | Exception, sentence: str) -> None:
    assert run_until_lost(camera(answer)).sentence == sentence


def test_a_camera_that_sends_bytes_but_no_picture_is_stalled() -> None:
    clock = SetClock()
    sent = threading.Event()

    def dribble() -> None:
        clock.time_ns += NS_PER_S // 2
        sent.wait(0.05)

    answer = Answer([part(jpeg(9)), b"--frame\r\n\r\n", *[b"x"] * 1000], before=dribble)
    assert run_until_lost(camera(answer, clock)).sentence.startswith("http://cam/video has sent nothing for 1.5 s;")


def test_a_server_that_drips_a_header_for_ever_is_hung_up_on() -> None:
    """Each byte arrives in time, so no timeout of a socket ends it; yet the next attempt must find it gone."""
    gone = threading.Event()

    def drip(server: socket.socket) -> None:
        one, _ = server.accept()
        with one, contextlib.suppress(OSError):
            one.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
            while not gone.wait(0.02):
                one.sendall(b"x")
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        source = MjpegCamera(
            f"http://127.0.0.1:{server.getsockname()[1]}/",
            clock=MonotonicClock(),
            wants=lambda time_ns: True,
            picture_px=32,
        )
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        source.run(lambda item: None, stop)
        assert gone.wait(5)
        thread.join(5)


def test_it_may_run_again() -> None:
    source = camera(answer := Answer([part(jpeg(1))]))
    assert len(run_until_lost(source).frames) == 1
    answer.pieces = [part(jpeg(2))]
    assert len(run_until_lost(source).frames) == 1


def test_no_address_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="names no host"):
        MjpegCamera("http:///video", clock=SetClock(), wants=lambda time_ns: False, picture_px=8)
