"""A machine that is too slow, and the end of a run in every state: a stop at any moment, a kill at any other."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_avsc.backends.base import GraphRunner
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import AppConfig, SourceConfig, StreamConfig
from edge_avsc.live import Monitor
from edge_avsc.model import SceneModel
from edge_avsc.relief import EASED, STEPS
from edge_avsc.types import NS_PER_S, SceneEstimate
from real.pulse import Pulse
from real.pulse import missing as missing_pulse
from real.running import Run, estimates, events, last, running
from real.servers import serving

pytestmark = pytest.mark.real
DEMO = {"demo": {"media": "test://demo?duration=3600"}}


class SlowBackend(OnnxRuntimeBackend):
    """The usual backend, whose graphs take as many seconds more as *sleep_s* says, by their part."""

    def __init__(self) -> None:
        super().__init__("cpu", 1)
        self.sleep_s: dict[str, float] = {}

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        return SlowGraph(super().load(path, spec), path.name.split(".")[0], self.sleep_s)


@dataclass
class SlowGraph:
    graph: GraphRunner
    part: str
    sleep_s: dict[str, float]

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        time.sleep(self.sleep_s.get(self.part, 0.0))
        return self.graph.run(inputs)


@dataclass
class Slowness:
    """A run in this process whose inference is slow for a while; what came of it."""

    folder: Path
    hop_s: float
    sleep_s: dict[str, float]
    slow_s: float
    until: str = EASED[0]
    """The run ends when this is told."""
    told: list[str] = field(default_factory=list)
    late_s: list[tuple[float, float]] = field(default_factory=list)
    """When each label came, and how long after its window's end."""

    def run(self) -> Slowness:
        backend, stop, clock = SlowBackend(), threading.Event(), MonotonicClock()
        model = SceneModel(self.folder, read_bundle(self.folder), backend)
        stream = StreamConfig(media=SourceConfig(uri="test://demo?duration=600"))
        monitor = Monitor(AppConfig(hop_s=self.hop_s, streams={"demo": stream}), model, clock=clock, stop=stop)
        began_s = clock.now_ns() / NS_PER_S
        for output in monitor.outputs():
            now_s = clock.now_ns() / NS_PER_S
            slow = 1.5 < now_s - began_s < 1.5 + self.slow_s
            backend.sleep_s.update(self.sleep_s if slow else dict.fromkeys(self.sleep_s, 0.0))
            if isinstance(output, SceneEstimate):
                self.late_s.append((now_s - began_s, now_s - output.time_ns / NS_PER_S))
            elif output.event == "relief":
                self.told.append(output.detail)
            if self.told[-1:] == [self.until] or now_s - began_s > self.slow_s + 60:
                stop.set()
        self.counters = monitor.health.counters("demo")
        return self

    def worst_s(self, from_s: float) -> float:
        """Return how late a label came at most, from then on while it was slow."""
        return max(late for at, late in self.late_s if from_s < at < 1.5 + self.slow_s)


def test_too_slow_a_machine_leaves_out_more_and_more_until_it_keeps_up(tiny_folder: Path) -> None:
    run = Slowness(tiny_folder, 0.1, {"audio": 0.2}, 3.0, until=EASED[2]).run()
    assert run.told == [*STEPS[1:], EASED[2]]
    assert run.worst_s(0.0) < 1.0
    assert run.counters["windows_skipped"] > 0
    assert run.counters["video_skipped_frames"] > 0
    assert run.counters["relief_steps"] == 4


@pytest.mark.long
@pytest.mark.parametrize(
    ("hop_s", "sleep_s"),
    [
        (0.5, {"audio": 0.5, "image": 0.5}),
        (0.5, {"audio": 0.34, "image": 0.33, "fusion": 0.33}),
        (0.5, {"image": 1.0}),
        (0.25, {"audio": 0.5}),
        (0.25, {"audio": 0.17, "image": 0.17, "fusion": 0.16}),
        (0.1, {"audio": 0.1, "fusion": 0.1}),
    ],
)
def test_inference_of_twice_the_hop(tiny_folder: Path, hop_s: float, sleep_s: dict[str, float]) -> None:
    run = Slowness(tiny_folder, hop_s, sleep_s, 30.0).run()
    late = sorted(late for at, late in run.late_s if 8.0 < at < 31.5)
    print(f"hop {hop_s}, {sleep_s}: worst {run.worst_s(0.0):.2f} s, relieved: worst {late[-1]:.2f}, "
          f"median {late[len(late) // 2]:.2f}; {run.counters}; ended at {run.late_s[-1][0]:.1f} s")  # fmt: skip
    assert run.told[:3] == list(STEPS[1:])
    assert run.told[-3:] == list(EASED[::-1])
    assert run.worst_s(0.0) < 1.0


