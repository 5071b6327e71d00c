"""A small dataset in TAU layout, written on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy import float32

from recordings import Pictures, Sound, write_recording

CLIPS = (
    ("shopping_mall-lisbon-1-10", "shopping_mall"),
    ("shopping_mall-lisbon-2-11", "shopping_mall"),
    ("metro_station-lyon-3-12", "metro_station"),
    ("metro_station-lyon-4-13", "metro_station"),
    ("tram-lyon-5-14", "tram"),
)
"""Names and labels; of the first two classes the tiny bundle gets some windows right, and some wrong."""
HEADER = "filename_audio\tfilename_video\tscene_label"


def write_clip(folder: Path, name: str, seconds: float = 6.0, seed: int = 0) -> None:
    """Write ``audio/name.wav`` and ``video/name.mkv``: noise that changes, and a grey that rises."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0.01, 0.3, (round(seconds * 10), 1)), 1600, axis=0)
    samples = (rng.normal(0, 1, loudness.shape) * loudness).clip(-1, 1).astype(float32)
    sound = Sound(rate_hz=16_000, channels=1, samples=samples)
    for folder_name in ("audio", "video"):
        (folder / folder_name).mkdir(parents=True, exist_ok=True)
    write_recording(folder / f"audio/{name}.wav", seconds, sound=sound, pictures=None)
    write_recording(folder / f"video/{name}.mkv", seconds, sound=None, pictures=Pictures(fps=10, width=32, height=32))


def write_list(folder: Path, rows: list[str], name: str = "all") -> None:
    (folder / "evaluation_setup").mkdir(parents=True, exist_ok=True)
    (folder / "evaluation_setup" / f"{name}.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")


def write_tau(folder: Path, seconds: float = 6.0) -> Path:
    """Write five clips of three classes at five places; the last one has sound alone."""
    rows = []
    for seed, (name, label) in enumerate(CLIPS):
        write_clip(folder, name, seconds, seed)
        video = f"video/{name}.mkv" if seed < 4 else ""
        rows.append(f"audio/{name}.wav\t{video}\t{label}")
    write_list(folder, rows)
    return folder
