from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_avsc.backends.base import GraphRunner, Watch
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend
from edge_avsc.bundle import GraphSpec, read_bundle
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import AppConfig, SourceConfig, StreamConfig
from edge_avsc.errors import DeviceError, ModelError
from edge_avsc.live import Monitor
from edge_avsc.machine import MachineWatch
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import Output
from edge_avsc.sources import LiveSource
from edge_avsc.sources.microphone import Microphone
from edge_avsc.succession import Successor
from edge_avsc.types import NS_PER_S, AudioChunk, Item, Role, SceneEstimate, SourceEvent, StreamEvent, VideoFrame

RATE_HZ = 16_000


@dataclass
class Scripted:
    """A source that plays, at each attempt, the script's next act, and then says nothing more."""

    role: Role
    acts: list[Callable[[Callable[[Item], None]], None]]
    attempts: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset({self.role})

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        self.attempts += 1
        if self.attempts <= len(self.acts):
            self.acts[self.attempts - 1](put)
        self.over.set()
        stop.wait()


def sound(seconds: float) -> Callable[[Callable[[Item], None]], None]:
    """Deliver so much sound at once, stamped ahead of its time, so that nobody need wait for it."""

    def deliver(put: Callable[[Item], None]) -> None:
        count = int(seconds * RATE_HZ)
        samples = np.random.default_rng(1).normal(0, 0.1, (count, 1)).astype(np.float32)
        began_ns = MonotonicClock().now_ns()
        for first in range(0, count, 1600):
            time_ns = began_ns + first * NS_PER_S // RATE_HZ
            put(AudioChunk(samples[first : first + 1600], RATE_HZ, first, time_ns))

    return deliver


