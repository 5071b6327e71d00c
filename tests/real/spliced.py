"""Recordings with changing scenes that can be played live: pictures as JPEGs, sound as samples, and both as files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.sources.synthetic import RATE_HZ, Demo

FPS = 25
WIDTH_PX, HEIGHT_PX = 640, 360
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]


@dataclass(frozen=True)
class Material:
    """Pictures, 25 a second, and as much sound: float32 ``[n, 2]`` at 48 kHz."""

    jpegs: list[bytes]
    sound: NDArray[float32]

    def write_jpegs(self, folder: Path) -> Path:
        """Write the pictures, each different one once; the others are links."""
        folder.mkdir()
        written: dict[int, Path] = {}
        for number, jpeg in enumerate(self.jpegs):
            path = folder / f"{number:06}.jpg"
            if id(jpeg) in written:
                os.link(written[id(jpeg)], path)
            else:
                path.write_bytes(jpeg)
                written[id(jpeg)] = path
        return folder

    def write(self, path: Path, video_codec: str) -> Path:
        """Write a Matroska file with PCM sound; with the codec ``mjpeg`` it holds the very JPEGs."""
        with av.open(str(path), "w") as container:
            options = {"preset": "ultrafast", "g": "25", "bf": "0"} if video_codec == "libx264" else {}
            video = container.add_stream(video_codec, rate=FPS, options=options)
            video.height, video.width = _picture(self.jpegs[0]).shape[:2]
            video.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
            video.bit_rate = 3_000_000
            video.codec_context.thread_count = 1
            audio = container.add_stream("pcm_s16le", rate=RATE_HZ)
            audio.codec_context.layout = "stereo"
            for number, jpeg in enumerate(self.jpegs):
                for packet in self._picture_packets(video, number, jpeg):
                    container.mux(packet)
                container.mux(audio.encode(self._sound_frame(number)))
            for stream in (video, audio):
                if stream is audio or video_codec != "mjpeg":
                    container.mux(stream.encode(None))
        return path

    @staticmethod
    def _picture_packets(video: Any, number: int, jpeg: bytes) -> list[Any]:
        if video.codec_context.name == "mjpeg":
            packet = av.Packet(jpeg)
            packet.stream, packet.is_keyframe = video, True
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, FPS)
            return [packet]
        frame = av.VideoFrame.from_ndarray(_picture(jpeg), format="bgr24").reformat(format="yuv420p")
        frame.pts = number
        return list(video.encode(frame))

    def _sound_frame(self, number: int) -> av.AudioFrame:
        begin, end = (n * RATE_HZ // FPS for n in (number, number + 1))
        block = (np.clip(self.sound[begin:end], -1.0, 1.0) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE_HZ, begin
        return frame


def demonstration(seconds: float, skew_ms: float = 0.0) -> Material:
    """Return the built-in demonstration: a scene each six seconds."""
    demo = Demo(seconds, skew_ms)
    pictures = [np.ascontiguousarray(demo.image(n)[:, :, ::-1]) for n in range(demo.frame_count)]
    return Material([_jpeg(picture) for picture in pictures], demo.samples(0, demo.sample_count))


def real_scenes(data: Path, seconds: float, scene_s: float = 60.0) -> Material:
    """Return real clips, a scene each *scene_s*: traffic, a station, a park, a crossing, a motorway, and again."""
    clips, street = data / "clips", sorted((data / "tau" / "video").glob("street_traffic-*.mp4"))
    scenes = [
        street[0:30:5],
        [clips / "stockholm_metro_platform.mp4"],
        [clips / "park_mapillary_sample-5s.mp4"],
        [clips / "stockholm_pedestrian_crossing.mp4"],
        [clips / "motorway_traffic_25s.mp4"],
    ]
    known: dict[Path, Material] = {}
    jpegs: list[bytes] = []
    sounds: list[NDArray[float32]] = []
    for number in range(round(seconds / scene_s)):
        frames = round(scene_s * FPS)
        for path in _endless(scenes[number % len(scenes)]):
            clip = known.setdefault(path, known.get(path) or read_clip(path))
            taken = min(frames, len(clip.jpegs))
            jpegs += clip.jpegs[:taken]
            sounds.append(clip.sound[: taken * RATE_HZ // FPS])
            frames -= taken
            if not frames:
                break
    return Material(jpegs, np.concatenate(sounds))


def _endless(paths: list[Path]) -> Iterator[Path]:
    while True:
        yield from paths


def read_clip(path: Path) -> Material:
    """Return a clip's pictures at 25 a second, and its sound; as long as the shorter of both."""
    jpegs: list[bytes] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            bgr = frame.reformat(WIDTH_PX, HEIGHT_PX, "bgr24").to_ndarray()
            until = 1 + int((frame.time - (container.start_time or 0) / av.time_base) * FPS)
            if until > len(jpegs):
                jpegs += [_jpeg(bgr)] * (until - len(jpegs))
    blocks: list[NDArray[float32]] = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "stereo", RATE_HZ)
        for frame in [*container.decode(container.streams.audio[0]), None]:
            blocks += [part.to_ndarray().reshape(-1, 2).astype(float32) for part in resampler.resample(frame)]
    sound = np.concatenate(blocks)
    whole = min(len(jpegs), len(sound) * FPS // RATE_HZ)
    return Material(jpegs[:whole], sound[: whole * RATE_HZ // FPS])


def _jpeg(bgr: NDArray[uint8]) -> bytes:
    data: bytes = cv2.imencode(".jpg", bgr, QUALITY)[1].tobytes()
    return data


def _picture(jpeg: bytes) -> NDArray[uint8]:
    bgr: Any = cv2.imdecode(np.frombuffer(jpeg, uint8), cv2.IMREAD_COLOR)
    picture: NDArray[uint8] = bgr
    return picture
