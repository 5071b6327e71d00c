"""A clip down the live road, up to the networks: the very windows that a replay would score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.backends.base import GraphKind
from edge_avsc.bundle import AudioFrontEnd, Bundle, GraphSpec, ImageFrontEnd
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.replay import recordings
from edge_avsc.stream import Stream
from edge_avsc.types import NS_PER_S, Window


@dataclass(frozen=True, slots=True)
class ClipWindows:
    """The n windows of a clip.

    columns: float32 ``[n, columns, column_size]``, not normalised; zeros where ``heard`` ``[n]`` is False.
    pictures: uint8 ``[n, frames_per_s, size, size, 3]``; of each window only the first ``seen`` ``[n]`` are there.
    """

    columns: NDArray[float32]
    heard: NDArray[np.bool_]
    pictures: NDArray[uint8]
    seen: NDArray[uint8]


class Listener:
    """Gives the windows of clips, from *hop_ns* to *hop_ns*; either front end may be wanted alone."""

    def __init__(self, audio: AudioFrontEnd, image: ImageFrontEnd, hop_ns: int) -> None:
        self._audio, self._image = audio, image
        self._taken = _Taken()
        model = SceneModel(Path(), _description(audio, image), self._taken)
        self._player = Player(model, hop_ns, on_window=self._note)
        self._windows: list[tuple[NDArray[float32] | None, NDArray[uint8]]] = []

    def windows(self, row: Row, *, sound: bool = True, pictures: bool = True) -> ClipWindows:
        """Return the windows of a clip; ConfigError where it cannot be read or has none."""
        self._windows = []
        self._taken.pictures.clear()
        audio, video = row.audio if sound else None, row.video if pictures else None
        if audio is None and video is None:
            raise ConfigError(f"{row.name} has none of what this recipe is made of; take it off the list.")
        ((_, stream),) = recordings(audio=audio, video=video)
        for _ in self._player.play(row.name, stream):
            pass
        if not self._windows:
            raise ConfigError(f"{row.name} is shorter than a window of 1 s, so there is nothing to learn from.")
        return self._stacked()

    def _note(self, stream: Stream, window: Window, sound: NDArray[float32] | None) -> None:
        numbers = () if window.embeddings is None else window.embeddings[:, 0].astype(int).tolist()
        size = self._image.size_px
        seen = [self._taken.pictures[number] for number in numbers[: self._image.frames_per_s]]
        self._windows.append((window.columns, np.array(seen, uint8).reshape(-1, size, size, 3)))
        if numbers:
            for old in [number for number in self._taken.pictures if number < numbers[0]]:
                del self._taken.pictures[old]

    def _stacked(self) -> ClipWindows:
        n, size = len(self._windows), self._image.size_px
        columns = np.zeros((n, self._audio.columns, self._audio.column_size), float32)
        pictures = np.zeros((n, self._image.frames_per_s, size, size, 3), uint8)
        for k, (heard, seen) in enumerate(self._windows):
            if heard is not None:
                columns[k] = heard
            pictures[k, : len(seen)] = seen
        return ClipWindows(
            columns,
            np.array([heard is not None for heard, _ in self._windows]),
            pictures,
            np.array([len(seen) for _, seen in self._windows], uint8),
        )


class _Taken:
    """A backend whose image graph keeps the pictures, and gives for each the number that it has here."""

    provider: str = "none"
    graphs: GraphKind = "cpu"
    max_batch: int = 1

    def __init__(self) -> None:
        self.pictures: dict[int, NDArray[uint8]] = {}
        self._next = 0

    def ready(self, path: Path, spec: GraphSpec) -> bool:
        """Tell that nothing has to be built."""
        return True

    def load(self, path: Path, spec: GraphSpec) -> _Graph:
        """Return what stands for a graph."""
        return _Graph(self, next(iter(spec.outputs)))

    def take(self, picture: NDArray[float32]) -> int:
        """Keep a picture ``[3, size, size]`` and return its number."""
        self.pictures[self._next] = np.rint(picture.transpose(1, 2, 0)).astype(uint8)
        self._next += 1
        return self._next - 1


class _Graph:
    def __init__(self, taken: _Taken, output: str) -> None:
        self._taken, self._output = taken, output

    def run(self, inputs: Mapping[str, NDArray[float32]]) -> dict[str, NDArray[float32]]:
        if self._output == "image_embedding":
            # Numbers up to 2**24 are exact in float32; a clip has fewer pictures.
            numbers = [self._taken.take(picture) for picture in inputs["picture"]]
            return {self._output: np.array(numbers, float32)[:, None]}
        count = len(next(iter(inputs.values())))
        return {self._output: np.zeros((count, 2), float32)}


def _description(audio: AudioFrontEnd, image: ImageFrontEnd) -> Bundle:
    def graph(inputs: tuple[str, ...], output: str) -> dict[str, Any]:
        tensor = {"shape": ["batch", 2]}
        return {"path": "", "sha256": "", "inputs": dict.fromkeys(inputs, tensor), "outputs": {output: tensor}}

    as_it_is = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}
    return Bundle.model_validate(
        {
            "schema": 1,
            "name": "windows",
            "labels": ["this", "that"],
            "window_s": 1,
            "audio": audio.model_dump(),
            "image": {**image.model_dump(), "normalisation": as_it_is},
            "graphs": {
                "cpu": {
                    "audio": graph(("log_mel",), "audio_embedding"),
                    "image": graph(("picture",), "image_embedding"),
                    "fusion": graph(("audio_embedding", "image_embedding", "present"), "logits"),
                }
            },
            "missing_modality": "present_input",
            "temperature": {"av": 1, "a": 1, "v": 1},
            "unsure": {"score": "max_probability", "threshold": 0.5},
            "golden": {"inputs": "", "outputs": "", "tolerance": 1},
            "provenance": {"data": [], "teachers": [], "licences": {}, "commit": ""},
        }
    )


def hop_of(hop_s: float) -> int:
    """Return the hop in nanoseconds; ConfigError unless a second is a whole number of hops, each of whole 50 ms."""
    hop_ns = round(hop_s * NS_PER_S)
    if NS_PER_S % hop_ns or hop_ns % (NS_PER_S // 20):
        raise ConfigError(f"hop_s is {hop_s:g}; it must be 1, 0.5, 0.25, 0.2, 0.1 or 0.05.")
    return hop_ns
