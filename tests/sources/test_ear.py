from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_avsc.errors import DeviceError
from edge_avsc.sources._ear import BLOCKS, Ear
from edge_avsc.sources._ear_messages import Block, Failed, Message, Started
from edge_avsc.sources._microphone_uri import parse
from edge_avsc.sources._portaudio import listed
from sources.live import START_NS, SetClock

NOWHERE = Path("/nowhere")
BASE_S = 1.7e9  # PortAudio's time base on ALSA is that of the wall clock


class PortAudioError(Exception):
    pass


class FakeSound:
    """Stands for the module sounddevice; *script* is what a stream does when it starts."""

    PortAudioError = PortAudioError

    def __init__(self, *names: str, script: Callable[[FakeStream], None] = lambda stream: None) -> None:
        self.names = names
        self.script = script
        self.rates = [44_100, 48_000]
        self.channels = 2
        self.open_error: Exception | None = None
        self.log: list[str] = []
        self.active = True

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def query_devices(self, kind: str | None = None) -> Any:
        devices = [
            {
                "index": index,
                "name": name,
                "hostapi": 0,
                "max_input_channels": 0 if name == "speaker" else self.channels,
                "default_samplerate": 44_100.0,
            }
            for index, name in enumerate(self.names)
        ]
        if kind is None:
            return devices
        if not devices:
            raise PortAudioError("Error querying device -1")
        return devices[-1]

    def check_input_settings(self, samplerate: int, **_: Any) -> None:
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate", -9997)

    def RawInputStream(self, **settings: Any) -> FakeStream:  # noqa: N802  # sounddevice's own name
        self.log.append(f"open {settings['device']} {settings['samplerate']} {settings['channels']}")
        if self.open_error is not None:
            raise self.open_error
        if settings["channels"] > self.channels:
            raise PortAudioError("Invalid number of channels", -9998)
        self.check_input_settings(settings["samplerate"])
        return FakeStream(self, settings)


class FakeStream:
    def __init__(self, sound: FakeSound, settings: dict[str, Any]) -> None:
        self.sound, self.settings = sound, settings
        self._now_s = BASE_S

    def start(self) -> None:
        self.sound.script(self)

    @property
    def active(self) -> bool:
        return self.sound.active

    def abort(self) -> None:
        self.sound.log.append("abort")

    def close(self) -> None:
        self.sound.log.append("close")

    def block(self, overflow: bool = False) -> None:
        samples = np.full((self.settings["blocksize"], self.settings["channels"]), 0.5, np.float32)
        self._now_s += 0.01
        times = SimpleNamespace(currentTime=self._now_s, inputBufferAdcTime=self._now_s - 0.015)
        status = SimpleNamespace(input_overflow=int(overflow))
        self.settings["callback"](samples.data, len(samples), times, status)
        samples[:] = math.nan  # PortAudio's memory is not ours after the callback


def three_blocks(stream: FakeStream) -> None:
    for number in range(3):
        stream.block(overflow=number == 1)
    stream.sound.active = False


def heard(sound: FakeSound, uri: str = "default", root: Path = NOWHERE, *, leave: bool = True) -> list[Message]:
    """Return what is told while the device is open for a moment; without *leave*, until it ends by itself."""
    told: list[Message] = []
    left = threading.Event()
    if leave:
        left.set()
    Ear(parse(uri), sound, told.append, left, clock=SetClock(), root=root).hear()
    return told


def refused(sound: FakeSound, uri: str = "default", root: Path = NOWHERE) -> str:
    with pytest.raises(DeviceError) as caught:
        heard(sound, uri, root)
    return str(caught.value)


# --- which device that is


