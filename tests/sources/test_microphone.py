from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from edge_avsc.errors import ConfigError, DeviceError
from edge_avsc.sources._ear_messages import Answer, Block, Failed, Message, Started, read, write
from edge_avsc.sources._ear_process import ask
from edge_avsc.sources._microphone_uri import parse
from edge_avsc.sources.microphone import Microphone
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item
from sources.live import SetClock


def ear(*scene: str) -> list[str]:
    """Return a program that plays a scene of scripted_ear.py."""
    return [sys.executable, str(Path(__file__).with_name("scripted_ear.py")), *scene]


def microphone(*scene: str, clock: SetClock | None = None) -> Microphone:
    return Microphone("default", clock=clock or SetClock(), ear=ear(*scene))


class Until(threading.Event):
    """An event that is set once *holds* does; *then* is called at each look after that, instead."""

    def __init__(self, holds: Callable[[], object], then: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._holds, self._then, self._looks = holds, then, 0

    def wait(self, timeout: float | None = None) -> bool:
        self._looks += 1
        assert self._looks < 60_000, "it never came to hold"
        if self._holds() and self._then:
            self._then()
        elif self._holds():
            self.set()
        return super().wait(0.001)


def never() -> Until:
    """Return an event that nobody sets; the run must end by itself."""
    return Until(lambda: False)


def loss(source: Microphone, items: list[Item] | None = None) -> str:
    """Return the sentence with which a run ends by itself; *items* get what it delivered."""
    with pytest.raises(DeviceError) as caught:
        source.run((list[Item]() if items is None else items).append, never())
    return str(caught.value)


# --- how it is written


@pytest.mark.parametrize(
    ("text", "kind", "name", "rate_hz", "channels"),
    [
        ("default", "default", "default", 0, 0),
        ("3", "index", "3", 0, 0),
        ("USB PnP", "name", "USB PnP", 0, 0),
        ("What? A mic", "name", "What? A mic", 0, 0),
        ("alsa://hw:1,0?rate=16000&channels=1", "alsa", "hw:1,0", 16_000, 1),
        ("alsa://hw:CARD=Device,DEV=0", "alsa", "hw:CARD=Device,DEV=0", 0, 0),
        ("usb-id:0D8C:0014:7&3?rate=48000", "usb", "0D8C:0014:7&3", 48_000, 0),
        ("default?channels=2", "default", "default", 0, 2),
    ],
)
def test_uri(text: str, kind: str, name: str, rate_hz: int, channels: int) -> None:
    uri = parse(text)
    assert (uri.kind, uri.name, uri.rate_hz, uri.channels) == (kind, name, rate_hz, channels)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write 'default'"),
        ("alas://hw:1,0", "Did you mean 'alsa'"),
        ("v4l2:///dev/video0", "alsa://"),
        ("alsa://", "alsa://hw:1,0"),
        ("alsa://hw:", "alsa://hw:1,0"),
        ("alsa://hw:1,x", "alsa://hw:1,0"),
        ("usb-id:0d8c", "usb-id:0d8c:0014"),
        ("usb-id:zzzz:0014", "lsusb"),
        ("default?rte=8000", "Did you mean 'rate'"),
        ("default?rate=", "rate is ''; it must be a whole number from 1000 to 768000"),
        ("default?rate=48k", "rate is '48k'"),
        ("default?channels=0", "channels is '0'; it must be a whole number from 1 to 64"),
    ],
)
def test_malformed_uri(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Microphone(text, clock=SetClock())
    assert says in str(caught.value)


# --- what an ear tells


def test_messages_come_as_they_were_sent() -> None:
    pipe = BytesIO()
    sent: list[Message] = [
        Started(),
        Block(48_000, 2, True, 2**62, 1.7e9, 1.7e9 + 0.015, bytes(range(16))),
        Block(8_000, 1, False, -1, float("inf"), 0.0, b""),
        Answer([["default", "Gerät, ALSA"]]),
        Failed("Das Gerät fehlt."),
    ]
    for message in sent:
        write(message, pipe)
    whole = pipe.getvalue()
    assert list(read(BytesIO(whole))) == sent
    assert list(read(BytesIO(whole[:-1]))) == sent[:-1]
    assert list(read(BytesIO(whole[:3]))) == []


# --- hearing


def test_delivers_until_stopped_again_and_again() -> None:
    source, items = microphone("three blocks"), list[Item]()
    for _ in range(2):
        items.clear()
        source.run(items.append, Until(lambda: len(items) == 3))
        assert [item.index for item in items if isinstance(item, AudioChunk)] == [0, 480, 960]


def test_overflows_are_counted_over_all_runs() -> None:
    source, items = microphone("two overflows"), list[Item]()
    for count in (2, 4):
        source.run(items.append, Until(lambda count=count: len(items) == count))  # type: ignore[misc]
    assert source.overflows == 4


def test_what_the_ear_says_of_its_failure_is_the_error() -> None:
    assert loss(microphone("refuses")) == "There is no microphone; plug one in."


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        ("aborts at once", "PortAudio crashed (SIGABRT); check the device, or the sound server."),
        ("is cut off", "PortAudio crashed (code 3); check the device, or the sound server."),
    ],
)
def test_the_end_of_the_process_is_a_loss(scene: str, said: str) -> None:
    assert loss(microphone(scene)) == f"The microphone 'default' is lost: {said}"


