"""Write a dataset in TAU layout out of the scenes of test://demo: to try an evaluation, or to time it.

Its places are cartoons: what a model says of them means nothing. Few clips are drawn; the others are the same files
under names of their own (hard links), which cost as much to decode.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edge_avsc.sources._scenes import SCENE_S, SCENES, Scene

LABELS = ("street_traffic", "park", "metro", "shopping_mall")
"""Of the demonstration's scenes, in their order."""

CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")
RATE_HZ = 48_000
CLIPS_A_LOCATION = 4


def write_dataset(folder: Path, clips: int, *, drawn: int, seconds: float, size: tuple[int, int], fps: int) -> None:
    """Write *clips* clips, of which *drawn* differ, with sound (WAV) and pictures (MP4) in files of their own."""
    for name in ("audio", "video", "evaluation_setup"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = list(_names(clips))
    for number, (name, label) in enumerate(names):
        paths = folder / f"audio/{name}.wav", folder / f"video/{name}.mp4"
        if number < drawn:
            scene = SCENES[LABELS.index(label)](np.random.default_rng((7, number)), RATE_HZ)
            _write_sound(paths[0], scene, seconds)
            _write_pictures(paths[1], scene, seconds, size, fps)
            continue
        twin = names[number % drawn][0]
        for path in paths:
            _link(path.with_stem(twin), path)
    rows = [f"audio/{name}.wav\tvideo/{name}.mp4\t{label}" for name, label in names]
    text = "\n".join(["filename_audio\tfilename_video\tscene_label", *rows, ""])
    (folder / "evaluation_setup" / "fold1_evaluate.csv").write_text(text, encoding="utf-8")


def _names(clips: int) -> Iterator[tuple[str, str]]:
    """Yield names as TAU has them, and their labels; every location is of one city and one class."""
    for number in range(clips):
        location = number // (CLIPS_A_LOCATION * len(LABELS)) * len(LABELS) + number % len(LABELS)
        label = LABELS[number % len(LABELS)]
        yield f"{label}-{CITIES[location % len(CITIES)]}-{location}-{number}", label


def _write_sound(path: Path, scene: Scene, seconds: float) -> None:
    samples = np.resize(scene.sound, (round(seconds * RATE_HZ), 2))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ)
        stream.codec_context.layout = "stereo"
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_pictures(path: Path, scene: Scene, seconds: float, size: tuple[int, int], fps: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "superfast", "crf": "26"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(round(seconds * fps)):
            container.mux(stream.encode(_frame(scene, number, fps, size)))
        container.mux(stream.encode(None))


def _frame(scene: Scene, number: int, fps: int, size: tuple[int, int]) -> Any:
    frame = av.VideoFrame.from_ndarray(scene.image(number, number / fps % SCENE_S), format="rgb24")
    frame = frame.reformat(*size, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, fps)
    return frame


def _link(original: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        os.link(original, path)
    except OSError:  # some file systems have no hard links
        shutil.copyfile(original, path)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 1280x720")
    return int(width), int(height)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--clips", type=int, default=40, help="how many (default 40)")
    parser.add_argument("--drawn", type=int, default=20, help="how many of them differ (default 20)")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds of each (default 10)")
    parser.add_argument("--size", type=_size, default=(1280, 720), help="of the pictures (default 1280x720, as TAU)")
    parser.add_argument("--fps", type=int, default=30, help="pictures a second (default 30, as TAU)")
    chosen = parser.parse_args(arguments)
    # Whole rounds of the labels, so that a link has the label of what it links to.
    drawn = max(len(LABELS), chosen.drawn // len(LABELS) * len(LABELS))
    write_dataset(chosen.out, chosen.clips, drawn=drawn, seconds=chosen.duration, size=chosen.size, fps=chosen.fps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
