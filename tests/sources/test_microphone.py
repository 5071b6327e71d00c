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

from edge_avsc.errors import ConfigError, DeviceError
from edge_avsc.sources import _portaudio
from edge_avsc.sources._capture import HOPELESS, Capture, Stamper, Watchdog
from edge_avsc.sources._microphone_uri import parse
from edge_avsc.sources.microphone import Microphone, microphones
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, SourceEvent

BLOCK = 480
BLOCK_NS = 10 * NS_PER_MS
BASE_S = 1.7e9  # PortAudio's time base on ALSA is that of the wall clock


class HandClock:
    def __init__(self, now_ns: int = 5 * NS_PER_S) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        return self.time_ns


class PortAudioError(Exception):
    pass


class FakeSound:
    """Stands for the module sounddevice; *script* is what a stream does when it starts."""

    PortAudioError = PortAudioError

    def __init__(self, *names: str, script: Callable[[FakeStream], None] = lambda stream: None) -> None:
        self.names = list(names)
        self._listed = list(names)  # PortAudio's list is as old as its start
        self.script = script
        self.rates = [44_100, 48_000]
        self.channels = 2
        self.open_error: Exception | None = None
        self.log: list[str] = []
        self.ready = threading.Event()
        self.hang = threading.Event()
        self.hang.set()
        self._initialized = 1

    def _initialize(self) -> None:
        self.log.append("initialize")
        self._initialized += 1
        self._listed = list(self.names)

    def _terminate(self) -> None:
        self.log.append("terminate")
        self._initialized -= 1

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
            for index, name in enumerate(self._listed)
        ]
        if kind is None:
            return devices
        if not devices:
            raise PortAudioError("Error querying device -1")
        return devices[-1]

    def check_input_settings(self, samplerate: int, **_: Any) -> None:
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate", -9997)

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802  # sounddevice's own name
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
        self.sound.ready.set()
        return True

    def abort(self) -> None:
        self.sound.hang.wait(10)
        self.sound.log.append("abort")

    def close(self) -> None:
        self.sound.log.append("close")

    def block(self, overflow: bool = False) -> None:
        samples = np.zeros((self.settings["blocksize"], self.settings["channels"]), np.float32)
        self._now_s += 0.01
        self.settings["callback"](samples, len(samples), times(self._now_s, self._now_s - 0.01), status(overflow))


def three_blocks(stream: FakeStream) -> None:
    for _ in range(3):
        stream.block()


def two_overflows(stream: FakeStream) -> None:
    for _ in range(2):
        stream.block(overflow=True)


class Polls(threading.Event):
    """The event that stops a run: each look at it moves the clock, and after *count* looks it is set."""

    def __init__(self, sound: FakeSound, clock: HandClock, count: int = 1, step_ns: int = 0) -> None:
        super().__init__()
        sound.ready.clear()
        self._sound, self._clock, self._count, self._step_ns = sound, clock, count, step_ns

    def wait(self, timeout: float | None = None) -> bool:
        assert self._sound.ready.wait(10)
        self._clock.time_ns += self._step_ns
        if self._count == 0:
            self.set()
        self._count -= 1
        return self.is_set()


