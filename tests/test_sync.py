from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from edge_avsc.cli import main
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import AppConfig, parse_config
from edge_avsc.errors import ConfigError, DeviceError
from edge_avsc.sync import choose, configured, measure
from edge_avsc.types import Item, Role
from played import Played, demo, noise, pictures, sound


def config(text: str) -> AppConfig:
    return parse_config(f"streams: {text}")


def played(camera_late_ms: float = 0.0) -> Callable[..., Played]:
    """Devices that play the demonstration; the camera stamps its pictures late."""

    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, demo(uri, roles, camera_late_ms if "video" in roles else 0.0))

    return opened


def measured(text: str, open_source: Callable[..., Played]) -> list[str]:
    return list(measure(config(text), None, seconds=60, clock=MonotonicClock(), open_source=open_source))


def skew_of(lines: list[str]) -> float:
    found = re.search(r"av_skew_ms is ([+-]\d+\.\d)", "\n".join(lines))
    assert found
    return float(found[1])


def pasted(lines: list[str]) -> str:
    """What a person would paste under 'streams:'."""
    return str(yaml.safe_load("\n".join(lines[lines.index('  "lobby":') :])))


@pytest.mark.parametrize("skew_ms", [-300, -62, 0, 40, 410])
@pytest.mark.parametrize("latency_ms", [0, 30])
def test_what_is_pasted_takes_the_skew_away(skew_ms: float, latency_ms: float) -> None:
    uri = f"test://demo?duration=6&skew_ms={skew_ms}"
    before = measured(f"{{lobby: {{audio: '{uri}', video: {{uri: '{uri}', latency_ms: {latency_ms}}}}}}}", played())
    assert skew_of(before) == pytest.approx(skew_ms + latency_ms, abs=1.5)
    after = measured(pasted(before), played())
    assert skew_of(after) == pytest.approx(0, abs=1.5)


def test_late_camera_gets_what_it_is_late_by() -> None:
    uri = "test://demo?duration=6"
    lines = measured(f"{{lobby: {{audio: '{uri}', video: '{uri}'}}}}", played(camera_late_ms=80))
    assert skew_of(lines) == pytest.approx(-80, abs=1.5)
    latency_ms = yaml.safe_load(pasted(lines))["lobby"]["video"]["latency_ms"]
    assert latency_ms == pytest.approx(80, abs=1.5)
    assert "5 flashes agree" in " ".join(lines)


def test_latency_of_media_moves_both_so_they_are_written_apart() -> None:
    stream = config("{yard: {media: {uri: 'test://demo', latency_ms: 20}}}").streams["yard"]
    written = yaml.safe_load("\n".join(configured(stream, "yard", -55.04)))["yard"]
    assert written == {
        "audio": {"uri": "test://demo", "latency_ms": 20},
        "video": {"uri": "test://demo", "latency_ms": 75},
    }
    assert parse_config(yaml.safe_dump({"streams": {"yard": written}}))


def test_password_is_not_written() -> None:
    stream = config("{yard: {audio: default, video: 'http://me:pass/w0rd@camera/v?token=abc&q=1'}}").streams["yard"]
    text = "\n".join(configured(stream, "yard", 1.0))
    assert "http://camera/v?token=…&q=1" in text
    assert not any(secret in text for secret in ("me:", "w0rd", "abc"))


def refusal(audio: list[Item], video: list[Item]) -> str:
    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, audio if "audio" in roles else video)

    with pytest.raises(DeviceError) as raised:
        measured("{lobby: {audio: a, video: v}}", opened)
    return str(raised.value)


SOUND: frozenset[Role] = frozenset({"audio"})
PICTURES: frozenset[Role] = frozenset({"video"})
DEMO = "test://demo?duration=5"


def test_missing_flash_is_said() -> None:
    assert refusal(demo(DEMO, SOUND), pictures(5)).startswith("Beeps were heard but no flash was seen (")


def test_missing_beep_is_said() -> None:
    said = refusal(sound(noise(5)), demo(DEMO, PICTURES))
    assert re.match(r"\d flashes were seen but no beep of 1 kHz was heard \(the sound's peak was -\d+ dBFS\)", said)


def test_both_missing_is_said() -> None:
    assert refusal(sound(noise(5)), pictures(5)).startswith("Neither a flash was seen (")


def test_silent_device_is_said() -> None:
    assert "delivered no sound" in refusal([], pictures(1))
    assert "delivered no picture" in refusal(sound(np.zeros((1600, 1), np.float32)), [])


def test_too_few_flashes_are_said() -> None:
    short = "test://demo?duration=3"
    assert "no 3 of them agree" in refusal(demo(short, SOUND), demo(short, PICTURES))


def test_loss_is_said_without_its_password() -> None:
    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, [], DeviceError("rtsp://me:secret@camera/x does not answer; check the network."))

    with pytest.raises(DeviceError, match=r"^rtsp://camera/x does not answer"):
        measured("{lobby: {audio: a, video: v}}", opened)


@pytest.mark.parametrize(
    ("streams", "stream", "says"),
    [
        ("{a: {audio: x}, v: {video: x}}", None, "No stream has both"),
        ("{a: {audio: x}, b: {media: x}}", "a", "has not both"),
        ("{b: {media: x}, c: {media: y}}", None, "--stream: b, c"),
        ("{lobby: {media: x}, c: {media: y}}", "loby", "Did you mean 'lobby'"),
    ],
)
def test_stream_that_cannot_be_measured(streams: str, stream: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        choose(config(streams), stream)


def test_only_whole_stream_is_chosen() -> None:
    assert choose(config("{a: {audio: x}, b: {media: x}}"), None) == "b"
    assert choose(config("{b: {media: x}, c: {media: y}}"), "c") == "c"


def test_recording_without_pictures_is_refused() -> None:
    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(["audio"], sound(noise(0.1)))

    with pytest.raises(ConfigError, match="delivers only audio"):
        measured("{lobby: {media: x}}", opened)


def test_verb_measures_at_its_pace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('streams: {lobby: {media: "test://demo?duration=4&skew_ms=40"}}')
    assert main(["sync", "--config", str(path)]) == 0
    assert skew_of(capsys.readouterr().out.splitlines()) == pytest.approx(40, abs=2)


def test_verb_without_flashes_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('streams: {lobby: {media: "test://demo?duration=0.5"}}')
    assert main(["sync", "--config", str(path)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("edge-avsc: ")
    assert error.count("\n") == 1


def test_seconds_must_be_some(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sync", "--seconds", "0"])
    assert "0.5 to 3600" in capsys.readouterr().err
