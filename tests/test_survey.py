from __future__ import annotations

from typing import Any

import pytest

from edge_avsc.clock import MonotonicClock
from edge_avsc.config import SourceConfig, StreamConfig
from edge_avsc.errors import DeviceError, without_secrets
from edge_avsc.survey import Survey
from edge_avsc.types import NS_PER_S, Role
from played import Played, demo, event, noise, pictures, sound, surveyed


class HandClock:
    def __init__(self) -> None:
        self.s = 0.0

    def now_ns(self) -> int:
        return round(self.s * NS_PER_S)


def of(source: Played, clock: Any = None) -> Survey:
    config = StreamConfig(media=SourceConfig(uri="device"))
    return Survey("s", config, clock=clock or MonotonicClock(), open_source=lambda *_, **__: source)


def run(survey: Survey) -> Survey:
    with survey:
        while not survey.done(1e9):
            survey.step()
    return survey


def test_demonstration_is_measured() -> None:
    roles: frozenset[Role] = frozenset({"audio", "video"})
    survey = run(of(Played(roles, demo("test://demo?duration=5&skew_ms=40", roles))))
    assert survey.sound.rate_hz == 48_000
    assert survey.pictures.per_s == pytest.approx(25)
    assert survey.skew.skew_ms == pytest.approx(40, abs=1.5)
    assert not survey.losses


def test_order_of_sound_and_pictures_does_not_matter() -> None:
    roles: frozenset[Role] = frozenset({"audio", "video"})
    items = demo("test://demo?duration=6&skew_ms=-70", roles)
    for reverse in (False, True):
        items.sort(key=lambda item: type(item).__name__, reverse=reverse)
        assert run(of(Played(roles, items))).skew.skew_ms == pytest.approx(-70, abs=1.5)


def test_loss_and_events_are_kept_without_their_secrets() -> None:
    told = event("video", "damaged", "http://me:secret@camera/x?token=abc sends damage.")
    survey = run(of(Played(["video"], [told], DeviceError("rtsp://me:secret@camera does not answer; try again."))))
    assert survey.losses == {"video": "rtsp://camera does not answer; try again."}
    assert survey.events[0].detail == "http://camera/x?token=… sends damage."


@pytest.mark.parametrize(
    ("error", "says"), [(ImportError("No module named 'av'"), "install"), (ZeroDivisionError("a fault"), "a fault")]
)
def test_fault_of_a_source_is_a_loss(error: Exception, says: str) -> None:
    survey = run(of(Played(["audio"], [], error)))
    assert says in survey.losses["audio"]


def test_source_that_says_nothing_is_not_waited_for_for_ever() -> None:
    class Mute(Played):
        def run(self, put: Any, stop: Any) -> None:
            stop.wait()

    clock = HandClock()
    with of(Mute(["audio"], []), clock) as survey:
        assert not survey.done(3)
        clock.s = 12.9
        assert not survey.done(3)
        clock.s = 13.0
        assert survey.done(3)


def test_parts_of_a_stream_share_its_time() -> None:
    survey = surveyed(sound(noise(1)), pictures(1))
    assert survey.roles == {"audio", "video"}
    assert survey.sound.samples == 16_000
    assert survey.pictures.frames == 25


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'rtsp://u:p@h:554/x' fails", "'rtsp://h:554/x' fails"),
        ("rtsp://u:p@ss/w@h/x", "rtsp://h/x"),
        ("http://h/x?user=me&password=p&a=1", "http://h/x?user=…&password=…&a=1"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
        ("'rtsp//u:p@h/x' is none", "'rtsp//h/x' is none"),
        ("'rtsp:/u:p@h/x' is none", "'rtsp:/h/x' is none"),
        ("rtspsrc user-id=me user-pw=p location=x", "rtspsrc user-id=… user-pw=… location=x"),
        ('password="two words" a=1', "password=… a=1"),
        ("write them as rtsp://user:password@….", "write them as rtsp://user:password@…."),
        ("no address at all", "no address at all"),
    ],
)
def test_secrets_are_taken_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
