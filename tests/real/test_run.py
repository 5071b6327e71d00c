"""``edge-avsc run`` with a real sound server, a real camera server and a real RTSP server."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from edge_avsc.sources.synthetic import Demo
from real.pulse import Pulse, clicks_and_noise
from real.pulse import missing as missing_pulse
from real.servers import has_rtsp_server, serving

pytestmark = pytest.mark.real
SCRIPT = str(Path(sys.executable).with_name("edge-avsc"))
ROOT = Path(__file__).resolve().parents[2]


class Run:
    """A running ``edge-avsc run`` and the lines that it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    def lines(self) -> list[dict[str, Any]]:
        text = self._path.read_text() if self._path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def wait_for(self, what: Callable[[list[dict[str, Any]]], bool], within_s: float = 15.0) -> list[dict[str, Any]]:
        """Return the lines as soon as they satisfy *what*."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            lines = self.lines()
            if what(lines):
                return lines
            assert self.process.poll() is None, self.process.communicate()[1].decode()
            time.sleep(0.05)
        raise AssertionError(f"it did not come within {within_s} s; the last lines: {self.lines()[-3:]}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return its exit code and how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(10), time.monotonic() - began


@contextmanager
def running(folder: Path, streams: dict[str, Any], model: Path, environment: dict[str, str]) -> Iterator[Run]:
    config, path = folder / "config.yaml", folder / "labels.jsonl"
    settings = {"streams": streams, "model": str(model), "sinks": {"jsonl": {"path": str(path)}, "console": None}}
    config.write_text(yaml.safe_dump({"version": 1, **settings}))
    with subprocess.Popen(
        [SCRIPT, "run", "--config", str(config)], env={**os.environ, **environment}, stderr=subprocess.PIPE
    ) as process:
        try:
            yield Run(process, path)
        finally:
            process.kill()


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    if lacking := missing_pulse():
        pytest.skip(f"not installed here: {lacking}")
    with Pulse(tmp_path / "pulse", "mic") as server:
        with server.play("mic", clicks_and_noise(120.0)) as player:
            yield server
            player.kill()


def estimates(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == "estimate"]


def events(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["source"], line["event"]) for line in lines if line["type"] == "event"]


def last(lines: list[dict[str, Any]], count: int, modality: str) -> bool:
    newest = estimates(lines)[-count:]
    return len(newest) == count and all(line["modality"] == modality for line in newest)


def test_microphone_and_camera_become_one_stream_and_survive_each_other(
    pulse: Pulse, tmp_path: Path, tiny_folder: Path
) -> None:
    with serving("mjpeg") as camera:
        streams = {"lobby": {"audio": "default", "video": f"http://127.0.0.1:{camera.port}/"}}
        with running(tmp_path, streams, tiny_folder, pulse.environment) as run:
            run.wait_for(lambda lines: last(lines, 6, "av"))
            camera.kill()
            run.wait_for(lambda lines: last(lines, 3, "a") and ("video", "lost") in events(lines))
            camera.start()
            run.wait_for(lambda lines: last(lines, 3, "av") and ("video", "recovered") in events(lines))
            pulse.kill()
            run.wait_for(lambda lines: last(lines, 3, "v") and ("audio", "lost") in events(lines))
            pulse.start()
            with pulse.play("mic", clicks_and_noise(60.0)) as player:
                run.wait_for(lambda lines: last(lines, 3, "av") and ("audio", "recovered") in events(lines))
                code, _ = run.end()
                player.kill()
    lines = run.lines()
    assert code == 0
    indices = [line["index"] for line in estimates(lines)]
    assert indices == list(range(len(indices)))
    assert all(line["time"].endswith("Z") for line in lines)


def test_hanging_servers_are_noticed(pulse: Pulse, tmp_path: Path, tiny_folder: Path) -> None:
    with serving("mjpeg") as camera:
        streams = {"lobby": {"audio": "default", "video": f"http://127.0.0.1:{camera.port}/"}}
        with running(tmp_path, streams, tiny_folder, pulse.environment) as run:
            run.wait_for(lambda lines: last(lines, 4, "av"))
            camera.signal(signal.SIGSTOP)
            run.wait_for(lambda lines: last(lines, 2, "a") and "video" in {source for source, _ in events(lines)})
            camera.signal(signal.SIGCONT)
            run.wait_for(lambda lines: last(lines, 3, "av"))
            pulse.stop()
            run.wait_for(lambda lines: last(lines, 2, "v") and "audio" in {source for source, _ in events(lines)})
            pulse.go_on()
            run.wait_for(lambda lines: last(lines, 3, "av"))
            assert run.end(signal.SIGINT)[0] == 0


def test_rtsp_brings_sound_and_picture_in_step(tmp_path: Path, tiny_folder: Path) -> None:
    if not has_rtsp_server():
        pytest.skip("not installed here: GstRtspServer for the system's Python")
    tool = load_tool("write_demo")
    path = tmp_path / "demo.mkv"
    tool.write_demo(path, Demo(duration_s=20, skew_ms=40), video_codec="libx264", audio_codec="pcm_s16le")
    with serving("rtsp", "--path", str(path)) as camera:
        streams = {"yard": {"media": f"rtsp://127.0.0.1:{camera.port}/"}}
        with running(tmp_path, streams, tiny_folder, {}) as run:
            lines = run.wait_for(lambda lines: any(line["av_skew_ms"] is not None for line in estimates(lines)), 25)
            assert last(lines, 3, "av")
            assert estimates(lines)[-1]["av_skew_ms"] == pytest.approx(40, abs=15)
            assert run.end()[0] == 0


def test_camera_that_never_answers_does_not_keep_it_from_ending(tmp_path: Path, tiny_folder: Path) -> None:
    with running(tmp_path, {"far": {"media": "rtsp://127.0.0.1:9/"}}, tiny_folder, {}) as run:
        run.wait_for(lambda lines: ("video", "lost") in events(lines))
        code, took_s = run.end()
        assert code == 0
        assert took_s < 2


def test_killed_run_leaves_whole_lines(tmp_path: Path, tiny_folder: Path) -> None:
    with running(tmp_path, {"demo": {"media": "test://demo?duration=600"}}, tiny_folder, {}) as run:
        run.wait_for(lambda lines: len(lines) >= 2)
        run.process.kill()
        run.process.wait()
    text = (tmp_path / "labels.jsonl").read_text()
    assert text.endswith("}\n")
    assert all(json.loads(line) for line in text.splitlines())


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
