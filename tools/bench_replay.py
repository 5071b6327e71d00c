"""How fast a recording replays on one core, and whose the time is: decoder's, networks', or our own.

    python tools/bench_replay.py FILE [--model DIR] [--runs 5]

Each round replays the file, with a clock around each run of a network, and then, with nothing else around it, repeats
the decoder's share (demuxing, decoding what a replay decodes, the conversion of the wanted frames). What is left of the
replay is our own.
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
from typing import Any

import numpy as np
from ending import end
from numpy.typing import NDArray

from edge_avsc import SceneModel, replay
from edge_avsc.arguments import count, positive
from edge_avsc.backends.base import GraphRunner
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.model import find_bundle
from edge_avsc.sources._container import ticks_to_ns
from edge_avsc.sources._pictures import Pictures
from edge_avsc.sources.media import MediaSource
from edge_avsc.types import NS_PER_S, SourceEnded, VideoFrame
from edge_avsc.video_track import WantedFrames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--model", default="avsc-lite")
    parser.add_argument("--hop-s", type=positive, default=0.5)
    parser.add_argument("--runs", type=count, default=5)
    args = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = find_bundle(args.model)
    backend = TimedBackend()
    model = SceneModel(folder, read_bundle(folder), backend)
    list(replay(args.file, model=model, hop_s=args.hop_s))
    length_s = duration_s(args.file, model)
    spared = spared_ns(args.file, model)
    rounds = [one_round(args.file, model, backend, args.hop_s, spared) for _ in range(args.runs)]
    report("replay", [r[0] for r in rounds], "CPU s")
    report("decoder", [r[1] for r in rounds], "CPU s")
    report("networks", [r[2] for r in rounds], "CPU s")
    report("own share", [100 * (r[0] - r[1] - r[2]) / r[0] for r in rounds], "%")
    print(f"{'spared':10} {len(spared)} frames that nobody needed")
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


def one_round(
    file: str, model: SceneModel, backend: TimedBackend, hop_s: float, spared: set[int]
) -> tuple[float, float, float]:
    """Return CPU seconds of the whole replay, of decoding alone, and of the networks within the replay."""
    backend.spent_s = 0.0
    whole_s = cpu_s(lambda: list(replay(file, model=model, hop_s=hop_s)))
    networks_s = backend.spent_s
    return whole_s, cpu_s(lambda: decode(file, model, spared)), networks_s


def decode(file: str, model: SceneModel, spared: set[int]) -> None:
    """Do what only the decoder does for a replay: decode all but the frames of *spared*, convert the wanted ones."""
    import av
    from av.video.reformatter import VideoReformatter

    wanted = WantedFrames(0, model.bundle.image.frames_per_s)
    pictures = Pictures(2 * model.bundle.image.size_px, VideoReformatter())
    for kind in ("video", "audio"):
        with av.open(file) as container:
            streams = [stream for stream in container.streams if stream.type == kind]
            for stream in streams[:1]:
                stream.codec_context.thread_count = 1
                for packet in container.demux(stream):
                    if kind == "video" and packet.pts is not None and nanoseconds(packet) in spared:
                        continue
                    for frame in packet.decode():
                        if kind == "video" and wanted.wants(nanoseconds(frame)):
                            pictures.rgb(frame)


def nanoseconds(stamped: Any) -> int:
    """Return the time of a packet or frame; its container's zero is taken to be 0."""
    return ticks_to_ns(stamped.pts or 0, stamped.time_base)


def spared_ns(file: str, model: SceneModel) -> set[int]:
    """Return the times of the frames that a replay does not decode."""
    wanted = WantedFrames(0, model.bundle.image.frames_per_s)
    with MediaSource(
        file,
        wants=wanted.wants,
        needless=lambda after_ns, until_ns: not wanted.any_in(after_ns, until_ns),
        picture_px=model.bundle.image.size_px,
    ) as source:
        return {item.time_ns for item in source.items() if isinstance(item, VideoFrame) and item.luma is None}


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