def assert_whole(text: str) -> None:
    assert text.endswith("}\n")
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())


def stop(run: Run, number: signal.Signals = signal.SIGTERM) -> None:
    """End a run: within a second, with code 0, in silence, and with a whole last line."""
    code, took_s = run.end(number)
    print(f"ended in {took_s:.2f} s")
    assert code == 0
    assert took_s < 1.0
    assert run.process.stderr is not None
    assert run.process.stderr.read() == b""
    assert_whole(run.text())


def test_stop_while_nothing_ever_connected(tmp_path: Path, tiny_folder: Path) -> None:
    streams = {"far": {"media": "rtsp://127.0.0.1:9/"}, "away": {"audio": "nowhere", "video": "http://127.0.0.1:9/"}}
    with running(tmp_path, streams, tiny_folder, {}) as run:
        run.wait_for(lambda lines: {("video", "lost"), ("audio", "lost")} <= set(events(lines)))
        stop(run)


def test_stop_in_the_middle_of_a_reconnection(tmp_path: Path, tiny_folder: Path) -> None:
    with serving("mjpeg") as camera:
        streams = {"gate": {"video": f"http://127.0.0.1:{camera.port}/"}}
        with running(tmp_path, streams, tiny_folder, {}) as run:
            run.wait_for(lambda lines: last(lines, 2, "v"))
            # It takes connections and says nothing, so that reading and opening both block.
            camera.signal(signal.SIGSTOP)
            run.wait_for(lambda lines: ("video", "lost") in events(lines))
            time.sleep(0.5)
            stop(run)


@pytest.mark.skipif(missing_pulse() is not None, reason=f"not installed here: {missing_pulse()}")
def test_stop_while_the_sound_server_hangs(tmp_path: Path, tiny_folder: Path) -> None:
    with Pulse(tmp_path / "pulse", "mic") as pulse, serving("mjpeg") as camera:
        streams = {"lobby": {"audio": "mic", "video": f"http://127.0.0.1:{camera.port}/"}}
        with running(tmp_path, streams, tiny_folder, pulse.environment) as run:
            run.wait_for(lambda lines: ("audio", "silent") in events(lines))
            pulse.stop()
            run.wait_for(lambda lines: ("audio", "lost") in events(lines))
            stop(run, signal.SIGINT)


def test_stop_of_an_overloaded_machine(tiny_folder: Path) -> None:
    backend, stop, clock = SlowBackend(), threading.Event(), MonotonicClock()
    model = SceneModel(tiny_folder, read_bundle(tiny_folder), backend)
    stream = StreamConfig(media=SourceConfig(uri="test://demo?duration=600"))
    monitor = Monitor(AppConfig(hop_s=0.1, streams={"demo": stream}), model, clock=clock, stop=stop)
    backend.sleep_s["audio"] = 0.2
    stopped_ns = 0
    after = 0
    for output in monitor.outputs():
        after += stopped_ns > 0
        if not isinstance(output, SceneEstimate) and output.detail == STEPS[3]:
            stop.set()
            stopped_ns = clock.now_ns()
    assert after == 0
    assert clock.now_ns() - stopped_ns < NS_PER_S


def killed_at(folder: Path, model: Path, seconds: float) -> int:
    """Kill a run, with SIGKILL, so long after its first line; return how many lines it left, all whole."""
    folder.mkdir()
    with running(folder, DEMO, model, {}, hop_s=0.05) as run:
        run.wait_for(lambda lines: len(lines) >= 1)
        time.sleep(seconds)
        run.process.kill()
        run.process.wait()
    assert_whole(run.text())
    return len(estimates(run.lines()))


def test_killed_runs_leave_whole_lines(tmp_path: Path, tiny_folder: Path) -> None:
    chance = random.Random(1)
    for n in range(3):
        assert killed_at(tmp_path / str(n), tiny_folder, chance.uniform(0.0, 0.3)) > 0


@pytest.mark.long
def test_thirty_killed_runs_leave_whole_lines(tmp_path: Path, tiny_folder: Path) -> None:
    chance = random.Random(2)
    for n in range(30):
        moment_s = chance.uniform(0.0, 3.0)
        print(f"killed after {moment_s:.3f} s: {killed_at(tmp_path / str(n), tiny_folder, moment_s)} whole lines")
