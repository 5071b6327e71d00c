"""``edge-avsc run`` with a real sound server, a real camera server and a real RTSP server."""

from __future__ import annotations

import importlib.util
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edge_avsc.sources.synthetic import Demo
from real.pulse import Pulse, clicks_and_noise
from real.pulse import missing as missing_pulse
from real.running import estimates, events, last, running
from real.servers import has_rtsp_server, serving

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    if lacking := missing_pulse():
        pytest.skip(f"not installed here: {lacking}")
    with Pulse(tmp_path / "pulse", "mic") as server, server.play("mic", clicks_and_noise(120.0)) as player:
        yield server
        player.kill()


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
