"""How fast a recording replays on one core, and whose the time is: decoder's, networks', or our own.

    python tools/bench_replay.py FILE [--model DIR] [--runs 5]

Each round replays the file, with a clock around each run of a network, and then, with nothing else around it, repeats
the decoder's share (demuxing, decoding, the conversion of the wanted frames). What is left of the replay is our own.
All are CPU seconds of one process pinned to one core, taken in turn, so that what else the machine does falls on both
alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from ending import end
from numpy.typing import NDArray

from edge_avsc import SceneModel, replay
from edge_avsc.backends.base import GraphRunner
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.model import find_bundle
from edge_avsc.sources.media import MediaSource
from edge_avsc.types import NS_PER_S, SourceEnded
from edge_avsc.video_track import WantedFrames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--model", default="avsc-lite")
    parser.add_argument("--hop-s", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = find_bundle(args.model)
    backend = TimedBackend()
    model = SceneModel(folder, read_bundle(folder), backend)
    list(replay(args.file, model=model, hop_s=args.hop_s))
    length_s = duration_s(args.file, model)
    rounds = [one_round(args.file, model, backend, args.hop_s) for _ in range(args.runs)]
    report("replay", [r[0] for r in rounds], "CPU s")
    report("decoder", [r[1] for r in rounds], "CPU s")
    report("networks", [r[2] for r in rounds], "CPU s")
    report("own share", [100 * (r[0] - r[1] - r[2]) / r[0] for r in rounds], "%")
    report("speed", [length_s / r[0] for r in rounds], "times real time on one core")


class TimedBackend(OnnxRuntimeBackend):
    """Adds up what its graphs take."""

    spent_s = 0.0

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        """Load a graph and put a clock around it."""
        return TimedGraph(super().load(path, spec), self)


class TimedGraph:
    """A graph with a clock around it."""

    def __init__(self, graph: GraphRunner, backend: TimedBackend) -> None:
        self._graph = graph
        self._backend = backend

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Run the graph and count what it takes."""
        began_s = time.process_time()
        outputs = self._graph.run(inputs)
        self._backend.spent_s += time.process_time() - began_s
        return outputs


def one_round(file: str, model: SceneModel, backend: TimedBackend, hop_s: float) -> tuple[float, float, float]:
    """Return CPU seconds of the whole replay, of decoding alone, and of the networks within the replay."""
    backend.spent_s = 0.0
    whole_s = cpu_s(lambda: list(replay(file, model=model, hop_s=hop_s)))
    networks_s = backend.spent_s
    return whole_s, cpu_s(lambda: decode(file, model)), networks_s


def decode(file: str, model: SceneModel) -> None:
    """Do what only the decoder does for a replay, by PyAV directly."""
    import av

    wanted = WantedFrames(0, model.bundle.image.frames_per_s)
    side = 2 * model.bundle.image.size_px
    for kind in ("video", "audio"):
        with av.open(file) as container:
            streams = [stream for stream in container.streams if stream.type == kind]
            for stream in streams[:1]:
                stream.codec_context.thread_count = 1
                for frame in container.decode(stream):
                    if kind == "video" and wanted.wants(int((frame.time or 0.0) * NS_PER_S)):
                        scale = max(side / frame.width, side / frame.height)
                        size = (round(frame.width * scale), round(frame.height * scale)) if scale < 1 else None
                        frame.reformat(*(size or (frame.width, frame.height)), format="rgb24").to_ndarray()


def duration_s(file: str, model: SceneModel) -> float:
    """Return how long the recording is: its longer stream."""
    with MediaSource(file, wants=lambda time_ns: False, picture_px=model.bundle.image.size_px) as source:
        return max(item.time_ns for item in source.items() if isinstance(item, SourceEnded)) / NS_PER_S


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds that *work* takes."""
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def report(what: str, values: list[float], unit: str) -> None:
    print(f"{what:10} median {statistics.median(values):7.3f}  ({min(values):.3f} to {max(values):.3f}) {unit}")


if __name__ == "__main__":
    end(main)
