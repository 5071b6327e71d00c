"""Cameras of the network as they are: real servers, real sockets, real faults."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.audio_track import AudioTrack
from edge_avsc.clock import MonotonicClock
from edge_avsc.model import SceneModel
from edge_avsc.skew import FlashBeepDetector
from edge_avsc.sources.media_live import LiveMedia
from edge_avsc.sources.mjpeg import MjpegCamera
from edge_avsc.sources.synthetic import Demo
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, VideoFrame
from real.one_source import Run
from real.servers import Server, has_rtsp_server, serving, stamp_of
from recordings import Pictures, Sound, needs_encoder, write_recording

pytestmark = pytest.mark.real

LOSS_NOTICED_S = 2.0
STOPPED_S = 0.3
SKEW_MS = 40.0


def mjpeg(server: Server, path: str = "", login: str = "") -> MjpegCamera:
    uri = f"http://{login}127.0.0.1:{server.port}/{path}"
    return MjpegCamera(uri, clock=MonotonicClock(), wants=lambda time_ns: True, picture_px=360)


def rtsp(server: Server, login: str = "") -> LiveMedia:
    uri = f"rtsp://{login}127.0.0.1:{server.port}/"
    return LiveMedia(uri, clock=MonotonicClock(), wants=lambda time_ns: True, picture_px=64)


@pytest.fixture(scope="module")
def flash_and_beep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recording as a camera would send it: no picture waits for a later one."""
    if not has_rtsp_server():
        pytest.skip("GstRtspServer and its plugins are not here")
    needs_encoder("libx264")
    demo = Demo(25.0, SKEW_MS, 1, 25)
    return write_recording(
        tmp_path_factory.mktemp("rtsp") / "demo.mkv",
        25.0,
        pictures=Pictures(320, 240, draw=demo.image),
        sound=Sound(codec="pcm_s16le", samples=demo.samples(0, demo.sample_count)),
    )


@pytest.fixture
def rtsp_server(flash_and_beep: Path) -> Iterator[Server]:
    with serving("rtsp", "--path", str(flash_and_beep)) as server:
        yield server


def test_mjpeg_frames_are_stamped_when_they_were_drawn() -> None:
    with serving("mjpeg", "--fps", "30") as server, Run(mjpeg(server)) as run:
        opening_s = run.wait_for_frames(1)
        run.wait_for_frames(90)
        stopping_s = run.stop()
    pictures = [(frame, frame.image) for _, frame in run.frames if frame.image is not None]
    late_ms = [(frame.time_ns - stamp_of(image)) / NS_PER_MS for frame, image in pictures]
    assert np.median(late_ms) < 10.0
    assert min(late_ms) >= 0.0
    assert opening_s < 1.0
    assert stopping_s < STOPPED_S
    assert run.error is None
    assert run.events == []


def test_mjpeg_survives_every_fault_of_its_server() -> None:
    with serving("mjpeg") as server:
        source = mjpeg(server)
        for fault in (server.kill, lambda: server.signal(signal.SIGSTOP)):
            with Run(source) as run:
                run.wait_for_frames(10)
                fault()
                assert run.wait_for_loss() < LOSS_NOTICED_S
            with Run(source) as run:  # as long as it lasts
                run.wait_for_loss()
                assert run.frames == []
            server.kill()
            server.start()
        with Run(source) as run:
            assert run.wait_for_frames(10) < 3.0


def test_mjpeg_tells_what_is_wrong() -> None:
    with serving("mjpeg", "--password", "secret") as server:
        for source, sentence in (
            (mjpeg(server), "wants another user or password (401)"),
            (mjpeg(server, login="user:wrong@"), "wants another user or password (401)"),
            (mjpeg(server, "nothing", "user:secret@"), "answers 404 Not Found"),
            (mjpeg(server, "text", "user:secret@"), "sends text/plain, not an MJPEG stream"),
            (mjpeg(server, "short", "user:secret@"), "closed the stream"),
        ):
            with Run(source) as run:
                run.wait_for_loss()
            assert sentence in str(run.error)
            assert "secret" not in str(run.error)
        assert len(run.frames) == 10


