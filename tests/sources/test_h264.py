from __future__ import annotations

import pytest

from edge_avsc.sources._h264 import is_reset, is_unreferenced, unit_length_bytes

RESET, REFERRED, UNREFERENCED, EXTRA, DELIMITER, PARAMETERS = (
    b"\x65a",
    b"\x41b",
    b"\x01c",
    b"\x06d",
    b"\x09\x10",
    b"\x67e",
)


def stated(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def parted(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def test_length_comes_from_the_configuration() -> None:
    assert unit_length_bytes(b"\x01\x64\x00\x1f\xff\xe1") == 4
    assert unit_length_bytes(b"\x01\x64\x00\x1f\xfd\xe1") == 2
    assert unit_length_bytes(b"\0\0\0\1\x67") == 0
    assert unit_length_bytes(b"\x01") == 0
    assert unit_length_bytes(None) == 0


@pytest.mark.parametrize(("packed", "length_bytes"), [(stated, 4), (parted, 0)])
def test_units_tell_what_a_frame_is_to_others(packed: object, length_bytes: int) -> None:
    def both(*units: bytes) -> tuple[bool, bool]:
        packet = packed(*units)  # type: ignore[operator]
        return is_reset(packet, length_bytes), is_unreferenced(packet, length_bytes)

    assert both(PARAMETERS, RESET) == (True, False)
    assert both(REFERRED) == (False, False)
    assert both(DELIMITER, EXTRA, UNREFERENCED, UNREFERENCED) == (False, True)
    # Two fields of one frame, and parameters that later frames need.
    assert both(REFERRED, UNREFERENCED) == (False, False)
    assert both(PARAMETERS, UNREFERENCED) == (False, False)
    assert both(EXTRA) == (False, False)


@pytest.mark.parametrize("length_bytes", [0, 4])
@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\0\1", b"\0\0\0\2\x01", b"\0\0\0\0\x01", b"nothing", stated(UNREFERENCED)[:-1]]
)
def test_what_is_damaged_is_needed(packet: bytes, length_bytes: int) -> None:
    assert not is_unreferenced(packet, length_bytes)
    assert not is_reset(packet, length_bytes)