@pytest.mark.parametrize(
    ("uri", "index"),
    [
        ("default", 4),
        ("1", 1),
        ("usb mic: audio (hw:1,0)", 1),
        ("USB Mic", 1),
        ("Array", 2),
        ("pulse", 3),
        ("alsa://pulse", 3),
        ("alsa://hw:1", 1),
        ("alsa://plughw:2,1", 2),
        ("alsa://hw:CARD=Mic,DEV=0", 1),
        ("usb-id:0d8c:0014", 1),
        ("usb-id:0D8C:0014:A1", 1),
    ],
)
def test_finds_the_device(uri: str, index: int, cards: Path) -> None:
    sound = FakeSound("speaker", "USB Mic: Audio (hw:1,0)", "Array: Audio (hw:2,1)", "pulse", "default")
    heard(sound, uri, cards)
    assert f"open {index} 48000 2" in sound.log


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("USB Mik", "Did you mean 'USB Mic"),
        ("defualt", "Did you mean 'default'"),
        ("hw:", "fits more than one microphone; write the number of one: 1 (USB Mic: Audio (hw:1,0), ALSA), 2 ("),
        ("17", "There is no microphone '17'; 'edge-avsc devices' lists"),
        ("speaker", "There is no microphone 'speaker'"),
        ("alsa://hw:5,0", "There is no microphone 'alsa://hw:5,0'"),
        ("alsa://hw:3,0", "is busy; close the program that holds it"),
        ("usb-id:1234:5678", "on USB now: 0d8c:0014, 2752:0016"),
        ("usb-id:2752:0016", "2 devices are usb-id:2752:0016; add the serial number, or write alsa://hw:2"),
        ("usb-id:0d8c:0014:B2", "No sound card is usb-id:0d8c:0014:B2"),
    ],
)
def test_says_why_there_is_no_such_device(uri: str, says: str, cards: Path) -> None:
    sound = FakeSound("speaker", "USB Mic: Audio (hw:1,0)", "Array: Audio (hw:2,1)", "default")
    assert says in refused(sound, uri, cards)


def test_waits_for_no_device_that_another_program_holds(cards: Path) -> None:
    (cards / "dev/snd").mkdir(parents=True)
    # Like a sound card's node that is in use, it lets nobody in before its time.
    os.mkfifo(cards / "dev/snd/pcmC3D0c")
    assert "is busy; close the program that holds it" in refused(FakeSound("default"), "alsa://hw:3,0", cards)


def test_no_device_at_all() -> None:
    assert refused(FakeSound()) == "There is no microphone; plug one in, or start the sound server."
    assert "nor any other; plug one in" in refused(FakeSound("speaker"), "USB Mic")


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """A machine with a USB microphone, two equal arrays, and a card that another program holds."""
    for card, (ids, name) in enumerate(
        [(None, "PCH"), ("0d8c:0014", "Mic"), ("2752:0016", "Array"), ("2752:0016", "B")]
    ):
        folder = tmp_path / f"proc/asound/card{card}"
        (folder / "pcm0c").mkdir(parents=True)
        (folder.parent / name).symlink_to(folder.name)
        (folder / "id").write_text(name + "\n")
        if ids is not None:
            (folder / "usbid").write_text(ids + "\n")
    usb = tmp_path / "sys/devices/usb1/1-2"
    (usb / "1-2:1.0").mkdir(parents=True)
    (usb / "serial").write_text("A1\n")
    (tmp_path / "sys/class/sound/card1").mkdir(parents=True)
    (tmp_path / "sys/class/sound/card1/device").symlink_to(usb / "1-2:1.0")
    return tmp_path


# --- opening and hearing


def test_tells_blocks_with_their_times_and_closes() -> None:
    sound = FakeSound("default", script=three_blocks)
    told = heard(sound, leave=False)
    blocks = [message for message in told if isinstance(message, Block)]
    assert [block.overflow for block in blocks] == [False, True, False]
    assert blocks[0].samples == np.full(960, 0.5, np.float32).tobytes()
    assert (blocks[0].rate_hz, blocks[0].channels, blocks[0].now_ns) == (48_000, 2, START_NS)
    assert blocks[0].current_s - blocks[0].adc_s == pytest.approx(0.015, abs=1e-6)
    assert told[0] == Started()
    assert sound.log == ["open 0 48000 2", "abort", "close"]


