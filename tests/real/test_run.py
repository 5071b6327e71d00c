"""``edge-avsc run`` with a real RTSP server."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from edge_avsc.sources.synthetic import Demo
from real.running import estimates, last, running
from real.servers import has_rtsp_server, serving

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]


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


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
