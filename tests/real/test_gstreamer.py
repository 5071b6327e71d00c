"""Pipelines of GStreamer as they are: real processes that are killed, hang, or fail."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.clock import MonotonicClock
from edge_avsc.sources.gstreamer import SILENCE_S, GstreamerCamera
from edge_avsc.sources.synthetic import Demo
from edge_avsc.types import NS_PER_S
from real.one_source import Run
from real.servers import has_rtsp_server, serving
from recordings import Pictures, Sound, needs_encoder, write_recording

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gstreamer1.0-tools is not installed"),
]

BALL = "gst://videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1"
BARS = "gst://videotestsrc is-live=true pattern=smpte ! video/x-raw,width=640,height=480,framerate=30/1"


def camera(uri: str) -> GstreamerCamera:
    return GstreamerCamera(uri, clock=MonotonicClock(), wants=lambda time_ns: True, picture_px=128)


def children() -> list[int]:
    """The processes that this one has started, dead ones that nobody waited for included."""
    mine: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid():
            mine.append(int(status.parent.name))
    return mine


def pipeline() -> int:
    """The process of the pipeline that runs: what other tests have begun goes on beside it."""
    (process,) = (one for one in children() if "gst-launch" in Path(f"/proc/{one}/cmdline").read_text())
    return process


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No pipeline outlives its source, not even as a zombie."""
    before = set(children())
    yield
    assert set(children()) <= before


def test_frames_come_at_their_rate_and_in_order() -> None:
    with Run(camera(BALL)) as run:
        run.wait_for_frames(60)
        assert run.stop() < 1.0
    assert run.error is None
    times_ns = [frame.time_ns for _, frame in run.frames]
    assert times_ns == sorted(times_ns)
    assert np.median(np.diff(times_ns[5:])) / NS_PER_S == pytest.approx(1 / 30, rel=0.2)
    late_ns = [at_ns - frame.time_ns for at_ns, frame in run.frames]
    assert min(late_ns) >= 0
    assert np.median(late_ns) < NS_PER_S / 30


def test_colours_arrive_as_they_were_sent() -> None:
    with Run(camera(BARS)) as run:
        run.wait_for_frames(2)
    image = run.frames[1][1].image
    assert image is not None
    assert min(image.shape[:2]) >= 128
    row = image[image.shape[0] // 3]
    width = image.shape[1]
    seen = [row[int((bar + 0.5) * width / 7)].astype(int) for bar in range(7)]
    # White, yellow, cyan, green, magenta, red, blue.
    wanted = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]
    for colour, bits in zip(seen, wanted, strict=True):
        assert np.abs(colour - 255 * np.array(bits)).max() < 12, (colour, bits)


def test_a_pipeline_that_is_killed_is_a_loss() -> None:
    with Run(camera(BALL)) as run:
        run.wait_for_frames(5)
        os.kill(pipeline(), signal.SIGKILL)
        assert run.wait_for_loss() < 1.0
    assert "has ended" in str(run.error)


def test_a_pipeline_that_hangs_is_a_loss_and_is_ended() -> None:
    with Run(camera(BALL)) as run:
        run.wait_for_frames(5)
        process = pipeline()
        os.kill(process, signal.SIGSTOP)
        assert run.wait_for_loss() < SILENCE_S + 1.0
        run.wait_for(lambda: process not in children())
    assert "has sent nothing for" in str(run.error)


def test_a_pipeline_that_ends_by_itself_is_a_loss() -> None:
    with Run(camera("gst://videotestsrc num-buffers=10 is-live=true")) as run:
        run.wait_for_loss()
    assert "has ended" in str(run.error)
    assert len(run.frames) == 10


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        ("gst://nosuchsrc", 'there is no element "nosuchsrc"'),
        ("gst://filesrc location=/no/such/file ! decodebin", "Resource not found|No such file"),
        ("gst://videotestsrc nosuch=1", "nosuch"),
        ("gst://audiotestsrc is-live=true", "could not link"),
    ],
)
def test_a_pipeline_that_does_not_start_says_why(pipeline: str, says: str) -> None:
    with Run(camera(pipeline)) as run:
        run.wait_for_loss()
    sentence = str(run.error)
    assert sentence.startswith(f"The camera {pipeline} does not start (")
    assert "\n" not in sentence
    assert any(words in sentence for words in says.split("|"))


def test_a_network_camera_is_decoded_by_the_pipelines_own_decoder(tmp_path: Path) -> None:
    """On a board it is nvv4l2decoder; here it is the processor's."""
    if not has_rtsp_server():
        pytest.skip("GstRtspServer and its plugins are not here")
    needs_encoder("libx264")
    demo = Demo(25.0, 0.0, 1, 25)
    sound = Sound(codec="pcm_s16le", samples=demo.samples(0, demo.sample_count))
    pictures = Pictures(320, 240, draw=demo.image)
    path = write_recording(tmp_path / "demo.mkv", 25.0, pictures=pictures, sound=sound)
    with serving("rtsp", "--path", str(path)) as server:
        address = f"rtsp://127.0.0.1:{server.port}/"
        decoder = "rtph264depay ! h264parse ! avdec_h264"
        with Run(camera(f"gst://rtspsrc location={address} latency=50 ! {decoder}")) as run:
            run.wait_for_frames(30)
    assert run.error is None
    image = run.frames[20][1].image
    assert image is not None
    assert image.std() > 5


def test_secrets_of_an_address_are_not_told() -> None:
    with Run(camera("gst://rtspsrc location=rtsp://me:secret@127.0.0.1:1/ ! decodebin")) as run:
        run.wait_for(lambda: run.error is not None, timeout_s=25.0)
    assert "secret" not in str(run.error)
