from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from edge_avsc.types import Latency, SceneEstimate, StreamEvent

MakeEstimate: TypeAlias = Callable[..., SceneEstimate]

ESTIMATE = SceneEstimate(
    stream="clip.mp4",
    index=12,
    start_ns=6_000_000_000,
    end_ns=7_000_000_000,
    time_ns=7_000_000_000,
    scene_label="street_traffic",
    confidence=0.8300004,
    probabilities={"bus": 0.1699996, "street_traffic": 0.8300004},
    window_probabilities={"bus": 0.25, "street_traffic": 0.75},
    modality="av",
    changed=False,
    audio_coverage=1.0,
    video_coverage=0.66666,
    av_skew_ms=0.44,
    latency=Latency(wait=17.0, audio=0.7001, image=2.3, fusion=0.1, close_to_label=1.1),
)


@pytest.fixture
def make_estimate() -> MakeEstimate:
    def make(index: int = 12, **changes: Any) -> SceneEstimate:
        start_ns = index * 500_000_000
        times = {"index": index, "start_ns": start_ns, "end_ns": start_ns + 10**9, "time_ns": start_ns + 10**9}
        return replace(ESTIMATE, **{**times, **changes})

    return make


@pytest.fixture
def lost_camera() -> StreamEvent:
    detail = "The camera v4l2:///dev/video0 was unplugged; trying again every 2 s."
    return StreamEvent("clip.mp4", "video", "lost", detail, 7_250_000_000)
