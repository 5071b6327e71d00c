"""How good the running label is on recordings spliced one after the other: what the card says of streaming."""

from __future__ import annotations

import numpy as np
from numpy import int64
from numpy.typing import NDArray

from edge_avsc.config import SmoothingConfig
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.splicing import Piece, plan
from edge_avsc.evaluation.streaming import Played, quality, smooth
from edge_avsc.training.classes import LABELS
from edge_avsc.training.measure import Words, rounded
from edge_avsc.training.recordings import Windows
from edge_avsc.types import NS_PER_S, Modality, Prediction

SECONDS = 7200.0
STAY_S = 60.0


def on_stream(words: Words, windows: Windows, threshold: float, modality: Modality, seed: int = 1) -> dict[str, float]:
    """Measure the running label, at a hop of 1 s, on the recordings of *windows* spliced as ``evaluate --stream`` does.

    words: what is said of each window, by whoever learnt nothing there. threshold: of "none of ours". Windows that
    straddle two recordings are left out, since no words are there for them.
    """
    rows = [_row(clip, windows) for clip in range(len(windows.names))]
    counts = np.bincount(windows.clips)
    order = plan(
        rows, seconds=SECONDS, stay_s=STAY_S, seed=seed, length_ns=lambda row: counts[int(row.name)] * NS_PER_S
    )
    clips = [int(row.name) for row in order.rows]
    played = _played(clips, order.rows, words, windows, threshold, modality)
    shown = quality(played, smooth(played, SmoothingConfig()))
    return {
        "hours": rounded(played.hours, 2),
        "changes": len(played.change_ns),
        "median_delay_s": rounded(shown.delay_of(0.5), 1),
        "p95_delay_s": rounded(shown.delay_of(0.95), 1),
        "never_shown": rounded(shown.never),
        "false_changes_per_hour": rounded(shown.false_changes_per_hour, 1),
        "right": rounded(shown.right),
        "unsure": rounded(shown.unsure),
        "wrong": rounded(shown.wrong),
    }


def _row(clip: int, windows: Windows) -> Row:
    scene = LABELS[int(windows.labels[windows.clips == clip][0])]
    return Row(name=str(clip), audio=None, video=None, scene_label=scene, location=windows.names[clip], city=None)


def _played(
    clips: list[int], rows: tuple[Row, ...], words: Words, windows: Windows, threshold: float, modality: Modality
) -> Played:
    of: NDArray[int64] = np.concatenate([np.flatnonzero(windows.clips == clip) for clip in clips])
    ends = np.cumsum([int((windows.clips == clip).sum()) for clip in clips]) * NS_PER_S
    starts = [0, *ends[:-1].tolist()]
    none = 1 / (1 + np.exp(-words.none[of]))
    places = np.array([row.location for row in rows])
    scenes = [row.scene_label for row in rows]
    return Played(
        labels=LABELS,
        none_threshold=threshold,
        pieces=tuple(Piece(row, start, int(end)) for row, start, end in zip(rows, starts, ends, strict=True)),
        problems={},
        events=(),
        end_ns=np.arange(1, len(of) + 1, dtype=int64) * NS_PER_S,
        predictions=tuple(
            Prediction(tuple(p), float(n), modality)
            for p, n in zip(words.probabilities[of].tolist(), none, strict=True)
        ),
        truth=windows.labels[of],
        units=np.repeat(places, np.diff([0, *ends]) // NS_PER_S),
        change_ns=np.array([s for s, a, b in zip(starts[1:], scenes, scenes[1:], strict=False) if a != b], int64),
    )
