from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.errors import ConfigError
from edge_avsc.sources._address import network_address

SCHEMES = ("http", "https", "rtsp")


def test_an_address_is_taken_apart() -> None:
    address = network_address("http://us%40er:p%2Fw@cam.local:8080/video?size=1", SCHEMES)
    assert (address.scheme, address.host, address.port) == ("http", "cam.local", 8080)
    assert (address.user, address.password) == ("us@er", "p/w")
    assert address.target == "/video?size=1"
    assert address.name == "http://cam.local:8080/video"


def test_what_is_not_ascii_is_encoded() -> None:
    assert network_address("http://cam/küche?x=%20", SCHEMES).target == "/k%C3%BCche?x=%20"


def test_without_a_user_there_is_none() -> None:
    address = network_address("rtsp://10.0.0.7", SCHEMES)
    assert (address.user, address.port, address.target, address.name) == (None, None, "/", "rtsp://10.0.0.7")


@pytest.mark.parametrize(
    "uri",
    [
        "http://admin:hunter2@cam/x",
        "http://admin:hun/hunter2@cam/x",
        "http://cam/x?user=admin&pwd=hunter2",
        "rtsp://cam/user=admin_password=hunter2_channel=1",
        "rtsp://cam/live&pwd=hunter2",
        "rtsp://cam/user=admin_password=tl_hunter2_channel=1",
        "rtsp://cam/pw=hunter2",
        "http://cam/x#hunter2",
    ],
)
def test_a_name_holds_no_secret(uri: str) -> None:
    try:
        shown = network_address(uri, SCHEMES).name
    except ConfigError as error:
        shown = str(error)
    assert "cam" in shown
    assert "hunter2" not in shown
    assert "admin" not in shown


@pytest.mark.parametrize(
    "uri",
    [
        "http:/cam",
        "http://",
        "http://:80/",
        "ftp://cam/",
        "http://cam:port/",
        "http://cam:99999/",
        "http://u:p%0d%0a@cam/",
        "http://cam/\x00",
    ],
)
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"write it like http://192\.168\.1\.20/stream\.$"):
        network_address(uri, SCHEMES)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    for uri in (text, f"http://{text}", f"rtsp://u:{text}@cam/"):
        with contextlib.suppress(ConfigError):
            assert network_address(uri, SCHEMES).host
