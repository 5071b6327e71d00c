"""How the machine itself is: its temperature, its power mode, and whether it slows itself down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_avsc.types import NS_PER_S

_RASPBERRY_BITS = {
    0: "too low a voltage",
    1: "a capped frequency",
    2: "throttling",
    3: "the soft limit of its temperature",
}
"""Of the firmware's get_throttled, what holds now; the bits from 16 on tell what held since the start."""

_SLOWS = re.compile(r"cpufreq|devfreq|throttl|^Processor$")
"""Cooling devices that cool by slowing down; a fan does not."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was read: the hottest zone, in degrees Celsius, the power mode of a Jetson, and what slows it down now."""

    temperature_c: float | None = None
    zone: str = ""
    power_mode: str | None = None
    slowed_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = ["no thermal zone" if self.temperature_c is None else f"{self.temperature_c:.0f} °C ({self.zone})"]
        if self.power_mode:
            said.append(f"power mode {self.power_mode}")
        said.append(f"slowed down by {', '.join(self.slowed_by)}" if self.slowed_by else "not slowed down")
        return ", ".join(said)


def read_machine(root: Path = Path("/")) -> Machine:
    """Read what Linux tells; what a machine does not have is left out. root: where ``sys`` and ``etc`` are."""
    zones = [
        (int(temperature) / 1000, _text(zone / "type"))
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
        # A zone that is switched off cannot be read, or tells of absolute zero.
        if (temperature := _text(zone / "temp")).lstrip("-").isdecimal() and int(temperature) > -100_000
    ]
    hottest = max(zones, default=None)
    return Machine(
        temperature_c=hottest[0] if hottest else None,
        zone=hottest[1] if hottest else "",
        power_mode=_power_mode(root),
        slowed_by=tuple(dict.fromkeys((*_raspberry(root), *_cooled(root)))),
    )


class MachineWatch:
    """Reads the machine every ten seconds, and tells when it begins and ends to slow itself down."""

    EVERY_NS = 10 * NS_PER_S

    def __init__(self, root: Path = Path("/")) -> None:
        self.machine = read_machine(root)
        self._root = root
        self._next_ns: int | None = None
        self._slow = False

    def check(self, now_ns: int) -> Iterator[tuple[str, str]]:
        """Yield, when it is time to look, an event and a sentence where something has changed."""
        if self._next_ns is not None and now_ns < self._next_ns:
            return
        self._next_ns = now_ns + self.EVERY_NS
        self.machine = read_machine(self._root)
        slow = bool(self.machine.slowed_by)
        if slow != self._slow:
            self._slow = slow
            yield "throttled" if slow else "recovered", f"The machine is now at {self.machine}."


def _power_mode(root: Path) -> str | None:
    """Return the name of a Jetson's power mode, e.g. ``MAXN``."""
    found = re.search(r"pmode:0*(\d+)", _text(root / "var/lib/nvpmodel/status"))
    if not found:
        return None
    modes = _text(root / "etc/nvpmodel.conf")
    named = re.search(rf"<\s*POWER_MODEL\s+ID={found[1]}\s+NAME=(\S+)\s*>", modes)
    return named[1] if named else found[1]


def _raspberry(root: Path) -> Iterator[str]:
    for firmware in (root / "sys/devices/platform").glob("soc*/soc*firmware/get_throttled"):
        try:
            bits = int(_text(firmware), 16)
        except ValueError:
            continue
        yield from (what for bit, what in _RASPBERRY_BITS.items() if bits >> bit & 1)
    for sensor in (root / "sys/class/hwmon").glob("hwmon*"):
        if _text(sensor / "name") == "rpi_volt" and _text(sensor / "in0_lcrit_alarm") == "1":
            yield _RASPBERRY_BITS[0]


def _cooled(root: Path) -> Iterator[str]:
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = _text(device / "type")
        state = _text(device / "cur_state")
        if _SLOWS.search(kind) and state.isdecimal() and int(state) > 0:
            yield f"{kind} (step {state})"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