def test_what_came_before_the_end_of_the_process_is_not_lost() -> None:
    items = list[Item]()
    assert "PortAudio crashed (SIGABRT)" in loss(microphone("aborts after three blocks"), items)
    assert [item.index for item in items if isinstance(item, AudioChunk)] == [0, 480, 960]


def test_a_stream_that_falls_silent_is_an_error() -> None:
    clock, items = SetClock(), list[Item]()

    def step() -> None:
        clock.time_ns += 100 * NS_PER_MS

    began_ns = clock.time_ns
    with pytest.raises(DeviceError, match="delivers nothing any more"):
        microphone("three blocks", clock=clock).run(items.append, Until(lambda: len(items) == 3, step))
    assert NS_PER_S <= clock.time_ns - began_ns < 1.5 * NS_PER_S


def test_an_ear_that_hangs_is_ended_and_holds_nobody() -> None:
    clock = SetClock()
    source = microphone("hangs", clock=clock)

    def step() -> None:
        clock.time_ns += 100 * NS_PER_MS

    for _ in range(2):
        with pytest.raises(DeviceError, match="does not open: the sound server does not answer; start it again"):
            source.run(lambda item: None, Until(lambda: True, step))


def test_no_second_ear_while_the_first_hangs_even_when_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source, items = microphone("leaves a child behind", str(fifo)), list[Item]()
    source.run(items.append, Until(lambda: len(items) == 3))
    assert "still hangs in its driver" in loss(source)
    fifo.write_text("go\n")
    assert back(source) == 3
    assert len(items) == 3
    fifo.write_text("go\n")


def back(source: Microphone) -> int:
    """Return how many chunks the first run delivers that is not refused."""
    items = list[Item]()
    for _ in range(600):
        with contextlib.suppress(DeviceError):
            source.run(items.append, Until(lambda: len(items) == 3))
            break
    return len(items)


def test_an_error_of_the_reader_comes_out_of_run() -> None:
    def put(item: Item) -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        microphone("three blocks").run(put, never())


def test_an_ear_that_cannot_be_started_is_a_loss() -> None:
    source = Microphone("default", clock=SetClock(), ear=["/nowhere/python"])
    assert "cannot be started (No such file or directory)" in loss(source)


def test_two_open_one_after_the_other() -> None:
    first, second = list[Item](), list[Item]()
    opened = threading.Event()

    def put(item: Item) -> None:
        first.append(item)
        opened.set()

    done = threading.Event()
    thread = threading.Thread(target=microphone("three blocks").run, args=(put, Until(done.is_set)))
    thread.start()
    assert opened.wait(60)
    microphone("three blocks").run(second.append, Until(lambda: len(second) == 3))
    done.set()
    thread.join(60)
    assert len(first) == len(second) == 3


# --- asking


def test_answers() -> None:
    assert ask(ear("answers")) == [["default", "a microphone"]]


@pytest.mark.parametrize(
    ("scene", "said"),
    [("refuses", "There is no microphone"), ("aborts at once", "PortAudio has crashed (SIGABRT); start the sound")],
)
def test_says_why_there_is_no_answer(scene: str, said: str) -> None:
    with pytest.raises(DeviceError) as caught:
        ask(ear(scene))
    assert said in str(caught.value)
