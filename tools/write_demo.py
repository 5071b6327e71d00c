"""Write the built-in demonstration (``test://demo``) to a file, with a known lag of its beeps behind its flashes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

from edge_avsc.arguments import count, positive, seed
from edge_avsc.sources.synthetic import RATE_HZ, Demo

CODECS: dict[str, tuple[str | None, str]] = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "flac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".wav": (None, "pcm_s16le"),
    ".flac": (None, "flac"),
    ".mp3": (None, "libmp3lame"),
    ".ogg": (None, "libopus"),
    ".opus": (None, "libopus"),
}
"""Picture and sound codec for each suffix."""

FAST: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
"""What makes an encoder quick, where it is slow by itself."""


def write_demo(path: Path, demo: Demo, video_codec: str | None = None, audio_codec: str | None = None) -> None:
    """Write *demo* to *path*, whose suffix chooses the container and, unless named, the codecs."""
    video_default, audio_default = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        video = _add_video(container, video_codec or video_default, demo) if video_default else None
        audio = container.add_stream(audio_codec or audio_default, rate=RATE_HZ)
        audio.codec_context.layout = "stereo"
        written = 0
        for number in range(demo.frame_count):
            if video:
                frame = av.VideoFrame.from_ndarray(demo.image(number), format="rgb24")
                frame.pts = number
                container.mux(video.encode(frame.reformat(format="yuv420p")))
            until = demo.sample_count * (number + 1) // demo.frame_count
            container.mux(audio.encode(_sound(demo, written, until - written)))
            written = until
        for stream in (video, audio):
            if stream:
                container.mux(stream.encode(None))


def _add_video(container: Any, codec: str, demo: Demo) -> Any:
    stream = container.add_stream(codec, rate=demo.frames_per_s, options=FAST.get(codec, {}))
    height, width = demo.image(0).shape[:2]
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.bit_rate = 1_000_000
    stream.codec_context.thread_count = 1
    return stream


def _sound(demo: Demo, start: int, count: int) -> Any:
    samples = demo.samples(start, count)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
    frame.sample_rate = RATE_HZ
    frame.pts = start
    return frame


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help=f"the file to write: {', '.join(CODECS)}")
    parser.add_argument("--skew-ms", type=float, default=0.0, help="sound time minus picture time (default 0)")
    parser.add_argument("--duration", type=positive, default=24.0, metavar="S", help="seconds (default 24)")
    parser.add_argument("--fps", type=count, default=25, help="pictures a second (default 25)")
    parser.add_argument("--seed", type=seed, default=1, help="of all that is random in it (default 1)")
    parser.add_argument("--video-codec", help="an encoder of FFmpeg instead of the suffix's own")
    parser.add_argument("--audio-codec", help="likewise for the sound")
    chosen = parser.parse_args(arguments)
    if chosen.out.suffix not in CODECS:
        parser.error(f"{chosen.out} has no known suffix; use one of {', '.join(CODECS)}.")
    if not chosen.out.parent.is_dir():
        parser.error(f"There is no folder {chosen.out.parent}; make it, or name another file.")
    demo = Demo(chosen.duration, chosen.skew_ms, chosen.seed, chosen.fps)
    write_demo(chosen.out, demo, chosen.video_codec, chosen.audio_codec)
    return 0


if __name__ == "__main__":
    sys.exit(main())
