"""The cameras that Linux knows, and what their USB plugs say; numbers of /dev/video change at every boot."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")
_QUERYCAP = 0x80685600
_CAPTURES = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, and the same with several planes


@dataclass(frozen=True, slots=True)
class Device:
    """A camera: its node, what it calls itself, and its USB identity (empty where it has none)."""

    path: str
    name: str
    vendor: str = ""
    product: str = ""
    serial: str = ""

    @property
    def usb_id(self) -> str:
        """The URI that stays the same at every boot, or an empty string."""
        if not self.vendor:
            return ""
        return f"usb-id:{self.vendor}:{self.product}" + (f":{self.serial}" if self.serial else "")


def devices(sysfs: Path = SYSFS, captures: Callable[[str], bool] | None = None) -> list[Device]:
    """Return all cameras in order of their numbers; *captures* tells whether a node gives pictures."""
    gives_pictures = captures or can_capture
    found = []
    for folder in sorted(sysfs.glob("video*"), key=lambda folder: int(re.sub(r"\D", "", folder.name) or 0)):
        path = f"/dev/{folder.name}"
        # A camera's second node carries metadata.
        if _read(folder / "index") in ("0", "") and gives_pictures(path):
            usb = _usb_folder(folder)
            identity = [_read(usb / name) for name in ("idVendor", "idProduct", "serial")] if usb else ["", "", ""]
            found.append(Device(path, _read(folder / "name") or folder.name, *identity))
    return found


def can_capture(path: str) -> bool:
    """Ask the driver of *path* whether it captures video; what cannot be asked now may well be a camera."""
    try:
        node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        answer = bytearray(104)
        fcntl.ioctl(node, _QUERYCAP, answer)
        return bool(int.from_bytes(answer[88:92], "little") & _CAPTURES)
    except OSError:
        return False
    finally:
        os.close(node)


def _usb_folder(folder: Path) -> Path | None:
    device = (folder / "device").resolve()
    return next((place for place in (device, *list(device.parents)[:2]) if (place / "idVendor").is_file()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
