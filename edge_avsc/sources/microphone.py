"""Live sound from any device that PortAudio can open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_avsc.clock import Clock
from edge_avsc.errors import DeviceError
from edge_avsc.sources import _portaudio
from edge_avsc.sources._capture import Capture, Watchdog
from edge_avsc.sources._microphone_uri import MicrophoneUri, card_and_device, find, parse, usb_id
from edge_avsc.sources._portaudio import Call, Input
from edge_avsc.types import NS_PER_S, Item, Role

# Blocks of 10 ms in a buffer of 40: a larger one makes ALSA wake every 20 ms, a smaller one leaves the callback, which
# waits for the interpreter like everybody, too little time.
BLOCKS_PER_S = 100
LATENCY_S = 0.03
POLL_S = 0.03
OPEN_S = 6.0
CLOSE_S = 0.1

# PortAudio's ALSA says 44100 wherever that is offered; nearly all devices, and the sound servers, run at 48000.
_PREFERRED_HZ = 48_000
_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
# No microphone has more; plug-ins that convert offer any number, and two of them say it all.
_MOST_CHANNELS = 8
_INVALID_CHANNELS, _INVALID_RATE, _UNAVAILABLE = -9998, -9997, -9985


class Microphone:
    """A device that hears.

    uri: ``default``, a device's name (or a part that only it has) or number as PortAudio has them, ``alsa://hw:1,0``,
    or ``usb-id:vendor:product[:serial]``; each with ``?rate=48000&channels=1`` where the device's own will not do.
    sound: what stands for the module sounddevice. root: the folder that holds /proc, /sys and /dev.
    overflows: how often the device lost samples because nobody took them, over all runs.

    Raises ConfigError for a malformed URI.
    """

    roles: frozenset[Role] = frozenset({"audio"})

    def __init__(self, uri: str, *, clock: Clock, sound: Any = None, root: Path = Path("/")) -> None:
        self.overflows = 0
        self._uri = parse(uri)
        self._clock = clock
        self._sound = sound
        self._root = root
        self._session: _Session | None = None

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Open the device and *put* what it hears, from PortAudio's thread, until *stop* is set.

        An AudioChunk's index begins at 0. It may be called again after an error. Raises DeviceError when the device
        cannot be opened, when it ends, or when it delivers nothing for a second; and whatever *put* raises.
        """
        if self._session is not None and not self._session.call.done(CLOSE_S):
            raise DeviceError(f"{self._name} still hangs in the sound server; start that again.")
        session = self._session = _Session(self._uri, self._clock, put, self._sound, self._root)
        try:
            self._watch(session, stop)
        finally:
            session.end(CLOSE_S)
            if session.capture is not None:
                self.overflows += session.capture.overflows

    @property
    def _name(self) -> str:
        return f"The microphone '{self._uri.text}'"

    def _watch(self, session: _Session, stop: threading.Event) -> None:
        opened_by_ns = self._clock.now_ns() + round(OPEN_S * NS_PER_S)
        watchdog: Watchdog | None = None
        while not stop.wait(POLL_S):
            now_ns, capture = self._clock.now_ns(), session.capture
            if capture is not None and capture.error is not None:
                raise capture.error
            if session.call.error is not None:
                raise session.call.error
            if session.finished.is_set():
                raise DeviceError(f"{self._name} is gone; check its cable, or whether the sound server runs.")
            if not session.flowing.is_set():
                if now_ns > opened_by_ns:
                    raise DeviceError(f"{self._name} does not open: the sound server does not answer; start it again.")
                continue
            assert capture is not None  # it is there before anything flows
            watchdog = watchdog or Watchdog(now_ns)
            if watchdog.stalled(now_ns, capture.blocks):
                raise DeviceError(f"{self._name} delivers nothing any more; check the device, or the sound server.")


