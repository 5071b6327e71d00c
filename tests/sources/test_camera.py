from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy import uint8
from numpy.typing import NDArray

from edge_avsc.errors import ConfigError
from edge_avsc.sources._v4l2 import Device, devices
from edge_avsc.sources.camera import Camera, CameraTarget, camera_target, cameras
from edge_avsc.types import NS_PER_MS, NS_PER_S
from sources.live import START_NS, Delivered, SetClock, run_until_lost

WEBCAM = Device("/dev/null", "Webcam", "046d", "0825", "ABC123")
FOURCC = {name: int(cv2.VideoWriter.fourcc(*name)) for name in ("YUYV", "MJPG", "BGR3", "YU12")}
FRAME_NS = 33 * NS_PER_MS


@dataclass
class Capture:
    """A capture that grabs *pictures*, one each 33 ms, and then fails; it converts to BGR unless told not to."""

    pictures: list[Any]
    clock: SetClock
    fourcc: str = "BGR3"
    lag_ns: int | None = 5 * NS_PER_MS
    takes_ns: list[int] = field(default_factory=list)
    opens: bool = True
    converts: bool = True
    released: bool = False
    retrieved: int = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def grab(self) -> bool:
        self.clock.time_ns += self.takes_ns.pop(0) if self.takes_ns else FRAME_NS
        self._picture = self.pictures.pop(0) if self.pictures else None
        return self._picture is not None

    def retrieve(self) -> tuple[bool, Any]:
        self.retrieved += 1
        picture = self._picture
        if self.converts and picture is not None and picture.ndim == 3 and picture.shape[2] == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_YUYV)
        return picture is not None and picture.size > 0, picture

    def get(self, setting: int) -> float:
        if setting == cv2.CAP_PROP_FOURCC:
            return float(FOURCC[self.fourcc])
        assert setting == cv2.CAP_PROP_POS_MSEC
        return 0.0 if self.lag_ns is None else (self.clock.time_ns - self.lag_ns) / NS_PER_MS

    def set(self, setting: int, value: float) -> bool:
        assert setting == cv2.CAP_PROP_CONVERT_RGB
        self.converts = bool(value)
        return True

    def release(self) -> None:
        self.released = True


def bgr(value: int) -> NDArray[uint8]:
    return np.full((480, 640, 3), (value, 0, 0), uint8)


def run(
    capture: Capture, uri: str = "v4l2:///dev/null", known: list[Device] | None = None, every: int = 1
) -> Delivered:
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        asked.append(time_ns)
        return (len(asked) - 1) % every == 0

    def open_capture(target: CameraTarget, path: str) -> Capture:
        capture.clock.time_ns += 1  # so that a test sees in which order things happened
        return capture

    return run_until_lost(
        Camera(
            uri,
            clock=capture.clock,
            wants=wants,
            picture_px=240,
            open_capture=open_capture,
            devices=lambda: known if known is not None else [WEBCAM],
        )
    )


def test_frames_carry_the_drivers_time_and_their_image_where_wanted() -> None:
    capture = Capture([bgr(30), bgr(60), bgr(90)], SetClock())
    delivered = run(capture, every=2)
    begin_ns = START_NS + 1 - 5 * NS_PER_MS
    assert [frame.time_ns for frame in delivered.frames] == [begin_ns + FRAME_NS * n for n in (1, 2, 3)]
    assert [frame.luma for frame in delivered.frames] == [10, 20, 30]
    image = delivered.frames[2].image
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert image[0, 0].tolist() == [0, 0, 90]  # RGB
    assert delivered.frames[1].image is None
    assert capture.released
    assert delivered.sentence == "The camera /dev/null is gone; plug it in again."


@pytest.mark.parametrize("lag_ns", [None, -NS_PER_S, 3600 * NS_PER_S])
def test_an_implausible_time_is_replaced_by_the_arrival(lag_ns: int | None) -> None:
    delivered = run(Capture([bgr(1), bgr(2)], SetClock(), lag_ns=lag_ns))
    assert [frame.time_ns for frame in delivered.frames] == [START_NS + 1 + FRAME_NS * n for n in (1, 2)]


def test_times_do_not_change_their_meaning_on_the_way() -> None:
    class Moody(Capture):
        def get(self, setting: int) -> float:
            self.lag_ns = NS_PER_S if len(self.pictures) == 2 else NS_PER_MS
            return super().get(setting)

    delivered = run(Moody([bgr(1), bgr(2), bgr(3), bgr(4)], SetClock()))
    lags = [START_NS + 1 + FRAME_NS * n - frame.time_ns for n, frame in enumerate(delivered.frames, 1)]
    assert lags == [NS_PER_MS, 0, 0, 0]


def test_yuyv_is_not_converted_but_where_wanted() -> None:
    raw = np.full((480, 640, 2), 128, uint8)
    raw[..., 0] = 235
    delivered = run(Capture([raw, raw], SetClock(), fourcc="YUYV"), every=2)
    assert [frame.luma for frame in delivered.frames] == [255, 255]
    image = delivered.frames[0].image
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert image[0, 0].tolist() == pytest.approx([255] * 3, abs=2)


