"""How a microphone is written in a configuration, and which device that is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from edge_avsc.errors import ConfigError, DeviceError, nearest

_LIMITS = {"rate": (1_000, 768_000), "channels": (1, 64)}
_CARD = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)(?:,(?:DEV=)?(\d+))?")


@dataclass(frozen=True, slots=True)
class Input:
    """A device that PortAudio can record from."""

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int


@dataclass(frozen=True, slots=True)
class MicrophoneUri:
    """A microphone as written: *kind* says how to understand *name*; rate_hz and channels are 0 where not given."""

    text: str
    kind: Literal["default", "index", "alsa", "usb", "name"]
    name: str
    rate_hz: int = 0
    channels: int = 0


def parse(text: str) -> MicrophoneUri:
    """Return what *text* says; ConfigError when it is malformed."""
    place, settings = _split(text)
    rate_hz, channels = settings.get("rate", 0), settings.get("channels", 0)
    scheme, found, rest = place.partition("://")
    if found and scheme != "alsa":
        raise ConfigError(f"'{text}' is no microphone; it may begin with alsa://.{nearest(scheme, ['alsa'])}")
    if found:
        if not rest or ("hw:" in rest and not _CARD.fullmatch(rest)):
            raise ConfigError(f"'{text}' names no ALSA device; write it like alsa://hw:1,0.")
        return MicrophoneUri(text, "alsa", rest, rate_hz, channels)
    if place.startswith("usb-id:"):
        name = place.removeprefix("usb-id:")
        if not re.fullmatch(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}(:.+)?", name):
            raise ConfigError(f"'{text}' names no USB device; write it like usb-id:0d8c:0014, as lsusb prints it.")
        return MicrophoneUri(text, "usb", name, rate_hz, channels)
    if not place.strip():
        raise ConfigError("The microphone has no name; write 'default', or what 'edge-avsc devices' prints.")
    if place.isdecimal():
        return MicrophoneUri(text, "index", place, rate_hz, channels)
    return MicrophoneUri(text, "default" if place == "default" else "name", place, rate_hz, channels)


def find(uri: MicrophoneUri, inputs: Sequence[Input], default: Callable[[], Input | None], root: Path) -> Input:
    """Return the device that *uri* means; DeviceError when there is none, or more than one. *root*: of /sys, /proc."""
    if uri.kind == "default":
        found = default()
        if found is None:
            raise DeviceError("There is no microphone; plug one in, or start the sound server.")
        return found
    if uri.kind == "usb":
        return _by_card(uri, f"{_card_of_usb(uri, root)}", 0, inputs, root)
    if uri.kind == "alsa" and (match := _CARD.fullmatch(uri.name)):
        return _by_card(uri, match[1], int(match[2] or 0), inputs, root)
    if uri.kind == "index":
        matches = [device for device in inputs if device.index == int(uri.name)]
    else:
        matches = _by_name(uri.name, [d for d in inputs if uri.kind == "name" or d.host_api == "ALSA"])
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"{device.index} ({device.name}, {device.host_api})" for device in matches)
        raise DeviceError(f"'{uri.name}' fits more than one microphone; write the number of one: {names}.")
    raise _unknown(uri, inputs)


def card_and_device(name: str) -> tuple[int, int] | None:
    """Return ALSA's numbers out of PortAudio's name for one of its devices, such as ``USB Audio (hw:1,0)``."""
    match = re.search(r"\(hw:(\d+),(\d+)\)$", name)
    return (int(match[1]), int(match[2])) if match else None


def usb_id(card: int, root: Path) -> str | None:
    """Return ``vendor:product`` of the ALSA card *card*, or None where it is no USB device."""
    try:
        return (root / f"proc/asound/card{card}/usbid").read_text(encoding="ascii").strip().lower()
    except OSError:
        return None


def _split(text: str) -> tuple[str, dict[str, int]]:
    place, mark, query = text.rpartition("?")
    if not mark or "=" not in query:
        return text, {}
    settings: dict[str, int] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _LIMITS:
            known = " and ".join(_LIMITS)
            raise ConfigError(f"'{key}' is no parameter of a microphone; it has {known}.{nearest(key, _LIMITS)}")
        low, high = _LIMITS[key]
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigError(f"'{text}': {key} is '{value}'; it must be a whole number from {low} to {high}.")
        settings[key] = int(value)
    return place, settings


def _by_name(name: str, inputs: Sequence[Input]) -> list[Input]:
    wanted = name.casefold()
    exact = [device for device in inputs if device.name.casefold() == wanted]
    return exact or [device for device in inputs if wanted in device.name.casefold()]


def _card_of_usb(uri: MicrophoneUri, root: Path) -> int:
    ids, _, serial = uri.name.partition(":")[2].partition(":")
    wanted = f"{uri.name.partition(':')[0]}:{ids}".lower()
    cards = [int(path.name.removeprefix("card")) for path in (root / "proc/asound").glob("card[0-9]*")]
    matches = [card for card in sorted(cards) if usb_id(card, root) == wanted]
    if serial:
        matches = [card for card in matches if _serial(card, root) == serial]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DeviceError(
            f"{len(matches)} devices are {uri.text}; add the serial number, or write alsa://hw:{matches[0]}."
        )
    seen = ", ".join(sorted({known for card in cards if (known := usb_id(card, root))})) or "none"
    raise DeviceError(f"No sound card is {uri.text} (on USB now: {seen}); plug it in, or write another.")


def _serial(card: int, root: Path) -> str | None:
    try:
        # The card's device is an interface; the device that has a serial number is its parent.
        return (root / f"sys/class/sound/card{card}/device").resolve().parent.joinpath("serial").read_text().strip()
    except OSError:
        return None


def _by_card(uri: MicrophoneUri, card: str, device: int, inputs: Sequence[Input], root: Path) -> Input:
    number = card if card.isdecimal() else _number_of(card, root)
    for candidate in inputs:
        if number is not None and card_and_device(candidate.name) == (int(number), device):
            return candidate
    capture = root / f"proc/asound/card{number}/pcm{device}c"
    if not capture.is_dir():
        raise _unknown(uri, inputs)
    node = root / f"dev/snd/pcmC{number}D{device}c"
    # Opening it would tell, too, but that waits for as long as another program holds the device.
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        raise DeviceError(
            f"The microphone '{uri.text}' may not be used ({node}: permission denied); add the user to the group audio."
        )
    raise DeviceError(f"The microphone '{uri.text}' is busy; close the program that holds it, or write 'default'.")


def _number_of(card_id: str, root: Path) -> str | None:
    try:
        return str((root / "proc/asound" / card_id).resolve(strict=True).name.removeprefix("card"))
    except OSError:
        return None


def _unknown(uri: MicrophoneUri, inputs: Sequence[Input]) -> DeviceError:
    if not inputs:
        return DeviceError(
            f"There is no microphone '{uri.text}', nor any other; plug one in, or start the sound server."
        )
    # What stands before the colon is the name that people know; it is enough where only one device has it.
    near = nearest(uri.name, ["default", *(device.name.partition(":")[0] for device in inputs)])
    return DeviceError(f"There is no microphone '{uri.text}'; 'edge-avsc devices' lists what there is.{near}")
