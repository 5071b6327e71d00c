"""What an H.264 packet tells of its frame without being decoded."""

from __future__ import annotations

from collections.abc import Iterator

# Supplemental information, the delimiter before a frame, and filler: a decoder loses nothing with them.
_BESIDE_PICTURES = (6, 9, 12)
_START_CODE = b"\0\0\1"
_DAMAGED = 255


def unit_length_bytes(extradata: bytes | None) -> int:
    """Return how many bytes before each unit of a packet state its length; 0 where start codes part the units."""
    return (extradata[4] & 3) + 1 if extradata and len(extradata) > 4 and extradata[0] == 1 else 0


def is_reset(packet: bytes, length_bytes: int) -> bool:
    """Tell whether nothing after this packet refers to anything before it."""
    return any(header & 0x1F == 5 for header in _headers(packet, length_bytes))


def is_unreferenced(packet: bytes, length_bytes: int) -> bool:
    """Tell whether no other frame refers to this packet's, so that all others come out the same without it."""
    headers = list(_headers(packet, length_bytes))
    pictures = [header for header in headers if header & 0x1F not in _BESIDE_PICTURES]
    # Type 1 is a slice, and the two bits above it say whether others refer to its picture.
    return bool(pictures) and all(header & 0x7F == 1 for header in pictures)


def _headers(packet: bytes, length_bytes: int) -> Iterator[int]:
    """Yield the first byte of each unit; 255, which is no unit's, where the packet is damaged."""
    units = _stated(packet, length_bytes) if length_bytes else _parted(packet)
    for begin, end in units:
        whole = begin < end <= len(packet)
        yield packet[begin] if whole else _DAMAGED
        if not whole:
            return


def _stated(packet: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(packet):
        begin = at + length_bytes
        at = begin + int.from_bytes(packet[at:begin], "big")
        yield begin, at


def _parted(packet: bytes) -> Iterator[tuple[int, int]]:
    begin = packet.find(_START_CODE) + len(_START_CODE)
    while begin >= len(_START_CODE):
        found = packet.find(_START_CODE, begin)
        yield begin, found if found >= 0 else len(packet)
        begin = found + len(_START_CODE)
