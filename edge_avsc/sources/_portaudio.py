"""The door to PortAudio: the library itself, and what its devices are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_avsc.errors import DeviceError
from edge_avsc.sources._microphone_uri import Input, card_and_device, usb_id


def load() -> Any:
    """Return the module sounddevice, with PortAudio started and its list of devices made, which it makes only once.

    Raises DeviceError, which says what to install, where it or PortAudio is missing, or that PortAudio does not start.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise DeviceError(
            "The Python package sounddevice is missing; install it with: pip install sounddevice"
        ) from error
    except OSError as error:
        raise DeviceError(
            "The PortAudio library is missing; install it, on Debian with: apt install libportaudio2 libasound2-plugins"
        ) from error
    except Exception as error:
        raise DeviceError(f"PortAudio does not start: {reason(error)}; start the sound server.") from error
    return sounddevice


def version(sound: Any) -> str:
    """Return which PortAudio serves, in its own words."""
    return str(sound.get_portaudio_version()[1])


def reason(error: Exception) -> str:
    """Return what PortAudio says of *error*, without a full stop."""
    return str(error.args[0] if error.args else error).rstrip(".")


def code(error: Exception) -> int | None:
    """Return PortAudio's number for *error*."""
    return error.args[1] if len(error.args) > 1 else None


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


def offers(sound: Any, device: Input, rate_hz: int, channels: int) -> bool:
    """Tell whether a device says that it has this rate, and so many channels."""
    try:
        sound.check_input_settings(device=device.index, channels=channels, dtype="float32", samplerate=rate_hz)
    except sound.PortAudioError:
        return False
    return True


def listed(sound: Any, root: Path) -> list[tuple[str, str]]:
    """Return what can hear: the URI to paste, and a description. *root*: the folder that holds /proc and /sys."""
    known = inputs(sound)
    return [(_uri_of(device, known, root), _description(device)) for device in known]


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
