"""Small recordings, written on the spot: formats, sizes, stamps and damages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy import float32, uint8
from numpy.typing import NDArray

CODECS: dict[str, tuple[str | None, str | None]] = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "flac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".ts": ("libx264", "aac"),
    ".m4a": (None, "aac"),
    ".wav": (None, "pcm_s16le"),
    ".flac": (None, "flac"),
    ".mp3": (None, "libmp3lame"),
    ".ogg": (None, "libopus"),
    ".opus": (None, "libopus"),
}
"""Picture and sound codec for each suffix."""

_FAST_VPX = {"deadline": "realtime", "cpu-used": "8"}
_ENCODER_OPTIONS = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": _FAST_VPX,
    "libvpx-vp9": _FAST_VPX,
}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class Sound:
    """The sound of a recording: *samples* float32 ``[n, channels]`` where given, else a quiet tone."""

    rate_hz: int = 48_000
    channels: int = 2
    codec: str | None = None
    samples: NDArray[float32] | None = None

    def all_samples(self, seconds: float) -> NDArray[float32]:
        if self.samples is not None:
            return self.samples
        time_s = np.arange(round(seconds * self.rate_hz)) / self.rate_hz
        tones = [np.sin(2 * np.pi * 220 * (c + 1) * time_s) for c in range(self.channels)]
        return (0.25 * np.stack(tones, axis=1)).astype(float32)


@dataclass(frozen=True)
class Pictures:
    """The pictures of a recording: a grey that rises from frame to frame, or what *draw* returns for a frame.

    options: to the encoder, over those that make it quick.
    """

    width: int = 64
    height: int = 48
    fps: int = 25
    codec: str | None = None
    pixel_format: str = "yuv420p"
    b_frames: bool = False
    draw: Callable[[int], NDArray[uint8]] | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def image(self, frame: int) -> NDArray[uint8]:
        if self.draw is not None:
            return self.draw(frame)
        return np.full((self.height, self.width, 3), 40 + frame % 150, uint8)


def write_recording(
    path: Path,
    seconds: float = 1.0,
    *,
    sound: Sound | None = Sound(),
    pictures: Pictures | None = Pictures(),
    stamp: Callable[[float], float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a recording; *stamp* turns the true time of a packet, in seconds, into the one that it carries."""
    video_codec, audio_codec = CODECS[path.suffix]
    if video_codec is None:
        pictures = None
    with av.open(str(path), "w", options=options or {}) as container:
        video = _video_stream(container, pictures, pictures.codec or str(video_codec)) if pictures else None
        audio = _audio_stream(container, sound, sound.codec or str(audio_codec)) if sound else None
        samples = sound.all_samples(seconds) if sound else np.zeros((0, 1), float32)
        steps = round(seconds * (pictures.fps if pictures else 25))
        for step in range(steps):
            if video and pictures:
                _mux(container, video.encode(_picture_frame(pictures, step)), stamp)
            begin, end = len(samples) * step // steps, len(samples) * (step + 1) // steps
            if audio and sound and begin < end:
                _mux(container, audio.encode(_sound_frame(samples[begin:end], begin, sound)), stamp)
        for stream in (video, audio):
            if stream:
                _mux(container, stream.encode(None), stamp)
    return path


def needs_encoder(name: str) -> None:
    """Skip the test where FFmpeg's build has no such encoder."""
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # what PyAV says of an unknown codec
        pytest.skip(f"this build of PyAV has no encoder {name}")


def write_with_cover(path: Path, seconds: float = 1.0) -> Path:
    """Write an mp3 with a picture attached to it, as music has."""
    plain = write_recording(path.with_name("plain.mp3"), seconds, pictures=None)
    png = av.CodecContext.create("png", "w")
    png.width, png.height, png.pix_fmt, png.time_base = 32, 32, "rgb24", Fraction(1, 25)
    image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, uint8), format="rgb24")
    picture = b"".join(bytes(packet) for packet in [*png.encode(image), *png.encode(None)])
    frame = b"\0image/png\0\x03\0" + picture
    body = b"APIC" + struct.pack(">IH", len(frame), 0) + frame
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + body + plain.read_bytes())
    return path


def cut(path: Path, share: float) -> Path:
    """Leave only the first part of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def flip(path: Path, count: int, *, first: float = 0.3, seed: int = 1) -> Path:
    """Change *count* bytes at random, from the share *first* of the file on."""
    rng = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for at in rng.integers(int(first * len(content)), len(content), count).tolist():
        content[at] ^= int(rng.integers(1, 256))
    path.write_bytes(content)
    return path


def turn_mp4(path: Path, degrees: int) -> Path:
    """Say in an mp4's track header that the pictures are to be shown turned clockwise."""
    matrix = {
        90: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
        180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
        270: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    }[degrees]
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def move_back_mkv(path: Path, after_s: float, by_s: float) -> Path:
    """Let the timestamps of an mkv jump back; it must have been written with short clusters."""
    content = bytearray(path.read_bytes())
    at = content.find(b"\x1f\x43\xb6\x75")
    while at >= 0:
        stamp_at = content.index(b"\xe7", at + 4)
        length = content[stamp_at + 1] & 0x7F
        stamp = int.from_bytes(content[stamp_at + 2 : stamp_at + 2 + length], "big")
        if stamp >= after_s * 1000:
            moved = stamp - round(by_s * 1000)
            content[stamp_at + 2 : stamp_at + 2 + length] = moved.to_bytes(length, "big")
        at = content.find(b"\x1f\x43\xb6\x75", at + 4)
    path.write_bytes(content)
    return path


def _video_stream(container: Any, pictures: Pictures, codec: str) -> Any:
    options = {**_ENCODER_OPTIONS.get(codec, {}), **pictures.options}
    stream = container.add_stream(codec, rate=pictures.fps, options=options)
    if pictures.b_frames:
        stream.codec_context.max_b_frames = 2
    stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, pictures.pixel_format
    stream.codec_context.thread_count = 1
    return stream


def _audio_stream(container: Any, sound: Sound, codec: str) -> Any:
    stream = container.add_stream(codec, rate=sound.rate_hz)
    stream.codec_context.layout = _LAYOUTS[sound.channels]
    return stream


def _picture_frame(pictures: Pictures, number: int) -> Any:
    frame = av.VideoFrame.from_ndarray(pictures.image(number), format="rgb24")
    frame = frame.reformat(format=pictures.pixel_format)
    frame.pts = number
    return frame


def _sound_frame(samples: NDArray[float32], index: int, sound: Sound) -> Any:
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=_LAYOUTS[sound.channels])
    frame.sample_rate, frame.pts = sound.rate_hz, index
    return frame


def _mux(container: Any, packets: list[Any], stamp: Callable[[float], float] | None) -> None:
    for packet in packets:
        if stamp is not None and packet.pts is not None:
            true_s = float(packet.pts * packet.time_base)
            ticks = round((stamp(true_s) - true_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        container.mux(packet)
