"""One clip down the road of a replay, once; each of its windows judged in every state of the modalities and skew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy import float32, float64, int64
from numpy.typing import NDArray

from edge_avsc.audio_track import AudioTrack
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.model import SceneModel
from edge_avsc.player import Player
from edge_avsc.replay import recordings
from edge_avsc.stream import Stream
from edge_avsc.types import NS_PER_MS, NS_PER_S, SceneEstimate, StreamEvent, Window

STATES = ("given", "av", "a", "v")
"""What a window is judged by: all that it has (as a replay does), both, its sound alone, its pictures alone."""

SKEWS_MS = (-2000, -1000, -500, -185, -125, -45, 0, 45, 125, 185, 500, 1000, 2000)
"""Sound time minus picture time that is imposed: with a positive one the sound comes late. ITU-R BT.1359-1 names 45,
125, 90 and 185 ms as the limits of what is noticed and tolerated."""

_REACH_NS = max(SKEWS_MS) * NS_PER_MS


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What a model says of one clip.

    windows: probabilities, float64 ``[n_windows, 4, n_labels]``, in the order of STATES; NaN where a window lacks what
    a state needs.
    skewed: probabilities under each of SKEWS_MS, float64 ``[n, 13, n_labels]``, of the windows that have pictures and
    whose sound is whole under all of them, so that every skew is judged by the same windows. skewed_windows: which,
    ``[n]``.
    events: what decoding told, as ``event: sentence``, in order.
    """

    windows: NDArray[float64]
    skewed: NDArray[float64]
    skewed_windows: NDArray[int64]
    events: tuple[str, ...]


class ClipScorer:
    """Scores clips, one after the other, in windows [k, k + 1) s."""

    def __init__(self, model: SceneModel) -> None:
        self._model = model
        self._player = Player(model, NS_PER_S, on_window=self._judge)
        self._states: list[NDArray[float64]] = []
        self._skewed: list[tuple[int, NDArray[float64]]] = []
        self._waiting: list[tuple[Window, AudioTrack]] = []

    def score(self, row: Row) -> ClipScores:
        """Score one clip; ConfigError where a file of it is missing or cannot be read."""
        self._states, self._skewed, self._waiting = [], [], []
        given: list[NDArray[float64]] = []
        events: list[str] = []
        ((_, stream),) = recordings(audio=row.audio, video=row.video)
        for output in self._player.play(row.name, stream):
            if isinstance(output, SceneEstimate):
                given.append(self._values(tuple(output.window_probabilities.values())))
            elif isinstance(output, StreamEvent):
                events.append(f"{output.event}: {output.detail}")
        if not given:
            raise ConfigError(f"{row.name} is shorter than a window of 1 s, so there is nothing to score.")
        self._impose_skews(ended=True)
        states = np.array([np.vstack([first, rest]) for first, rest in zip(given, self._states, strict=True)])
        count = len(self._model.labels)
        skewed = np.array([values for _, values in self._skewed]).reshape(-1, len(SKEWS_MS), count)
        return ClipScores(states, skewed, np.array([index for index, _ in self._skewed], int64), tuple(events))

    def _judge(self, stream: Stream, window: Window, sound: NDArray[float32] | None) -> None:
        pictures = window.embeddings
        judged = [
            self._fused(sound, pictures) if sound is not None and pictures is not None else self._values(()),
            self._fused(sound, None) if sound is not None else self._values(()),
            self._fused(None, pictures) if pictures is not None else self._values(()),
        ]
        self._states.append(np.array(judged))
        if sound is not None and pictures is not None and stream.audio is not None:
            self._waiting.append((window, stream.audio))
        self._impose_skews()

    def _impose_skews(self, ended: bool = False) -> None:
        """Judge, under each skew, the waiting windows for whose latest sound there is nothing left to wait."""
        while self._waiting:
            window, audio = self._waiting[0]
            if not ended and not audio.complete(window.start_ns + _REACH_NS):
                return
            del self._waiting[0]
            judged = list(self._under_skews(window, audio))
            if len(judged) == len(SKEWS_MS):
                self._skewed.append((window.index, np.array(judged)))

    def _under_skews(self, window: Window, audio: AudioTrack) -> Iterator[NDArray[float64]]:
        for skew_ms in SKEWS_MS:
            # What is heard late was captured before: skewed by so much, it falls into the window of these pictures.
            sound = audio.window(window.start_ns - skew_ms * NS_PER_MS)
            if sound.columns is None or sound.coverage < 1.0:
                return
            yield self._fused(self._model.embed_sound(sound.columns), window.embeddings)

    def _fused(self, sound: NDArray[float32] | None, pictures: NDArray[float32] | None) -> NDArray[float64]:
        return self._values(self._model.fuse(sound, pictures).probabilities)

    def _values(self, probabilities: tuple[float, ...]) -> NDArray[float64]:
        return np.array(probabilities, float64) if probabilities else np.full(len(self._model.labels), np.nan)