def test_mjpeg_proves_its_password_without_telling_it() -> None:
    with serving("mjpeg", "--password", "secret", "--digest") as server:
        with Run(mjpeg(server, login="user:wrong@")) as run:
            run.wait_for_loss()
        assert "wants another user or password (401)" in str(run.error)
        with Run(mjpeg(server, login="user:secret@")) as run:
            run.wait_for_frames(3)


def test_a_frozen_mjpeg_camera_is_told() -> None:
    with serving("mjpeg", "--freeze-after", "10") as server, Run(mjpeg(server)) as run:
        run.wait_for(lambda: bool(run.events))
        seen = len(run.frames)
        run.wait_for(lambda: False if run.error else time.monotonic_ns() - run.items[-1][0] > NS_PER_S // 2)
    assert run.events == ["frozen"]
    assert len(run.frames) == seen


def test_rtsp_brings_flash_and_beep_with_their_skew(rtsp_server: Server, tiny_model: SceneModel) -> None:
    with Run(rtsp(rtsp_server)) as run:
        opening_s = run.wait_for_frames(1)
        run.wait_for_frames(25 * 9)
        stopping_s = run.stop()
    detector = FlashBeepDetector()
    track = AudioTrack(tiny_model.bundle.audio, tiny_model.log_mel, lambda counter, n: None)
    gaps, expected = 0, None
    for at_ns, item in run.items:
        if isinstance(item, AudioChunk):
            gaps += 0 if expected is None else item.index - expected
            expected = item.index + len(item.samples)
            track.add(item, at_ns)
            detector.listen(track, item.time_ns)
        elif isinstance(item, VideoFrame):
            assert item.luma is not None
            detector.frame(item.time_ns, item.luma)
    assert detector.skew_ms == pytest.approx(SKEW_MS, abs=15.0)
    assert gaps == 0
    assert opening_s < 3.0
    assert stopping_s < STOPPED_S
    assert run.events == []
    # Stamps keep the distance of the pictures, whatever the arrivals did.
    distances_ms = np.diff([frame.time_ns for _, frame in run.frames]) / NS_PER_MS
    assert np.percentile(np.abs(distances_ms - 40.0), 99) < 5.0


def test_rtsp_survives_every_fault_of_its_server(rtsp_server: Server) -> None:
    source = rtsp(rtsp_server)
    for fault in (rtsp_server.kill, lambda: rtsp_server.signal(signal.SIGSTOP)):
        with Run(source) as run:
            run.wait_for_frames(10)
            fault()
            assert run.wait_for_loss() < LOSS_NOTICED_S
        with Run(source) as run:
            assert run.wait_for_loss() < 3.0
            assert run.items == []
        rtsp_server.kill()
        rtsp_server.start()
    with Run(source) as run:
        assert run.wait_for_frames(10) < 3.0
        assert run.stop() < STOPPED_S


def test_rtsp_tells_what_is_wrong(flash_and_beep: Path) -> None:
    with serving("rtsp", "--path", str(flash_and_beep), "--password", "secret") as server:
        with Run(rtsp(server, "user:wrong@")) as run:
            run.wait_for_loss()
        assert "wants another user or password" in str(run.error)
        assert "wrong" not in str(run.error)
        with Run(rtsp(server, "user:secret@")) as run:
            run.wait_for_frames(5)


def test_a_stop_is_obeyed_while_nobody_answers() -> None:
    with serving("mjpeg") as server:
        server.signal(signal.SIGSTOP)
        for source in (mjpeg(server), rtsp(server)):
            with Run(source) as run:
                time.sleep(0.3)
                assert run.stop() < STOPPED_S
            assert run.error is None
