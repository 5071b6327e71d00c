from __future__ import annotations

import threading

import pytest

from edge_avsc.errors import ConfigError, DeviceError
from edge_avsc.sources import PICTURES, SOUND, is_remote, open_live
from edge_avsc.sources.gstreamer import GstreamerCamera
from edge_avsc.types import Role
from sources.live import SetClock


def camera(uri: str, *elements: str, launcher: str = "no-such-launcher") -> GstreamerCamera:
    return GstreamerCamera(
        uri,
        clock=SetClock(),
        wants=lambda time_ns: True,
        picture_px=256,
        launcher=launcher,
        has_element=lambda name: name in elements,
    )


def sentence(source: GstreamerCamera) -> str:
    with pytest.raises(DeviceError) as raised:
        source.run(lambda item: None, threading.Event())
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("gst://", "names no pipeline"),
        ("gst://videotestsrc !", "names no pipeline"),
        ("gst://filesrc location='a b", "is no pipeline .*close the quotes"),
        ("csi://front", "names no camera"),
        ("csi://0?size=3", "unknown setting 'size'"),
    ],
)
def test_what_is_no_pipeline_is_refused(uri: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        camera(uri)


def test_secrets_are_not_told() -> None:
    for uri in ("gst://rtspsrc location='rtsp://me:secret@host/", "gst://rtspsrc location=rtsp://me:secret@host/ !"):
        with pytest.raises(ConfigError) as raised:
            camera(uri)
        assert "secret" not in str(raised.value)


def test_both_schemes_are_opened_by_uri() -> None:
    for uri in ("csi://0?width=1920&height=1080&fps=60", "gst://videotestsrc is-live=true"):
        opened = open_live(uri, PICTURES, clock=SetClock(), wants=lambda time_ns: True, picture_px=256)
        assert isinstance(opened, GstreamerCamera)


@pytest.mark.parametrize("roles", [SOUND, SOUND | PICTURES])
def test_a_pipeline_gives_pictures_alone(roles: frozenset[Role]) -> None:
    with pytest.raises(ConfigError, match="gives pictures alone; name it as video"):
        open_live("csi://0", roles, clock=SetClock(), wants=lambda time_ns: True, picture_px=256)


def test_a_pipeline_that_reads_from_an_address_may_answer_later() -> None:
    assert is_remote("gst://rtspsrc location=rtsp://camera.local/stream ! rtph264depay ! h264parse ! avdec_h264")
    assert not is_remote("gst://videotestsrc is-live=true")


def test_a_board_without_the_element_is_told_what_to_install() -> None:
    said = sentence(camera("csi://0"))
    assert "nvidia-l4t-gstreamer" in said
    assert "gstreamer1.0-libcamera" in said


def test_a_second_camera_of_a_raspberry_pi_is_named_otherwise() -> None:
    assert "gst://libcamerasrc camera-name=" in sentence(camera("csi://1", "libcamerasrc"))


@pytest.mark.parametrize("uri", ["csi://0", "gst://videotestsrc"])
def test_a_machine_without_gstreamer_is_told_what_to_install(uri: str) -> None:
    said = sentence(camera(uri, "nvarguscamerasrc"))
    assert said.startswith("no-such-launcher cannot be started (No such file")
    assert "apt-get install gstreamer1.0-tools" in said
