"""How good the running label is: a long recording down the real road once, then the smoother under many settings."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.config import SmoothingConfig
from edge_avsc.evaluation.splicing import Piece, Splice
from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import ScenePipeline
from edge_avsc.smoothing import Smoother
from edge_avsc.stream import Stream, StreamSettings
from edge_avsc.types import NS_PER_S, UNSURE, Prediction, StreamEvent, Window, available_ns

SWITCHES_PER_HOUR = (6.0, 20.0, 60.0, 200.0, 600.0, 2000.0)
MIN_DWELL_S = (0.0, 2.0, 5.0, 10.0)
UNSURE_BELOW = (0.0, 0.35, 0.5, 0.65, 0.8)

_NAME = "spliced"
_UNSURE = -1


@dataclass(frozen=True, slots=True)
class Played:
    """What the model said of a long recording.

    labels: of the model. end_ns: where each window ends, int64 ``[n]``. predictions: of each window; None where it had
    neither sound nor pictures. truth: the place in *labels* of the scene at the end of each window, ``[n]``. units:
    where that scene was recorded, ``[n]``. change_ns: when the scene changes, ``[m]``. events: what decoding told.
    """

    labels: tuple[str, ...]
    none_threshold: float
    pieces: tuple[Piece, ...]
    problems: dict[str, str]
    events: tuple[str, ...]
    end_ns: NDArray[int64]
    predictions: tuple[Prediction | None, ...]
    truth: NDArray[int64]
    units: NDArray[np.str_]
    change_ns: NDArray[int64]

    @property
    def hours(self) -> float:
        """How long the recording is."""
        return self.pieces[-1].end_ns / NS_PER_S / 3600.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown after each window: the label's place or -1 for unsure ``[n]``, and probabilities ``[n, c]``."""

    label: NDArray[int64]
    probabilities: NDArray[float64]


def settings_grid() -> list[SmoothingConfig]:
    """Return all settings that are tried, the default among them."""
    tried = [
        SmoothingConfig(switches_per_hour=switches, min_dwell_s=dwell, unsure_below=unsure)
        for switches, dwell, unsure in itertools.product(SWITCHES_PER_HOUR, MIN_DWELL_S, UNSURE_BELOW)
    ]
    return tried if SmoothingConfig() in tried else [SmoothingConfig(), *tried]


def play(model: SceneModel, splice: Splice, hop_ns: int) -> Played:
    """Play a long recording through the pipeline, each window judged as a replay judges it."""
    end_ns: list[int] = []
    predictions: list[Prediction | None] = []

    def keep(_: Stream, window: Window, sound: NDArray[np.float32] | None) -> None:
        end_ns.append(window.end_ns)
        predictions.append(None if window.modality == "none" else model.fuse(sound, window.embeddings))

    pipeline = ScenePipeline(model, hop_ns=hop_ns, on_window=keep)
    pipeline.open(_NAME, StreamSettings(splice.roles, epoch_ns=0, recorded=True))
    events: dict[str, None] = {}
    for item in splice.items():
        now_ns = available_ns(item)
        for output in pipeline.process((Arrival(_NAME, item, now_ns),), now_ns):
            if isinstance(output, StreamEvent):
                events[f"{output.event}: {output.detail}"] = None
    return _played(model, splice, tuple(events), np.array(end_ns, int64), tuple(predictions))


def _played(
    model: SceneModel,
    splice: Splice,
    events: tuple[str, ...],
    end_ns: NDArray[int64],
    predictions: tuple[Prediction | None, ...],
) -> Played:
    pieces = splice.pieces
    # A window ends just before the next scene begins: [start, end).
    piece_of = np.searchsorted([piece.end_ns for piece in pieces], end_ns - 1, side="right")
    scenes = [piece.row.scene_label or "" for piece in pieces]
    places = np.array([model.labels.index(scene) for scene in scenes], int64)
    changes = [
        piece.start_ns
        for piece, scene, before in zip(pieces[1:], scenes[1:], scenes[:-1], strict=True)
        if scene != before
    ]
    return Played(
        labels=model.labels,
        none_threshold=model.bundle.unsure.threshold,
        pieces=tuple(pieces),
        problems=dict(splice.problems),
        events=events,
        end_ns=end_ns,
        predictions=predictions,
        truth=places[piece_of],
        units=np.array([piece.row.location for piece in pieces])[piece_of],
        change_ns=np.array(changes, int64),
    )


def smooth(played: Played, settings: SmoothingConfig) -> Shown:
    """Return what the smoother shows under *settings*: the very class that runs live, on the predictions as played."""
    smoother = Smoother(played.labels, settings, none_threshold=played.none_threshold)
    places = {label: place for place, label in enumerate(played.labels)} | {UNSURE: _UNSURE}
    label = np.empty(len(played.end_ns), int64)
    probabilities = np.empty((len(played.end_ns), len(played.labels)))
    for i, (prediction, end_ns) in enumerate(zip(played.predictions, played.end_ns.tolist(), strict=True)):
        smoothed = smoother.update(prediction, end_ns)
        label[i], probabilities[i] = places[smoothed.scene_label], smoothed.probabilities
    return Shown(label, probabilities)


def window_by_window(played: Played) -> Shown:
    """Return what would be shown without smoothing: of each window its most probable label."""
    uniform = tuple([1.0 / len(played.labels)] * len(played.labels))
    rows = np.array([uniform if one is None else one.probabilities for one in played.predictions])
    return Shown(rows.argmax(axis=1).astype(int64), rows)


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a running label is.

    delay_s: from each change of the scene until its label is first shown, float64 ``[m]``; infinite where it is not
    shown before the next change. false_changes: how often the label changed to a scene that was not there. unsure,
    right, wrong: shares of the time, which sum to 1.
    """

    delay_s: NDArray[float64]
    false_changes_per_hour: float
    right: float
    unsure: float
    wrong: float

    def delay_of(self, share: float) -> float:
        """Return the delay that *share* of the changes does not exceed; infinite where so many never got there."""
        return float(np.quantile(self.delay_s, share, method="inverted_cdf")) if len(self.delay_s) else float("nan")

    @property
    def never(self) -> float:
        """The share of changes after which the right label was not shown before the next change."""
        return float(np.isinf(self.delay_s).mean()) if len(self.delay_s) else float("nan")


def quality(played: Played, shown: Shown) -> Quality:
    """Measure what was shown against what was played."""
    right = shown.label == played.truth
    before = np.concatenate([[_UNSURE], shown.label[:-1]])
    false = (shown.label != before) & (shown.label != _UNSURE) & ~right
    unsure = float((shown.label == _UNSURE).mean())
    return Quality(
        delay_s=np.array(_delays(played, right)),
        false_changes_per_hour=float(false.sum() / played.hours),
        right=float(right.mean()),
        unsure=unsure,
        wrong=1.0 - float(right.mean()) - unsure,
    )


def _delays(played: Played, right: NDArray[np.bool_]) -> list[float]:
    delays = []
    for change_ns, until_ns in itertools.pairwise([*played.change_ns.tolist(), played.pieces[-1].end_ns]):
        # What ends with the change itself is still of the scene before.
        inside = (played.end_ns > change_ns) & (played.end_ns <= until_ns) & right
        found = played.end_ns[inside]
        delays.append((found[0] - change_ns) / NS_PER_S if len(found) else float("inf"))
    return delays
