"""``edge-avsc sync`` and ``edge-avsc doctor`` with a real sound server, a real camera server and a real RTSP server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from edge_avsc.sources.synthetic import Demo
from real.pulse import Pulse, clicks_and_noise
from real.pulse import missing as missing_pulse
from real.running import estimates, running
from real.servers import has_rtsp_server, serving
from real.spliced import demonstration
from taken import write_demo_tool

pytestmark = pytest.mark.real
SECRET = "pass-word"


def command(
    verb: str, config: Path, streams: object, *options: str, environment: dict[str, str] | None = None, **rest: object
) -> tuple[int, str]:
    """Run a verb; return its exit code and all that it wrote."""
    config.write_text(yaml.safe_dump({"streams": streams, **rest}))
    done = subprocess.run(
        [sys.executable, "-m", "edge_avsc.cli", verb, "--config", str(config), *options],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_sync_measures_an_rtsp_camera_and_what_it_says_helps(tmp_path: Path) -> None:
    if not has_rtsp_server():
        pytest.skip("not installed here: GstRtspServer for the system's Python")
    path, config = tmp_path / "demo.mkv", tmp_path / "c.yaml"
    write_demo_tool().write_demo(path, Demo(duration_s=20, skew_ms=70), video_codec="libx264", audio_codec="pcm_s16le")
    with serving("rtsp", "--path", str(path), "--password", SECRET) as camera:
        bare = f"rtsp://127.0.0.1:{camera.port}/"
        whole = bare.replace("://", f"://user:{SECRET}@")
        code, out = command("sync", config, {"yard": {"media": whole}}, "--seconds", "6")
        assert code == 0, out
        assert SECRET not in out
        pasted = yaml.safe_load(out[out.index('  "yard":') :])
        assert pasted["yard"]["audio"] == bare
        assert pasted["yard"]["video"]["latency_ms"] == pytest.approx(-70, abs=15)
        streams = yaml.safe_load(yaml.safe_dump(pasted).replace(bare, whole))
        code, out = command("sync", config, streams, "--seconds", "6")
        assert code == 0, out
        assert abs(float(out.split("av_skew_ms is ")[1].split(":")[0])) < 15


def test_sync_and_a_run_measure_a_microphone_and_a_camera_whose_truth_is_known(
    tmp_path: Path, tiny_folder: Path
) -> None:
    if lacking := missing_pulse():
        pytest.skip(f"not installed here: {lacking}")
    material = demonstration(20.0, skew_ms=60.0)
    pictures = material.write_jpegs(tmp_path / "pictures")
    with Pulse(tmp_path / "pulse", "mic") as pulse:
        sound = pulse.write("mic", material.sound)
        with (
            pulse.playing_since("mic", sound) as began_ns,
            serving("mjpeg", "--path", str(pictures), "--began", str(began_ns)) as camera,
        ):
            streams = {"lobby": {"audio": "mic", "video": f"http://127.0.0.1:{camera.port}/"}}
            with running(tmp_path, streams, tiny_folder, pulse.environment) as run:
                code, out = command(
                    "sync", tmp_path / "c.yaml", streams, "--seconds", "14", environment=pulse.environment
                )
                lines = run.wait_for(lambda lines: any(line["av_skew_ms"] is not None for line in estimates(lines)))
    assert code == 0, out
    assert float(out.split("av_skew_ms is ")[1].split(":")[0]) == pytest.approx(60, abs=15)
    assert estimates(lines)[-1]["av_skew_ms"] == pytest.approx(60, abs=15)


def test_doctor_tells_what_real_servers_deliver(tmp_path: Path, tiny_folder: Path) -> None:
    if lacking := missing_pulse():
        pytest.skip(f"not installed here: {lacking}")
    config = tmp_path / "c.yaml"
    with (
        Pulse(tmp_path / "pulse", "mic", "mute") as pulse,
        serving("mjpeg", "--password", SECRET) as camera,
        pulse.play("mic", clicks_and_noise(60.0)) as player,
    ):
        time.sleep(2.0)  # a sound server that was just started reports wrong delays
        good = f"http://user:{SECRET}@127.0.0.1:{camera.port}/"
        streams = {
            "lobby": {"audio": "default", "video": good},
            "mute": {"audio": "mute"},
            "bad": {"audio": "no-such-thing", "video": good.replace(SECRET, "another")},
        }
        code, out = command("doctor", config, streams, environment=pulse.environment, model=str(tiny_folder))
        player.kill()
    assert code == 3, out
    assert SECRET not in out
    for start in ("lobby audio: 48000 Hz, 2 channels", "lobby video: 2"):
        assert f"\nok    {start}" in out, out
    # Whether they hold well is up to how busy this machine is; what is said of that, tests of findings show.
    assert "lobby audio clock: times hold within" in out, out
    assert "640 x 360" in out
    assert "\nwarn  mute audio: 48000 Hz, 2 channels, digital silence" in out
    assert "\nFAIL  bad audio: There is no microphone 'no-such-thing'" in out
    assert "\nFAIL  bad video: " in out
