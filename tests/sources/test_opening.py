from __future__ import annotations

import wave
from pathlib import Path

import pytest

from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ConfigError
from edge_avsc.sources import PICTURES, SOUND, LiveSource, is_remote, open_live
from edge_avsc.types import Role

BOTH = SOUND | PICTURES


def opened(uri: str, roles: frozenset[Role]) -> LiveSource:
    return open_live(uri, roles, clock=MonotonicClock(), wants=lambda time_ns: False, picture_px=320)


@pytest.mark.parametrize(
    ("uri", "roles", "said"),
    [
        ("rstp://10.0.0.9/stream", BOTH, r"^'rstp://10.0.0.9/stream' begins with none of .* Did you mean 'rtsp'\?$"),
        ("htpp://10.0.0.9/", PICTURES, r"Did you mean 'http'\?$"),
        ("v4l://dev/video0", PICTURES, r"Did you mean 'v4l2'\?$"),
        ("rstp://me:secret@10.0.0.9/", BOTH, r"^'rstp://10.0.0.9/' begins"),
        ("clipp.mp4", BOTH, "^There is no file 'clipp.mp4'; check the name"),
        ("talk.wav", SOUND, "^There is no file 'talk.wav'"),
        ("../clips/walk", PICTURES, r"^There is no file '../clips/walk'"),
        ("ALSA://default", SOUND, r"Did you mean 'alsa'\?$"),
        ("/dev/video0", PICTURES, "^'/dev/video0' is a device; write it like v4l2:///dev/video0 as video"),
        ("/dev/null", SOUND, r"^'/dev/null' is a device; .* like alsa://hw:1,0 as audio\.$"),
        ("file://[x", BOTH, r"^'file://\[x' is no address of a file; write it like file:///recordings"),
        ("default", BOTH, "does not hold both sound and pictures; name them apart"),
        ("http://[::1/x", PICTURES, r"is no address; write it like http://"),
        ("http://[::1/x", BOTH, r"is no address; write it like"),
    ],
)
def test_what_is_mistyped_is_told_by_its_own_name(uri: str, roles: frozenset[Role], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(uri, roles)


@pytest.mark.parametrize(
    ("uri", "roles"),
    [
        ("default", SOUND),
        ("default", PICTURES),
        ("USB Audio: - (hw:1,0)", SOUND),
        ("alsa://hw:1,0", SOUND),
        ("usb-id:0d8c:0014", SOUND),
        ("usb-id:046d:0825", PICTURES),
        ("v4l2:///dev/video7", PICTURES),
        ("test://demo", BOTH),
    ],
)
def test_what_may_be_there_later_is_opened_later(uri: str, roles: frozenset[Role]) -> None:
    assert opened(uri, roles).roles == roles


def test_a_recording_plays_by_its_path(tmp_path: Path) -> None:
    recording = tmp_path / "plain"
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, 16000, 16000, "NONE", ""))
        file.writeframes(bytes(32000))
    assert not is_remote(str(recording))
    assert opened(str(recording), BOTH).roles == SOUND
