"""An ear: PortAudio in a process of its own, which tells through a pipe what one device hears.

PortAudio hangs with a sound server that hangs, and can abort the process that it is in when one comes or goes
(PortAudio's issue 278). This process can be ended in each case, and its end is a loss like any other. It makes a new
list of devices, too, which PortAudio itself does only once.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_avsc.clock import Clock, MonotonicClock
from edge_avsc.errors import DeviceError
from edge_avsc.sources import _portaudio
from edge_avsc.sources._ear_messages import Answer, Block, Failed, Message, Started, write
from edge_avsc.sources._microphone_uri import Input, MicrophoneUri, find, parse

# Blocks of 10 ms in a buffer of 40: a larger one makes ALSA wake every 20 ms.
BLOCKS_PER_S = 100
LATENCY_S = 0.03
BLOCKS = 100
"""So many may wait to be told."""

GRACE_S = 1.0
"""So long it may take to close its device once nobody listens, who may have been killed."""

# PortAudio's ALSA says 44100 wherever that is offered; nearly all devices, and the sound servers, run at 48000.
_PREFERRED_HZ = 48_000
_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
# No microphone has more; plug-ins that convert offer any number, and two of them say it all.
_MOST_CHANNELS = 8
_INVALID_CHANNELS, _INVALID_RATE, _UNAVAILABLE = -9998, -9997, -9985


class Ear:
    """Opens a device, and tells what it hears.

    sound: the module sounddevice. tell: takes messages; it may wait, as long as it takes, since PortAudio's callback
    does not: what finds no room counts as an overflow. leave: set when nobody listens any more. root: the folder that
    holds /proc, /sys and /dev.
    """

    def __init__(
        self,
        uri: MicrophoneUri,
        sound: Any,
        tell: Callable[[Message], None],
        leave: threading.Event,
        *,
        clock: Clock | None = None,
        root: Path = Path("/"),
    ) -> None:
        self._uri, self._sound, self._tell, self._leave = uri, sound, tell, leave
        self._clock = clock or MonotonicClock()
        self._root = root
        self._name = f"The microphone '{uri.text}'"
        self._heard: queue.SimpleQueue[Block] = queue.SimpleQueue()
        self._lost = False

    def hear(self) -> None:
        """Tell what the device hears until *leave* is set, or it ends, which is told; DeviceError if it cannot open."""
        try:
            self._hear()
        except self._sound.PortAudioError as error:
            why = _portaudio.reason(error)
            raise DeviceError(f"PortAudio fails: {why}; check the device, or start the sound server.") from error

    def _hear(self) -> None:
        sound, ended = self._sound, threading.Event()
        known = _portaudio.inputs(sound)
        device = find(self._uri, known, lambda: _portaudio.default_input(sound), self._root)
        stream = self._open(device, ended)
        try:
            stream.start()
            self._tell(Started())
            while not self._leave.is_set():
                try:
                    self._tell(self._heard.get(timeout=0.05))
                except queue.Empty:
                    if ended.is_set() or not stream.active:
                        # Told before it is closed, which may hang.
                        self._tell(Failed(f"{self._name} is gone; check its cable, or whether the sound server runs."))
                        return
        finally:
            stream.abort()
            stream.close()

    def _open(self, device: Input, ended: threading.Event) -> Any:
        channels = self._uri.channels or (device.channels if device.channels <= _MOST_CHANNELS else 2)
        rates = [self._uri.rate_hz or device.rate_hz]
        if not self._uri.rate_hz and device.host_api == "ALSA":
            rates.insert(0, _PREFERRED_HZ)
        while True:
            rate_hz = rates.pop(0)
            try:
                return self._sound.RawInputStream(
                    device=device.index,
                    channels=channels,
                    samplerate=rate_hz,
                    blocksize=rate_hz // BLOCKS_PER_S,
                    latency=LATENCY_S,
                    dtype="float32",
                    callback=self._callback(rate_hz, channels),
                    finished_callback=ended.set,
                )
            except self._sound.PortAudioError as error:
                if _portaudio.code(error) != _INVALID_RATE or not rates:
                    raise self._refusal(error, device, rate_hz, channels) from error

    def _callback(self, rate_hz: int, channels: int) -> Callable[[Any, int, Any, Any], None]:
        def take(samples: Any, count: int, times: Any, status: Any) -> None:
            now_ns = self._clock.now_ns()
            adc_s, current_s = times.inputBufferAdcTime, times.currentTime
            overflow = self._lost or bool(status.input_overflow)
            self._lost = self._heard.qsize() >= BLOCKS
            if not self._lost:
                self._heard.put(Block(rate_hz, channels, overflow, now_ns, adc_s, current_s, bytes(samples)))

        return take

    def _refusal(self, error: Exception, device: Input, rate_hz: int, channels: int) -> DeviceError:
        number = _portaudio.code(error)
        if number == _INVALID_CHANNELS or channels > device.channels:
            return DeviceError(f"{self._name} has no {channels} channels; it has {device.channels}.")
        if number == _INVALID_RATE:
            offered = [str(rate) for rate in _RATES_HZ if _portaudio.offers(self._sound, device, rate, channels)]
            known = ", ".join(offered) or "none that are usual"
            return DeviceError(f"{self._name} does not offer {rate_hz} samples a second; it offers {known}.")
        if number == _UNAVAILABLE:
            return DeviceError(f"{self._name} is busy; close the program that holds it, or write 'default'.")
        why = _portaudio.reason(error)
        return DeviceError(f"{self._name} cannot be opened ({why}); check that it is plugged in and may be used.")


def main() -> None:
    """Be the process: do what the arguments say, ``hear URI``, ``list`` or ``version``, and tell it on stdout.

    It ends when its stdin does.
    """
    # Ctrl-C and a service's stop reach all processes; whoever is heard for then ends this one, in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints must not come between messages.
    leave = threading.Event()
    threading.Thread(target=_end_with_stdin, args=(leave,), daemon=True).start()
    try:
        _do(sys.argv[1:], lambda message: write(message, out), leave)
    finally:
        # At exit sounddevice would close everything again, and a callback may wait for a pipe that nobody reads.
        os._exit(0)


def _do(words: list[str], tell: Callable[[Message], None], leave: threading.Event) -> None:
    try:
        sound = _portaudio.load()
        if words[0] == "hear":
            Ear(parse(words[1]), sound, tell, leave).hear()
        elif words[0] == "list":
            tell(Answer(_portaudio.listed(sound, Path("/"))))
        else:
            tell(Answer(_portaudio.version(sound)))
    except DeviceError as error:
        tell(Failed(str(error)))
    except Exception as error:
        tell(Failed(f"PortAudio cannot be used ({type(error).__name__}: {error}); please report it."))


def _end_with_stdin(leave: threading.Event) -> None:
    while os.read(0, 1):
        pass
    leave.set()
    threading.Event().wait(GRACE_S)
    os._exit(0)