class _Session:
    """One opening of the device, from start to end in a thread of its own, since PortAudio can hang in all of it."""

    def __init__(self, uri: MicrophoneUri, clock: Clock, put: Callable[[Item], None], sound: Any, root: Path) -> None:
        self.capture: Capture | None = None
        self.flowing = threading.Event()
        self.finished = threading.Event()
        self._uri, self._clock, self._put, self._sound, self._root = uri, clock, put, sound, root
        self._leave = threading.Event()
        self.call = Call(self._run, f"microphone {uri.text}")

    def end(self, timeout_s: float) -> None:
        """Close the device; no longer than *timeout_s*, after which it closes as soon as PortAudio lets go of it."""
        self._leave.set()
        self.call.done(timeout_s)
        self.call.leave()

    def _run(self) -> None:
        sound = self._sound or _portaudio.load()
        try:
            self._hear(sound)
        except DeviceError:
            # The list that does not have it may be older than the device.
            if not _portaudio.renew(self._root):
                raise
            self._hear(sound)

    def _hear(self, sound: Any) -> None:
        while not self._leave.is_set() and not self.finished.is_set():
            with _portaudio.in_use(sound, self._root):
                if not self._leave.is_set():
                    self._hear_until_renewed(sound)

    def _hear_until_renewed(self, sound: Any) -> None:
        known = _portaudio.inputs(sound)
        device = find(self._uri, known, lambda: _portaudio.default_input(sound), self._root)
        ended = threading.Event()
        stream = self._open(sound, device, ended)
        try:
            stream.start()
            self.flowing.set()
            while stream.active and not ended.is_set() and not _portaudio.renewing():
                if self._leave.wait(0.05):
                    return
            if not _portaudio.renewing():
                self.finished.set()
        finally:
            stream.abort()
            stream.close()

    def _open(self, sound: Any, device: Input, ended: threading.Event) -> Any:
        channels = self._uri.channels or (device.channels if device.channels <= _MOST_CHANNELS else 2)
        rates = [self._uri.rate_hz or device.rate_hz]
        if not self._uri.rate_hz and device.host_api == "ALSA":
            rates.insert(0, _PREFERRED_HZ)
        while True:
            rate_hz = rates.pop(0)
            self._prepare(rate_hz)
            try:
                stream = sound.InputStream(
                    device=device.index,
                    channels=channels,
                    samplerate=rate_hz,
                    blocksize=rate_hz // BLOCKS_PER_S,
                    latency=LATENCY_S,
                    dtype="float32",
                    callback=self.capture,
                    finished_callback=ended.set,
                )
            except sound.PortAudioError as error:
                if _code(error) != _INVALID_RATE or not rates:
                    raise self._refusal(sound, error, device, rate_hz, channels) from error
            else:
                return stream

    def _prepare(self, rate_hz: int) -> None:
        if self.capture is not None and self.capture.rate_hz == rate_hz:
            self.capture.interrupted()
        else:
            self.capture = Capture(rate_hz, self._clock, self._put, self._leave)

    def _refusal(self, sound: Any, error: Exception, device: Input, rate_hz: int, channels: int) -> DeviceError:
        name = f"The microphone '{self._uri.text}'"
        if _code(error) == _INVALID_CHANNELS or channels > device.channels:
            return DeviceError(f"{name} has no {channels} channels; it has {device.channels}.")
        if _code(error) == _INVALID_RATE:
            offered = [str(rate) for rate in _RATES_HZ if _offers(sound, device, rate, channels)]
            known = ", ".join(offered) or "none that are usual"
            return DeviceError(f"{name} does not offer {rate_hz} samples a second; it offers {known}.")
        if _code(error) == _UNAVAILABLE:
            return DeviceError(f"{name} is busy; close the program that holds it, or write 'default'.")
        why = _portaudio.reason(error)
        return DeviceError(f"{name} cannot be opened ({why}); check that it is plugged in and may be used.")


def microphones(*, sound: Any = None, root: Path = Path("/")) -> list[tuple[str, str]]:
    """Return what can hear: the URI to paste, and a description; DeviceError when PortAudio is missing or hangs."""

    def listed() -> list[tuple[str, str]]:
        used = sound or _portaudio.load()
        with _portaudio.in_use(used, root):
            known = _portaudio.inputs(used)
        return [(_uri_of(device, known, root), _description(device)) for device in known]

    return _portaudio.bounded(listed, OPEN_S)


def portaudio_version() -> str:
    """Return which PortAudio serves, in its own words; DeviceError when it is missing or hangs."""
    return _portaudio.bounded(lambda: str(_portaudio.load().get_portaudio_version()[1]), OPEN_S)


def _uri_of(device: Input, known: list[Input], root: Path) -> str:
    place = card_and_device(device.name)
    if place is not None and device.host_api == "ALSA":
        ids = [usb_id(card, root) for card in {c[0] for c in map(card_and_device, (d.name for d in known)) if c}]
        mine = usb_id(place[0], root)
        # A USB device keeps its id wherever it is plugged in; ALSA's number changes with the order of plugging.
        return (
            f"usb-id:{mine}" if mine and ids.count(mine) == 1 and place[1] == 0 else f"alsa://hw:{place[0]},{place[1]}"
        )
    alone = sum(device.name.casefold() == other.name.casefold() for other in known) == 1
    return device.name if alone and not device.name.isdecimal() else str(device.index)


def _description(device: Input) -> str:
    channels = f"{device.channels} channel" + "s" * (device.channels != 1)
    return f"{device.name}, {device.host_api}, {channels}, {device.rate_hz} Hz"


def _offers(sound: Any, device: Input, rate_hz: int, channels: int) -> bool:
    try:
        sound.check_input_settings(device=device.index, channels=channels, dtype="float32", samplerate=rate_hz)
    except sound.PortAudioError:
        return False
    return True


def _code(error: Exception) -> int | None:
    return error.args[1] if len(error.args) > 1 else None