def test_mjpg_is_decoded_here_and_what_follows_its_end_is_ignored() -> None:
    data = cv2.imencode(".jpg", bgr(200))[1].reshape(1, -1)
    padded = np.concatenate([data, np.full((1, 999), 7, uint8)], axis=1)
    delivered = run(Capture([padded, padded[:, :40], padded], SetClock(), fourcc="MJPG"))
    assert [frame.luma for frame in delivered.frames] == [pytest.approx(200 * 0.114, abs=2)] * 2
    assert delivered.events == [("video", "damaged")]


def test_a_format_that_breaks_its_promise_is_left_to_opencv() -> None:
    capture = Capture([bgr(30), bgr(60)], SetClock(), fourcc="YUYV")
    delivered = run(capture)
    assert [frame.luma for frame in delivered.frames] == [10, 20]
    assert capture.converts


def test_other_formats_are_left_to_opencv() -> None:
    capture = Capture([bgr(30)], SetClock(), fourcc="YU12")
    assert len(run(capture).frames) == 1
    assert capture.converts


def test_a_read_that_blocked_is_a_loss_whatever_it_returned() -> None:
    capture = Capture([bgr(n) for n in range(9)], SetClock(), takes_ns=[FRAME_NS, FRAME_NS, NS_PER_S])
    delivered = run(capture)
    assert len(delivered.frames) == 2
    assert delivered.sentence.startswith("The camera v4l2:///dev/null has sent nothing for 1 s;")


def test_a_device_in_use_is_told() -> None:
    closed = run(Capture([], SetClock(), opens=False)).sentence
    assert closed == "The camera /dev/null does not open; close the program that uses it."
    assert run(Capture([], SetClock())).sentence.endswith("gives no pictures; close what else uses it.")


def test_no_camera_unknown_camera_no_permission(tmp_path: Path) -> None:
    capture = Capture([], SetClock())
    assert run(capture, "default", []).sentence.startswith("There is no camera on this machine; plug one in")
    unknown = run(capture, "usb-id:046d:0826").sentence
    assert unknown.startswith("There is no camera usb-id:046d:0826; plug it in")
    assert unknown.endswith("Did you mean 'usb-id:046d:0825:ABC123'?")
    missing = run(capture, f"v4l2://{tmp_path}/video7").sentence
    assert missing == f"There is no camera {tmp_path}/video7; plug it in, or see 'edge-avsc devices'."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use everything")
def test_no_permission_is_told(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch(mode=0)
    assert "sudo usermod -aG video" in run(Capture([], SetClock()), f"v4l2://{node}").sentence


@pytest.mark.parametrize("uri", ["default", "usb-id:046D:0825", "usb-id:046d:0825:abc123"])
def test_cameras_are_found_by_name(uri: str) -> None:
    assert len(run(Capture([bgr(1)], SetClock()), uri).frames) == 1


def test_a_uri_is_taken_apart() -> None:
    assert camera_target("v4l2:///dev/video2?width=1280&height=720&fps=15") == CameraTarget(
        "v4l2", "/dev/video2", 1280, 720, 15
    )
    assert camera_target("usb-id:046d:0825:A:B") == CameraTarget("usb-id", "046d:0825:A:B")


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("camera", "names no camera"),
        ("v4l2://video0", "names no camera"),
        ("usb-id:logitech", "names no camera"),
        ("csi://front", "names no camera"),
        ("default?size=3", "unknown setting 'size'"),
        ("default?width=wide", "sets width to 'wide'"),
        ("default?fps=0", "sets fps to '0'"),
    ],
)
def test_what_names_no_camera_is_refused(uri: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        camera_target(uri)


def sysfs(root: Path, *nodes: tuple[str, str, str, dict[str, str]]) -> Path:
    """Write what Linux says of some nodes: (node, index, name, identity of its USB plug)."""
    folder = root / "class"
    for node, index, name, identity in nodes:
        interface = root / "bus" / node / "1-1:1.0"
        interface.mkdir(parents=True)
        for key, value in identity.items():
            (interface.parent / key).write_text(value + "\n")
        (folder / node).mkdir(parents=True)
        (folder / node / "index").write_text(index + "\n")
        (folder / node / "name").write_text(name + "\n")
        (folder / node / "device").symlink_to(interface)
    return folder


def test_cameras_are_listed_in_order_without_the_nodes_that_give_no_pictures(tmp_path: Path) -> None:
    usb = {"idVendor": "046d", "idProduct": "0825", "serial": "ABC123"}
    found = sysfs(
        tmp_path,
        ("video10", "0", "Board camera", {}),
        ("video2", "0", "Webcam", usb),
        ("video3", "1", "Webcam", usb),
        ("video4", "0", "Encoder", {}),
    )
    captures: Callable[[str], bool] = lambda path: path != "/dev/video4"  # noqa: E731
    known = devices(found, captures)
    assert [(device.path, device.usb_id) for device in known] == [
        ("/dev/video2", "usb-id:046d:0825:ABC123"),
        ("/dev/video10", ""),
    ]
    assert cameras(lambda: known) == [
        ("usb-id:046d:0825:ABC123", "Webcam (/dev/video2)"),
        ("v4l2:///dev/video10", "Board camera (/dev/video10)"),
    ]


def test_a_machine_without_cameras_has_none(tmp_path: Path) -> None:
    assert devices(tmp_path / "nothing") == []