class Starting(threading.Event):
    """Like an event that nobody sets, whose looks take no time; the run must end by itself."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(0.001)


def times(current_s: float, adc_s: float) -> SimpleNamespace:
    return SimpleNamespace(currentTime=current_s, inputBufferAdcTime=adc_s)


def status(overflow: bool = False) -> SimpleNamespace:
    return SimpleNamespace(input_overflow=overflow)


def run_fails(sound: FakeSound, uri: str = "default", root: Path = Path("/nowhere")) -> str:
    microphone = Microphone(uri, clock=HandClock(), sound=sound, root=root)
    with pytest.raises(DeviceError) as caught:
        microphone.run(lambda item: None, Starting())
    return str(caught.value)


# --- stamps


def test_stamp_is_the_adc_time_on_our_clock() -> None:
    stamper = Stamper(48_000)
    stamps = [stamper.stamp(n * BLOCK_NS, BASE_S + n * 0.01 - 0.015, BASE_S + n * 0.01, BLOCK) for n in range(1, 50)]
    assert stamps == pytest.approx([n * BLOCK_NS - 15 * NS_PER_MS for n in range(1, 50)], abs=1_000)


def test_wait_for_the_interpreter_does_not_reach_the_stamp() -> None:
    stamper = Stamper(48_000)
    waits_ns = [0, 3_000_000, 0, 30_000_000, 7_000_000, 12_000_000, 100_000]
    for n, wait_ns in enumerate(waits_ns, 1):
        stamp = stamper.stamp(n * BLOCK_NS + wait_ns, BASE_S + n * 0.01 - 0.01, BASE_S + n * 0.01, BLOCK)
        assert stamp == pytest.approx((n - 1) * BLOCK_NS, abs=50_000)


@pytest.mark.parametrize(
    "adc_s",
    [
        pytest.param(lambda n, now: 0.0, id="0"),
        pytest.param(lambda n, now: BASE_S, id="sticks"),
        pytest.param(lambda n, now: now + 0.5, id="future"),
        pytest.param(lambda n, now: now - 60.0, id="long ago"),
        pytest.param(lambda n, now: math.nan, id="no number"),
    ],
)
def test_nonsense_falls_back_to_arrival_less_block(adc_s: Callable[[int, float], float]) -> None:
    stamper = Stamper(48_000)
    stamper.stamp(0, adc_s(0, BASE_S), BASE_S, BLOCK)
    for n in range(1, HOPELESS + 5):
        now_s = BASE_S + n * 0.01
        assert stamper.stamp(n * BLOCK_NS, adc_s(n, now_s), now_s, BLOCK) == pytest.approx(
            (n - 1) * BLOCK_NS, abs=1_000
        )
    assert stamper.hopeless


@pytest.mark.parametrize("current_s", [0.0, math.nan, -1.0])
def test_a_callback_without_any_time_falls_back_to_our_clock(current_s: float) -> None:
    stamper = Stamper(48_000)
    assert [stamper.stamp(n * BLOCK_NS, 0.0, current_s, BLOCK) for n in range(1, 5)] == [
        0,
        BLOCK_NS,
        2 * BLOCK_NS,
        3 * BLOCK_NS,
    ]


def test_one_bad_time_is_no_verdict() -> None:
    stamper = Stamper(48_000)
    for n in range(1, 100):
        adc_s = 0.0 if n % 5 == 0 else BASE_S + n * 0.01 - 0.02
        stamper.stamp(n * BLOCK_NS, adc_s, BASE_S + n * 0.01, BLOCK)
    assert not stamper.hopeless


@pytest.mark.parametrize("step_s", [-30.0, -0.2, 0.2, 30.0])
def test_a_step_of_the_wall_clock_is_over_soon(step_s: float) -> None:
    stamper = Stamper(48_000)
    errors_ns = []
    for n in range(1, 300):
        now_s = BASE_S + n * 0.01 + (step_s if n > 100 else 0.0)
        errors_ns.append(stamper.stamp(n * BLOCK_NS, now_s - 0.01, now_s, BLOCK) - (n - 1) * BLOCK_NS)
    assert max(map(abs, errors_ns[:100])) <= 1_000
    assert max(map(abs, errors_ns[101:])) <= 1_000
    assert not stamper.hopeless


@pytest.mark.parametrize("ppm", [-500, 500])
def test_follows_a_time_base_that_is_slewed(ppm: int) -> None:
    stamper = Stamper(48_000)
    for n in range(1, 10_000):
        now_s = BASE_S + n * 0.01 * (1 + ppm * 1e-6)
        error_ns = stamper.stamp(n * BLOCK_NS, now_s - 0.01, now_s, BLOCK) - (n - 1) * BLOCK_NS
        assert abs(error_ns) < 20_000


# --- what the callback delivers


class Heard:
    """A Capture fed by hand."""

    def __init__(self, adc: bool = True) -> None:
        self.items: list[Item] = []
        self.clock = HandClock()
        self.closed = threading.Event()
        self.capture = Capture(48_000, self.clock, self.items.append, self.closed)
        self._adc = adc

    def block(self, after_ms: float = 10.0, overflow: bool = False, value: float = 0.5) -> None:
        self.clock.time_ns += round(after_ms * NS_PER_MS)
        now_s = BASE_S + self.clock.time_ns / NS_PER_S
        samples = np.full((BLOCK, 2), value, np.float32)
        self.capture(samples, BLOCK, times(now_s, now_s - 0.01 if self._adc else 0.0), status(overflow))
        samples[:] = math.nan  # PortAudio's memory is not ours after the callback

    @property
    def chunks(self) -> list[AudioChunk]:
        return [item for item in self.items if isinstance(item, AudioChunk)]


def test_chunks_are_copies_that_follow_one_another() -> None:
    heard = Heard()
    for _ in range(5):
        heard.block()
    assert [chunk.index for chunk in heard.chunks] == [0, 480, 960, 1440, 1920]
    assert all(chunk.samples.shape == (BLOCK, 2) and np.all(chunk.samples == 0.5) for chunk in heard.chunks)
    assert heard.capture.blocks == 5


@pytest.mark.parametrize("adc", [True, False])
@pytest.mark.parametrize("lost_ms", [3.0, 10.0, 77.0, 1500.0])
def test_overflow_is_a_gap_as_long_as_the_time_that_passed(lost_ms: float, adc: bool) -> None:
    heard = Heard(adc)
    for _ in range(300):
        heard.block()
    heard.block(10.0 + lost_ms, overflow=True)
    heard.block()
    before, flagged, after = heard.chunks[-3:]
    assert flagged.index - before.index - BLOCK == pytest.approx(48 * lost_ms, abs=1)
    assert after.index == flagged.index + BLOCK
    assert heard.capture.overflows == 1


def test_overflow_that_no_time_measures_is_a_gap_of_a_block() -> None:
    heard = Heard()
    for _ in range(100):
        heard.block()
    heard.block(overflow=True)
    assert heard.chunks[-1].index - heard.chunks[-2].index == 2 * BLOCK


def test_overflow_before_anything_was_heard_is_no_gap() -> None:
    heard = Heard()
    heard.block(overflow=True)
    heard.block()
    assert [chunk.index for chunk in heard.chunks] == [0, BLOCK]
    assert heard.capture.overflows == 1


def test_flagged_once_where_the_device_knows_no_times() -> None:
    heard = Heard(adc=False)
    for _ in range(50):
        heard.block()
    events = [item for item in heard.items if isinstance(item, SourceEvent)]
    assert [(event.source, event.event) for event in events] == [("audio", "clock")]
    assert len(heard.chunks) == 50


def test_first_error_is_kept_and_nothing_follows() -> None:
    calls = []

    def put(item: Item) -> None:
        calls.append(item)
        raise RuntimeError("no room")

    capture = Capture(48_000, HandClock(), put, threading.Event())
    for n in range(3):
        capture(np.zeros((BLOCK, 1), np.float32), BLOCK, times(BASE_S + n, BASE_S + n - 0.01), status())
    assert len(calls) == 1
    assert str(capture.error) == "no room"


def test_closed_capture_delivers_nothing() -> None:
    heard = Heard()
    heard.closed.set()
    heard.block()
    assert heard.items == []


def test_an_interruption_is_a_gap_but_no_overflow() -> None:
    heard = Heard()
    for _ in range(100):
        heard.block()
    heard.capture.interrupted()
    heard.block(90.0)
    assert heard.chunks[-1].index - heard.chunks[-2].index == pytest.approx(90 * 48, abs=1)
    assert heard.capture.overflows == 0


# --- the watchdog


def test_silence_of_a_second_after_sound_is_a_stall() -> None:
    watchdog = Watchdog(0)
    assert not any(watchdog.stalled(n * 30 * NS_PER_MS, n) for n in range(1, 100))
    verdicts = [watchdog.stalled((99 + n) * 30 * NS_PER_MS, 99) for n in range(1, 60)]
    assert verdicts.index(True) == math.ceil(1000 / 30) - 1


def test_first_sound_may_take_longer() -> None:
    watchdog = Watchdog(0)
    verdicts = [watchdog.stalled(n * 100 * NS_PER_MS, 0) for n in range(1, 60)]
    assert verdicts.index(True) == 39


def test_a_sleep_of_the_machine_is_no_stall() -> None:
    watchdog = Watchdog(0)
    assert not watchdog.stalled(10 * NS_PER_MS, 1)
    assert not watchdog.stalled(3600 * NS_PER_S, 1)
    assert not watchdog.stalled(3601 * NS_PER_S, 2)


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
        Microphone(text, clock=HandClock())
    assert says in str(caught.value)


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
    clock = HandClock()
    Microphone(uri, clock=clock, sound=sound, root=cards).run(lambda item: None, Polls(sound, clock))
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
    assert says in run_fails(sound, uri, cards)


def test_waits_for_no_device_that_another_program_holds(cards: Path) -> None:
    (cards / "dev/snd").mkdir(parents=True)
    # Like a sound card's node that is in use, it lets nobody in before its time.
    os.mkfifo(cards / "dev/snd/pcmC3D0c")
    assert "is busy; close the program that holds it" in run_fails(FakeSound("default"), "alsa://hw:3,0", cards)


def test_no_device_at_all() -> None:
    assert run_fails(FakeSound()) == "There is no microphone; plug one in, or start the sound server."
    assert "nor any other; plug one in" in run_fails(FakeSound("speaker"), "USB Mic")


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


# --- opening and running


def test_delivers_until_stopped_and_closes() -> None:
    sound = FakeSound("default", script=three_blocks)
    clock, items = HandClock(), list[Item]()
    microphone = Microphone("default", clock=clock, sound=sound)
    for _ in range(2):
        items.clear()
        microphone.run(items.append, Polls(sound, clock))
        assert [item.index for item in items if isinstance(item, AudioChunk)] == [0, 480, 960]
    once = ["terminate", "initialize", "open 0 48000 2", "abort", "close", "terminate"]
    assert sound.log == once + once[1:]


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
    sound, clock = FakeSound("default"), HandClock()
    sound.rates, sound.channels = rates, channels
    Microphone(uri, clock=clock, sound=sound).run(lambda item: None, Polls(sound, clock))
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
    assert says in run_fails(sound, uri)
    assert sound.log[-1] == "terminate"


def test_end_of_the_stream_is_an_error() -> None:
    sound = FakeSound("default", script=lambda stream: stream.settings["finished_callback"]())
    assert "is gone; check its cable" in run_fails(sound)


def test_a_stream_that_falls_silent_is_an_error() -> None:
    sound, clock = FakeSound("default", script=FakeStream.block), HandClock()
    microphone = Microphone("default", clock=clock, sound=sound)
    polls = Polls(sound, clock, 1000, 100 * NS_PER_MS)
    began_ns = clock.time_ns
    with pytest.raises(DeviceError, match="delivers nothing any more"):
        microphone.run(lambda item: None, polls)
    assert NS_PER_S <= clock.time_ns - began_ns < 1.5 * NS_PER_S
    assert sound.log[-3:] == ["abort", "close", "terminate"]


def test_an_error_of_the_reader_comes_out_of_run() -> None:
    sound = FakeSound("default", script=FakeStream.block)

    def put(item: Item) -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        Microphone("default", clock=HandClock(), sound=sound).run(put, Starting())


def test_overflows_are_counted_over_all_runs() -> None:
    sound = FakeSound("default", script=two_overflows)
    clock = HandClock()
    microphone = Microphone("default", clock=clock, sound=sound)
    for _ in range(2):
        microphone.run(lambda item: None, Polls(sound, clock))
    assert microphone.overflows == 4


def test_a_hung_sound_server_holds_neither_the_run_nor_the_next_one() -> None:
    sound, clock = FakeSound("default"), HandClock()
    sound.hang.clear()
    microphone = Microphone("default", clock=clock, sound=sound)
    microphone.run(lambda item: None, Polls(sound, clock))
    with pytest.raises(DeviceError, match="still hangs in the sound server"):
        microphone.run(lambda item: None, Starting())
    sound.hang.set()
    microphone.run(lambda item: None, Polls(sound, clock))
    assert sound.log.count("close") == 2


def test_portaudio_starts_anew_only_when_nobody_uses_it() -> None:
    sound = FakeSound("default")
    root = Path("/nowhere")
    with _portaudio.in_use(sound, root):
        with _portaudio.in_use(sound, root):
            assert sound.log == ["terminate", "initialize"]
        assert sound.log == ["terminate", "initialize"]
    with _portaudio.in_use(sound, root):
        pass
    assert sound.log == ["terminate", "initialize", "terminate", "initialize", "terminate"]


class Until(threading.Event):
    """An event that is set once *holds* does."""

    def __init__(self, holds: Callable[[], object]) -> None:
        super().__init__()
        self._holds, self._looks = holds, 0

    def wait(self, timeout: float | None = None) -> bool:
        self._looks += 1
        assert self._looks < 5_000, "it never came to hold"
        if self._holds():
            self.set()
        return super().wait(0.001)


def test_a_new_sound_card_is_found_though_another_microphone_runs(cards: Path) -> None:
    sound, clock = FakeSound("default", script=three_blocks), HandClock()
    first, second = list[Item](), list[Item]()
    with _portaudio.in_use(sound, cards):
        pass  # as after any earlier run: the cards of now are known
    running = Microphone("default", clock=clock, sound=sound, root=cards)
    done = threading.Event()
    thread = threading.Thread(target=running.run, args=(first.append, Until(done.is_set)))
    thread.start()
    assert sound.ready.wait(10)
    (cards / "proc/asound/card7").mkdir()
    (cards / "proc/asound/card7/id").write_text("New\n")
    sound.names.append("New (hw:7,0)")
    late = Microphone("alsa://hw:7,0", clock=clock, sound=sound, root=cards)
    late.run(second.append, Until(lambda: len(second) == 3 and len(first) == 6))
    with pytest.raises(DeviceError):
        Microphone("alsa://hw:8,0", clock=clock, sound=sound, root=cards).run(second.append, Starting())
    done.set()
    thread.join(10)
    indices = [item.index for item in first if isinstance(item, AudioChunk)]
    assert indices == [0, 480, 960, 1920, 2400, 2880], "it was closed for a moment, which is a gap"
    assert sound.log.count("initialize") == 3


# --- what there is


def test_lists_what_to_paste(cards: Path) -> None:
    sound = FakeSound(
        "speaker", "USB Mic: Audio (hw:1,0)", "Array: A (hw:2,0)", "B: A (hw:3,0)", "HDA (hw:0,0)", "default"
    )
    listed = microphones(sound=sound, root=cards)
    assert [uri for uri, _ in listed] == [
        "usb-id:0d8c:0014",
        "alsa://hw:2,0",
        "alsa://hw:3,0",
        "alsa://hw:0,0",
        "default",
    ]
    assert listed[0][1] == "USB Mic: Audio (hw:1,0), ALSA, 2 channels, 44100 Hz"


def test_equal_names_are_told_apart_by_number() -> None:
    assert [uri for uri, _ in microphones(sound=FakeSound("Mic", "mic", "7"))] == ["0", "1", "2"]
