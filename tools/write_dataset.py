"""Write a dataset in TAU layout out of drawn scenes, to try an evaluation or a training, or to time it.

By default it has the four places of test://demo. With --ten it has all ten labels, some told by their sound, some by
their picture, some only by both (see ten_scenes.py), and a list to train on.

Its places are cartoons: what a model says of them means nothing. Few clips are drawn; the others are the same files
under names of their own (hard links), which cost as much to decode.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from ending import end
from numpy import float32, uint8
from numpy.typing import NDArray
from ten_scenes import Place

from edge_avsc.arguments import count, positive
from edge_avsc.sources._scenes import SCENE_S, SCENES
from edge_avsc.training.classes import LABELS as TEN

LABELS = ("street_traffic", "park", "metro", "shopping_mall")
"""Of the demonstration's scenes, in their order."""

CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")
RATE_HZ = 48_000
CLIPS_A_LOCATION = 4
TEN_FPS = 8


def write_dataset(folder: Path, clips: int, *, drawn: int, seconds: float, size: tuple[int, int], fps: int) -> None:
    """Write *clips* clips, of which *drawn* differ, with sound (WAV) and pictures (MP4) in files of their own."""
    for name in ("audio", "video", "evaluation_setup"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = list(_names(clips))
    for number, (name, label) in enumerate(names):
        paths = folder / f"audio/{name}.wav", folder / f"video/{name}.mp4"
        if number < drawn:
            scene = SCENES[LABELS.index(label)](np.random.default_rng((7, number)), RATE_HZ)
            write_sound(paths[0], np.resize(scene.sound, (round(seconds * RATE_HZ), 2)))
            images = (scene.image(k, k / fps % SCENE_S) for k in range(round(seconds * fps)))
            write_pictures(paths[1], images, fps, size)
            continue
        twin = names[number % drawn][0]
        for path in paths:
            _link(path.with_stem(twin), path)
    rows = [f"audio/{name}.wav\tvideo/{name}.mp4\t{label}" for name, label in names]
    text = "\n".join(["filename_audio\tfilename_video\tscene_label", *rows, ""])
    (folder / "evaluation_setup" / "fold1_evaluate.csv").write_text(text, encoding="utf-8")


def write_ten(folder: Path, locations: int, *, seconds: float, seed: int = 1) -> None:
    """Write a dataset of the ten labels (see ten_scenes): *locations* of each, two clips a location.

    A third of the locations, at least one, is in ``fold1_evaluate.csv``, the others in ``fold1_train.csv``.
    """
    for name in ("audio", "video", "evaluation_setup"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    header = "filename_audio\tfilename_video\tscene_label"
    lists: dict[str, list[str]] = {"fold1_train.csv": [header], "fold1_evaluate.csv": [header]}
    for number, label in enumerate(TEN):
        for location in range(locations):
            place = Place(label, np.random.default_rng((seed, number, location)))
            for clip in range(2):
                name = f"{label}-{CITIES[location % len(CITIES)]}-{100 * number + location}-{clip}"
                write_sound(folder / f"audio/{name}.wav", place.sound(seconds, RATE_HZ))
                images = [place.image() for _ in range(round(seconds * TEN_FPS))]
                write_pictures(folder / f"video/{name}.mp4", images, TEN_FPS)
                kept = "fold1_evaluate.csv" if location < max(1, locations // 3) else "fold1_train.csv"
                lists[kept].append(f"audio/{name}.wav\tvideo/{name}.mp4\t{label}")
    for file, lines in lists.items():
        (folder / "evaluation_setup" / file).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _names(clips: int) -> Iterator[tuple[str, str]]:
    """Yield names as TAU has them, and their labels; every location is of one city and one class."""
    for number in range(clips):
        location = number // (CLIPS_A_LOCATION * len(LABELS)) * len(LABELS) + number % len(LABELS)
        label = LABELS[number % len(LABELS)]
        yield f"{label}-{CITIES[location % len(CITIES)]}-{location}-{number}", label


def write_sound(path: Path, samples: NDArray[float32]) -> None:
    """Write stereo *samples* ``[n, 2]`` as WAV of 16 bits."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ)
        stream.codec_context.layout = "stereo"
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_pictures(path: Path, images: Iterable[NDArray[uint8]], fps: int, size: tuple[int, int] | None = None) -> None:
    """Write RGB *images* as MP4; *size* scales them to a width and a height."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "superfast", "crf": "26"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if number == 0:
                stream.width, stream.height = size or (frame.width, frame.height)
            frame = frame.reformat(stream.width, stream.height, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


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
    parser.add_argument("--clips", type=count, default=40, help="how many (default 40)")
    parser.add_argument("--drawn", type=count, default=20, help="how many of them differ (default 20)")
    parser.add_argument("--duration", type=positive, default=10.0, metavar="S", help="seconds of each (default 10)")
    parser.add_argument("--size", type=_size, default=(1280, 720), help="of the pictures (default 1280x720, as TAU)")
    parser.add_argument("--fps", type=count, default=30, help="pictures a second (default 30, as TAU)")
    parser.add_argument("--ten", type=count, metavar="N", help="all ten labels, N locations of each, two clips each")
    chosen = parser.parse_args(arguments)
    if chosen.ten:
        write_ten(chosen.out, chosen.ten, seconds=chosen.duration)
        return 0
    # Whole rounds of the labels, so that a link has the label of what it links to.
    drawn = max(len(LABELS), chosen.drawn // len(LABELS) * len(LABELS))
    write_dataset(chosen.out, chosen.clips, drawn=drawn, seconds=chosen.duration, size=chosen.size, fps=chosen.fps)
    return 0


if __name__ == "__main__":
    end(main)