@pytest.mark.parametrize(
    ("uri", "rates", "channels", "opened"),
    [
        ("default", [44_100], 2, "open 0 44100 2"),
        ("default?rate=44100", [44_100, 48_000], 2, "open 0 44100 2"),
        ("default?channels=1", [48_000], 2, "open 0 48000 1"),
        ("default", [48_000], 6, "open 0 48000 6"),
        ("default", [48_000], 32, "open 0 48000 2"),
        ("default?channels=32", [48_000], 32, "open 0 48000 32"),
    ],
)
def test_rate_and_channels(uri: str, rates: list[int], channels: int, opened: str) -> None:
    sound = FakeSound("default")
    sound.rates, sound.channels = rates, channels
    heard(sound, uri)
    assert opened in sound.log


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("default?rate=22050", None, "does not offer 22050 samples a second; it offers 44100, 48000."),
        ("default?channels=5", None, "has no 5 channels; it has 2."),
        ("default", PortAudioError("Device unavailable", -9985), "is busy; close the program that holds it"),
        (
            "default",
            PortAudioError("Unanticipated host error", -9999),
            "cannot be opened (Unanticipated host error); check",
        ),
        ("default", PortAudioError("odd."), "cannot be opened (odd); check"),
    ],
)
def test_says_why_it_does_not_open(uri: str, error: Exception | None, says: str) -> None:
    sound = FakeSound("default")
    sound.open_error = error
    assert says in refused(sound, uri)


def test_what_nobody_takes_for_long_counts_as_an_overflow() -> None:
    streams, told = list[FakeStream](), list[Message]()

    def more_than_it_holds(stream: FakeStream) -> None:
        streams.append(stream)
        for _ in range(BLOCKS + 2):
            stream.block()

    def tell(message: Message) -> None:
        told.append(message)
        if len(told) == 2:
            streams[0].block()
            sound.active = False

    sound = FakeSound("default", script=more_than_it_holds)
    Ear(parse("default"), sound, tell, threading.Event(), clock=SetClock(), root=NOWHERE).hear()
    overflows = [message.overflow for message in told if isinstance(message, Block)]
    assert overflows == [False] * BLOCKS + [True]


def test_a_stream_without_an_end_that_is_told_has_ended_too() -> None:
    sound = FakeSound("default")
    sound.active = False
    assert "is gone; check its cable" in str(heard(sound, leave=False)[-1])


def test_end_of_the_stream_is_told_before_it_is_closed() -> None:
    sound = FakeSound("default", script=lambda stream: stream.settings["finished_callback"]())
    told = heard(sound, leave=False)
    assert isinstance(told[-1], Failed)
    assert "is gone; check its cable" in told[-1].why
    assert sound.log[-2:] == ["abort", "close"]


def test_what_fails_later_is_one_sentence() -> None:
    def fails(stream: FakeStream) -> None:
        raise PortAudioError("Error starting stream: Wait timed out", -9987)

    said = refused(FakeSound("default", script=fails))
    assert said == (
        "PortAudio fails: Error starting stream: Wait timed out; check the device, or start the sound server."
    )


# --- what there is


def test_lists_what_to_paste(cards: Path) -> None:
    sound = FakeSound(
        "speaker", "USB Mic: Audio (hw:1,0)", "Array: A (hw:2,0)", "B: A (hw:3,0)", "HDA (hw:0,0)", "default"
    )
    found = listed(sound, cards)
    assert [uri for uri, _ in found] == [
        "usb-id:0d8c:0014",
        "alsa://hw:2,0",
        "alsa://hw:3,0",
        "alsa://hw:0,0",
        "default",
    ]
    assert found[0][1] == "USB Mic: Audio (hw:1,0), ALSA, 2 channels, 44100 Hz"


def test_equal_names_are_told_apart_by_number() -> None:
    assert [uri for uri, _ in listed(FakeSound("Mic", "mic", "7"), NOWHERE)] == ["0", "1", "2"]
