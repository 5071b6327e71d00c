"""PortAudio, one for the whole process: when it may start anew, who hangs in it, and what its devices are called."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_avsc.errors import DeviceError

_T = TypeVar("_T")

# PortAudio's list of devices is made once, by Pa_Initialize, and Pa_Terminate ends all streams of the process. So it
# starts anew for every stream that opens while no other one is open. Otherwise the list of the first one serves: its
# entries are opened by name, so a cable that comes back to the same place is found all the same. Only for a sound card
# that is new do all streams close for a moment (renew), and the first that opens again makes the new list.
_STATE = threading.Condition()
_users = 0
_renewing = 0
_cards: frozenset[str] = frozenset()

_STDERR = threading.Lock()
_stderr: int | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """A device that PortAudio can record from."""

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int


def load() -> Any:
    """Return the module sounddevice; DeviceError, which says what to install, where it or PortAudio is missing."""
    try:
        with _stderr_kept():
            import sounddevice
    except ImportError as error:
        raise DeviceError(
            "The Python package sounddevice is missing; install it with: pip install sounddevice"
        ) from error
    except OSError as error:
        raise DeviceError(
            "The PortAudio library is missing; install it, on Debian with: apt install libportaudio2 libasound2-plugins"
        ) from error
    # At exit it would wait for ever for streams whose sound server hangs. What opens a stream here closes it here.
    atexit.unregister(getattr(sounddevice, "_exit_handler", load))
    return sounddevice


@contextmanager
def in_use(sound: Any, root: Path) -> Iterator[None]:
    """Keep PortAudio running; started anew, with a fresh list of devices, unless somebody else uses it already."""
    global _users, _cards
    with _STATE:
        _STATE.wait_for(lambda: not _renewing)
        if _users == 0:
            _cards = cards(root)
            _start(sound)
        _users += 1
    try:
        yield
    except sound.PortAudioError as error:
        raise DeviceError(f"PortAudio fails: {reason(error)}; check the device, or start the sound server.") from error
    finally:
        with _STATE:
            _users -= 1
            if _users == 0:
                sound._terminate()
            _STATE.notify_all()


def renew(root: Path, timeout_s: float = 0.5) -> bool:
    """Have all streams close and open again, where a sound card has come since the list was made.

    The caller must not use PortAudio itself. Tell whether a new list can be had now.
    """
    global _renewing, _cards
    with _STATE:
        now = cards(root)
        if now == _cards:
            return False
        # Asked for once only: what does not help now would disturb the others at every attempt.
        _cards = now
        _renewing += 1
        try:
            return _STATE.wait_for(lambda: _users == 0, timeout_s)
        finally:
            _renewing -= 1
            _STATE.notify_all()


def renewing() -> bool:
    """Tell whether whoever has a stream open should close it for a moment."""
    return _renewing > 0


def cards(root: Path) -> frozenset[str]:
    """Return what tells ALSA's present sound cards from those of another time; empty on other systems."""
    found = set()
    for folder in (root / "proc/asound").glob("card[0-9]*"):
        with contextlib.suppress(OSError):
            found.add(f"{folder.name} {(folder / 'id').read_text(encoding='utf-8').strip()}")
    return frozenset(found)


def unmute() -> None:
    """Give the process its stderr back, which sounddevice takes away for as long as PortAudio starts."""
    with _STDERR:
        if _stderr is not None:
            os.dup2(_stderr, 2)


def reason(error: Exception) -> str:
    """Return what PortAudio says of *error*, without a full stop."""
    return str(error.args[0] if error.args else error).rstrip(".")


def inputs(sound: Any) -> list[Input]:
    """Return the devices that have inputs."""
    apis = [api["name"] for api in sound.query_hostapis()]
    return [
        Input(d["index"], d["name"], apis[d["hostapi"]], d["max_input_channels"], round(d["default_samplerate"]))
        for d in sound.query_devices()
        if d["max_input_channels"] > 0
    ]


def default_input(sound: Any) -> Input | None:
    """Return the device that the system records from by default."""
    try:
        index = sound.query_devices(kind="input")["index"]
    except (sound.PortAudioError, ValueError):
        return None
    return next((device for device in inputs(sound) if device.index == index), None)


class Call:
    """A call into PortAudio in a thread of its own, since a sound server that hangs holds it for up to forever."""

    def __init__(self, body: Callable[[], object], name: str) -> None:
        self.error: BaseException | None = None
        self._body = body
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def done(self, timeout_s: float = 0.0) -> bool:
        """Tell whether it has returned; wait up to *timeout_s* for it."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def leave(self) -> None:
        """Take in that nobody waits for it any more."""
        if not self.done():
            unmute()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as error:
            self.error = error


def bounded(body: Callable[[], _T], timeout_s: float) -> _T:
    """Return what *body* returns; DeviceError when the sound server keeps it longer than *timeout_s*."""
    results: list[_T] = []
    call = Call(lambda: results.append(body()), "portaudio")
    if not call.done(timeout_s):
        call.leave()
        raise DeviceError("The sound server does not answer; start it again.")
    if call.error is not None:
        raise call.error
    return results[0]


def _start(sound: Any) -> None:
    try:
        while getattr(sound, "_initialized", 0):
            sound._terminate()
        with _stderr_kept():
            sound._initialize()
    except sound.PortAudioError as error:
        raise DeviceError(f"PortAudio does not start: {reason(error)}; start the sound server.") from error


@contextmanager
def _stderr_kept() -> Iterator[None]:
    global _stderr
    try:
        copy = os.dup(2)
    except OSError:  # a process without a stderr
        yield
        return
    with _STDERR:
        _stderr = copy
    try:
        yield
    finally:
        with _STDERR:
            _stderr = None
            os.close(copy)