def pictures(seconds: float) -> Callable[[Callable[[Item], None]], None]:
    def deliver(put: Callable[[Item], None]) -> None:
        began_ns = MonotonicClock().now_ns()
        for frame in range(int(seconds * 10)):
            image = np.full((32, 32, 3), 60 + frame % 100, np.uint8)
            put(VideoFrame(began_ns + frame * NS_PER_S // 10, 99.0, image))

    return deliver


def filming(stop: threading.Event) -> Callable[[Callable[[Item], None]], None]:
    """Deliver pictures as they come, until *stop*."""

    def deliver(put: Callable[[Item], None]) -> None:
        while not stop.wait(0.05):
            put(VideoFrame(MonotonicClock().now_ns(), 99.0, np.full((32, 32, 3), 99, np.uint8)))

    return deliver


def failing(
    act: Callable[[Callable[[Item], None]], None] | None, error: Exception
) -> Callable[[Callable[[Item], None]], None]:
    def deliver(put: Callable[[Item], None]) -> None:
        if act:
            act(put)
        raise error

    return deliver


def monitor(
    model: SceneModel,
    stop: threading.Event,
    *,
    successor: Successor | None = None,
    machine: MachineWatch | None = None,
    max_lateness_ms: float = 150.0,
    **sources: LiveSource,
) -> Monitor:
    """A monitor of one stream 's' with these sources."""
    uris: dict[str, Any] = {role: SourceConfig(uri=f"device-{role}") for role in sources}
    config = AppConfig(hop_s=0.05, max_lateness_ms=max_lateness_ms, streams={"s": StreamConfig(**uris)})
    return Monitor(
        config,
        model,
        clock=MonotonicClock(),
        stop=stop,
        successor=successor,
        machine=machine or MachineWatch(Path("/nowhere")),
        open_source=lambda uri, roles, **_: sources[uri.removeprefix("device-")],
    )


def until(outputs: Iterator[Output], wanted: Callable[[list[Output]], bool], stop: threading.Event) -> list[Output]:
    """Read until what came satisfies *wanted*, then stop and read the rest."""
    seen: list[Output] = []
    for output in outputs:
        seen.append(output)
        if wanted(seen):
            stop.set()
    return seen


def labelled(seen: list[Output], modality: str) -> int:
    return sum(isinstance(one, SceneEstimate) and one.modality == modality for one in seen)


def events(seen: list[Output]) -> list[tuple[str, str]]:
    return [(one.source, one.event) for one in seen if isinstance(one, StreamEvent)]


def test_sound_and_pictures_become_one_stream(tiny_model: SceneModel) -> None:
    stop = threading.Event()
    both = monitor(tiny_model, stop, audio=Scripted("audio", [sound(3)]), video=Scripted("video", [pictures(3)]))
    seen = until(both.outputs(), lambda seen: labelled(seen, "av") >= 5, stop)
    estimates = [one for one in seen if isinstance(one, SceneEstimate)]
    assert [one.index for one in estimates] == list(range(len(estimates)))
    assert estimates[0].latency is not None


def test_another_provider_than_asked_for_is_told(tiny_folder: Path) -> None:
    model = SceneModel.load(tiny_folder, provider=["openvino", "cpu"])
    if model.fallback is None:
        pytest.skip("this build of ONNX Runtime has OpenVINO")
    stop = threading.Event()
    alone = monitor(model, stop, audio=Scripted("audio", [sound(2)]))
    assert events(until(alone.outputs(), lambda seen: labelled(seen, "a") >= 1, stop))[0] == ("model", "fallback")


def test_a_model_that_is_built_meanwhile_takes_over_between_two_windows(tiny_folder: Path) -> None:
    """The CPU serves until the other is ready: an event each, and not one window lost."""
    stop, built = threading.Event(), threading.Event()
    scored: list[str] = []

    class Other(OnnxRuntimeBackend):
        def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
            runner = super().load(path, spec)
            return Noted(runner, scored) if path.name == "fusion.onnx" else runner

    def load(watch: Watch) -> SceneModel:
        watch.say("The engine is built anew.")
        assert built.wait(10)
        model = SceneModel(tiny_folder, read_bundle(tiny_folder), Other())
        model.backend.provider = "another"
        return model

    def delivered(put: Callable[[Item], None]) -> None:
        sound(3)(put)
        built.set()
        swapped.wait(10)
        put_later(put)

    swapped = threading.Event()

    def put_later(put: Callable[[Item], None]) -> None:
        began_ns = MonotonicClock().now_ns()
        for first in range(0, 2 * RATE_HZ, 1600):
            time_ns = began_ns + first * NS_PER_S // RATE_HZ
            put(AudioChunk(np.full((1600, 1), 0.1, np.float32), RATE_HZ, 3 * RATE_HZ + first, time_ns))

    alone = monitor(SceneModel.load(tiny_folder), stop, successor=Successor(load), audio=Scripted("audio", [delivered]))
    seen: list[Output] = []
    after: list[int] = []
    for output in alone.outputs():
        seen.append(output)
        if isinstance(output, StreamEvent) and output.event == "swapped":
            swapped.set()
            after.append(len(seen))
        if after and labelled(seen[after[0] :], "a") >= 5:
            stop.set()
    estimates = [one for one in seen if isinstance(one, SceneEstimate)]
    assert [one.index for one in estimates] == list(range(len(estimates)))
    told = [one for one in seen if isinstance(one, StreamEvent) and one.source == "model"]
    assert [one.event for one in told] == ["building", "building", "swapped"]
    assert told[1].detail == "The engine is built anew."
    assert told[2].detail == "another serves from now on."
    # One run warms it up; all others are windows.
    assert len(scored) - 1 == labelled(seen[after[0] :], "a")
    assert labelled(seen[: after[0]], "a") >= 5


class Noted:
    """A runner that notes when it ran."""

    def __init__(self, runner: GraphRunner, noted: list[str]) -> None:
        self._runner = runner
        self._noted = noted

    def run(self, inputs: Any) -> Any:
        self._noted.append("ran")
        return self._runner.run(inputs)


def test_a_model_that_cannot_be_had_ends_the_run(tiny_model: SceneModel) -> None:
    def load(watch: Watch) -> SceneModel:
        raise ModelError("No engine could be built; check the driver.")

    alone = monitor(tiny_model, threading.Event(), successor=Successor(load), audio=Scripted("audio", [sound(1)]))
    with pytest.raises(ModelError, match="No engine could be built"):
        list(alone.outputs())


def test_a_machine_that_slows_itself_down_is_told(tiny_model: SceneModel, tmp_path: Path) -> None:
    stop = threading.Event()
    device = tmp_path / "sys/class/thermal/cooling_device0"
    device.mkdir(parents=True)
    (device / "type").write_text("cpufreq-cpu0\n")
    (device / "cur_state").write_text("3\n")
    alone = monitor(tiny_model, stop, machine=MachineWatch(tmp_path), audio=Scripted("audio", [sound(2)]))
    seen = until(alone.outputs(), lambda seen: labelled(seen, "a") >= 1, stop)
    assert events(seen)[0] == ("model", "throttled")
    assert alone.health.machine is not None
    assert alone.health.machine.slowed_by == ("cpufreq-cpu0 (step 3)",)


def test_labels_go_on_with_what_is_left(tiny_model: SceneModel) -> None:
    stop = threading.Event()
    camera = Scripted("video", [failing(pictures(2), DeviceError("The camera is gone; plug it in."))])
    both = monitor(tiny_model, stop, audio=Scripted("audio", [sound(4)]), video=camera)
    told = ("video", "lost")
    seen = until(both.outputs(), lambda seen: labelled(seen, "a") >= 2 and told in events(seen), stop)
    assert camera.attempts > 0
    assert told in events(seen)


def test_source_comes_back_by_itself(tiny_model: SceneModel) -> None:
    stop = threading.Event()
    microphone = Scripted("audio", [failing(sound(2), DeviceError("Gone; plug it in.")), sound(3)])
    alone = monitor(tiny_model, stop, audio=microphone)
    seen = until(alone.outputs(), lambda seen: events(seen).count(("audio", "recovered")) == 1, stop)
    assert events(seen)[:1] == [("audio", "lost")]
    assert microphone.attempts >= 2


def test_a_crash_of_portaudio_is_a_loss_like_any_other(tiny_model: SceneModel) -> None:
    """It takes its own process along, not this one: labels go on, and sound comes back."""
    stop = threading.Event()
    script = Path(__file__).parent / "sources/scripted_ear.py"
    ear = [sys.executable, str(script), "aborts after two seconds"]
    microphone = Microphone("default", clock=MonotonicClock(), ear=ear)
    both = monitor(tiny_model, stop, audio=microphone, video=Scripted("video", [filming(stop)]))
    told = ("audio", "recovered")
    seen = until(both.outputs(), lambda seen: told in events(seen) and isinstance(seen[-1], SceneEstimate), stop)
    assert events(seen)[:2] == [("audio", "lost"), ("audio", "recovered")]
    lost = next(one for one in seen if isinstance(one, StreamEvent))
    assert "is lost: PortAudio crashed (SIGABRT); check the device" in lost.detail
    estimates = [one for one in seen if isinstance(one, SceneEstimate)]
    assert [one.index for one in estimates] == list(range(len(estimates)))
    assert any(isinstance(one, SceneEstimate) for one in seen[seen.index(lost) :])


def test_without_anything_the_stream_says_so(tiny_model: SceneModel) -> None:
    stop = threading.Event()
    gone = DeviceError("Gone; plug it in.")
    microphone = Scripted("audio", [failing(sound(1), gone), *[failing(None, gone)] * 9])
    alone = monitor(tiny_model, stop, audio=microphone)
    seen = until(alone.outputs(), lambda seen: labelled(seen, "none") >= 3, stop)
    nothing = [one for one in seen if isinstance(one, SceneEstimate) and one.modality == "none"]
    assert all(not one.window_probabilities for one in nothing)


def test_a_stream_begins_with_what_is_delivered_not_with_what_is_said(tiny_model: SceneModel) -> None:
    def says_first(put: Callable[[Item], None]) -> None:
        put(SourceEvent("audio", "clock", "It tells no times.", MonotonicClock().now_ns() - 60 * NS_PER_S))
        sound(2)(put)

    stop = threading.Event()
    alone = monitor(tiny_model, stop, audio=Scripted("audio", [says_first]))
    seen = until(alone.outputs(), lambda seen: labelled(seen, "a") >= 1, stop)
    assert labelled(seen, "none") == 0


def test_a_source_that_is_of_no_use_from_the_start_is_waited_for_by_no_window(tiny_model: SceneModel) -> None:
    """What says so comes before the first picture, when the stream has not begun."""
    told = threading.Event()

    def of_no_use(put: Callable[[Item], None]) -> None:
        put(SourceEvent("audio", "unusable", "The sound cannot be decoded.", MonotonicClock().now_ns()))
        told.set()

    def films(put: Callable[[Item], None]) -> None:
        assert told.wait(5)
        filming(stop)(put)

    stop = threading.Event()
    microphone, camera = Scripted("audio", [of_no_use]), Scripted("video", [films])
    both = monitor(tiny_model, stop, max_lateness_ms=5000.0, audio=microphone, video=camera)
    late_ms = []
    for output in both.outputs():
        if isinstance(output, SceneEstimate):
            late_ms.append((MonotonicClock().now_ns() - output.time_ns) / 1e6)
        if len(late_ms) == 10:
            stop.set()
    assert min(late_ms) < 4000  # a window that waited for sound would be 5000 late, each of them


def test_a_source_that_has_no_more_has_not_stalled(tiny_model: SceneModel) -> None:
    class Ending(Scripted):
        def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
            self.acts[0](put)

    stop = threading.Event()
    both = monitor(tiny_model, stop, audio=Ending("audio", [sound(0.5)]), video=Scripted("video", [filming(stop)]))
    seen = until(both.outputs(), lambda seen: labelled(seen, "v") >= 40, stop)
    assert events(seen) == []


def test_a_build_has_ended_when_the_run_has(tiny_model: SceneModel) -> None:
    over = threading.Event()

    def load(watch: Watch) -> SceneModel:
        while not watch.cancelled():
            threading.Event().wait(0.05)
        threading.Event().wait(0.1)
        over.set()
        raise ModelError("It was cancelled.")

    stop = threading.Event()
    alone = monitor(tiny_model, stop, successor=Successor(load), audio=Scripted("audio", [sound(2)]))
    until(alone.outputs(), lambda seen: labelled(seen, "a") >= 1, stop)
    assert over.is_set()


def test_nothing_to_begin_with_is_an_error(tiny_model: SceneModel) -> None:
    gone = [failing(None, DeviceError("There is no microphone; plug one in."))] * 50
    alone = monitor(tiny_model, threading.Event(), audio=Scripted("audio", gone))
    with pytest.raises(DeviceError, match="There is no microphone"):
        list(alone.outputs())


def test_fault_of_a_thread_is_raised_in_main(tiny_model: SceneModel) -> None:
    broken = Scripted("audio", [failing(sound(1), ZeroDivisionError("a fault"))])
    alone = monitor(tiny_model, threading.Event(), audio=broken)
    with pytest.raises(ZeroDivisionError, match="a fault"):
        list(alone.outputs())


def test_stop_ends_what_never_began(tiny_model: SceneModel) -> None:
    stop = threading.Event()
    silent = Scripted("audio", [])
    alone = monitor(tiny_model, stop, audio=silent)
    outputs = alone.outputs()
    reader = threading.Thread(target=lambda: list(outputs))
    reader.start()
    assert silent.over.wait(5)
    stop.set()
    reader.join(5)
    assert not reader.is_alive()
