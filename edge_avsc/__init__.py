"""Live audio-visual scene classification on the edge.

The way of the data, which is also the way through the files::

    sources/    microphone, camera, recordings, test://       items: chunks of sound, frames, each with its time
    inbox       the one thread boundary                        bounded, counts what it drops
    audio_track, video_track (ring, resampling, features)      log-mel columns and picture embeddings, by time
    windows     synchronized windows of 1 s                    stream: all that belongs to one stream
    model       image encoder, audio encoder, fusion head      backends/ run a bundle's graphs
    smoothing   predictions of windows -> running label        pipeline: the whole road on one page
    sinks/      terminal, JSON lines                           replay: drives it from recordings; cli: the verbs

Beside it: ``evaluation/`` scores bundles on datasets and systems by their outputs, ``training/`` makes bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_avsc.errors import ConfigError, DeviceError, EdgeAvscError, ModelError
from edge_avsc.replay import replay
from edge_avsc.types import SceneEstimate, StreamEvent

if TYPE_CHECKING:
    from edge_avsc.model import SceneModel
    from edge_avsc.pipeline import ScenePipeline

__all__ = [
    "ConfigError",
    "DeviceError",
    "EdgeAvscError",
    "ModelError",
    "SceneEstimate",
    "SceneModel",
    "ScenePipeline",
    "StreamEvent",
    "replay",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # These bring numpy and ONNX Runtime along; whoever wants only ``edge-avsc --help`` must not wait for them.
    if name == "SceneModel":
        from edge_avsc.model import SceneModel

        return SceneModel
    if name == "ScenePipeline":
        from edge_avsc.pipeline import ScenePipeline

        return ScenePipeline
    raise AttributeError(f"module 'edge_avsc' has no attribute '{name}'")
