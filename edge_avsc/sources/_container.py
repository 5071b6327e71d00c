"""What an opened container says of its streams: zero, end, and which pictures are none of a video."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from typing import Any

from edge_avsc.types import NS_PER_MS, NS_PER_S, Role

# Containers whose header states the duration; others are estimated from the bit rate.
_STATES_DURATION = ("mov", "matroska", "wav", "avi", "flac", "ogg")
_STILL_CODECS = ("mjpeg", "png", "bmp", "gif", "webp")
# Matroska's writers state each track's duration in a tag.
_HOURS = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DEFAULT_RATE = 25
LONGEST_STEP_NS = 10 * NS_PER_S


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Return *ticks* of *time_base* seconds in nanoseconds, rounded."""
    return (2 * ticks * time_base.numerator * NS_PER_S + time_base.denominator) // (2 * time_base.denominator)


def is_cover(stream: Any) -> bool:
    """Say whether a stream is a picture attached to sound, not a video."""
    if stream.type != "video":
        return False
    disposition = getattr(stream, "disposition", None)
    if disposition is not None:
        return bool(disposition & type(disposition).attached_pic)
    codec = stream.codec_context
    return bool(codec and codec.name in _STILL_CODECS and not stream.average_rate)


def main_stream(container: Any, role: Role) -> Any:
    """Return the first stream of sound or of moving pictures, or None."""
    return next((stream for stream in container.streams if stream.type == role and not is_cover(stream)), None)


def lacks_pts(container: Any, stream: Any) -> bool:
    """Say whether a video's presentation times are FFmpeg's guesses, since the container holds none."""
    return bool(container.format.name == "avi") and stream.type == "video"


def rotation(stream: Any) -> int | None:
    """Return the degrees, counter-clockwise, by which older PyAV says that pictures must be turned."""
    side_data = getattr(stream, "side_data", None) or {}
    degrees = side_data.get("DISPLAYMATRIX")
    return None if degrees is None else round(degrees)


def zero_ns(container: Any) -> int:
    """Return the container's time that counts as 0: its earliest stamp where that is positive, as in MPEG-TS."""
    starts = [
        ticks_to_ns(stream.start_time, stream.time_base)
        for stream in container.streams
        if stream.type in ("audio", "video") and stream.start_time is not None and not is_cover(stream)
    ]
    return max(0, min(starts, default=0))


def step_ns(stream: Any) -> int:
    """Return the time from one frame to the next, where timestamps do not say."""
    return min(LONGEST_STEP_NS, max(NS_PER_MS, round(NS_PER_S / (stream.average_rate or _DEFAULT_RATE))))


def stated_end_ns(container: Any, stream: Any) -> int | None:
    """Return where the header says that a stream ends, counted from zero; None where it does not say."""
    name: str = container.format.name
    if not name.startswith(_STATES_DURATION) or not container.duration or container.duration < 0:
        return None
    total_ns = int(container.duration) * 1000
    tag = _HOURS.fullmatch(stream.metadata.get("DURATION", ""))
    if stream.duration is not None:
        start_ns = ticks_to_ns(stream.start_time or 0, stream.time_base) - zero_ns(container)
        return min(total_ns, start_ns + ticks_to_ns(stream.duration, stream.time_base))
    if tag:
        hours, minutes, seconds = tag.groups()
        return (int(hours) * 60 + int(minutes)) * 60 * NS_PER_S + round(float(seconds) * NS_PER_S) - zero_ns(container)
    return total_ns if len(container.streams) == 1 else None


def padding_begins_ns(container: Any, stated_ns: int | None) -> int | None:
    """Return where an MP4's last frame of sound turns into padding; other containers say it to the decoder itself."""
    return stated_ns if container.format.name.startswith("mov") else None


def is_cut_riff(path: str) -> bool:
    """Say whether a WAV or AVI is shorter than its first header says; FFmpeg believes the file's length instead."""
    with open(path, "rb") as file:
        head = file.read(8)
    stated = int.from_bytes(head[4:8], "little")
    # Streaming writers leave the largest numbers, or none, where they do not know the size.
    return head[:4] == b"RIFF" and 0 < stated < 0x7FFF0000 and stated > os.path.getsize(path)
