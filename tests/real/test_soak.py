"""Around the clock: a microphone and a camera for an hour, and nothing grows."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_avsc.sources.synthetic import Demo
from real.pulse import RATE_HZ, Pulse
from real.pulse import missing as missing_pulse
from real.running import Line, Run, Usage, close_to_label_ms, contiguous, estimates, events, running
from real.servers import serving

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(missing_pulse() is not None, reason=f"not installed here: {missing_pulse()}"),
]
WARM_UP_S = 600.0
SAMPLE_S = 10.0


@contextmanager
def playing_for_ever(pulse: Pulse, folder: Path, demo: Demo) -> Iterator[None]:
    """Play the demonstration's sound to the first sink, again and again."""
    path = folder / "demo.f32"
    demo.samples(0, demo.sample_count).astype("<f4").tofile(path)
    command = ["pacat", "--playback", f"--device={pulse.names[0]}", "--latency-msec=20", "--raw"]
    command += ["--format=float32le", f"--rate={RATE_HZ}", "--channels=2"]
    environment = {**os.environ, **pulse.environment}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as player:
        feeder = threading.Thread(target=_feed, args=(player, path), daemon=True)
        feeder.start()
        yield
        player.kill()
        feeder.join(5)


def _feed(player: subprocess.Popen[bytes], path: Path) -> None:
    assert player.stdin is not None
    sound = path.read_bytes()
    try:
        while True:
            player.stdin.write(sound)
    except OSError:
        return  # the player has ended


def write_pictures(folder: Path, demo: Demo) -> Path:
    """Write the demonstration's pictures as JPEGs."""
    folder.mkdir()
    for number in range(demo.frame_count):
        bgr = np.ascontiguousarray(demo.image(number)[:, :, ::-1])
        cv2.imwrite(str(folder / f"{number:06}.jpg"), cv2.resize(bgr, (640, 360)))
    return folder


@contextmanager
def lobby(folder: Path, model: Path | str) -> Iterator[Run]:
    """Run one stream of a microphone and a camera that never end."""
    demo = Demo()
    pictures = write_pictures(folder / "pictures", demo)
    with (
        Pulse(folder / "pulse", "mic") as pulse,
        playing_for_ever(pulse, folder, demo),
        serving("mjpeg", "--path", str(pictures)) as camera,
    ):
        streams = {"lobby": {"audio": "default", "video": f"http://127.0.0.1:{camera.port}/"}}
        with running(folder, streams, model, pulse.environment) as run:
            run.wait_for(lambda lines: len(estimates(lines)) >= 4, 30)
            yield run


def lost(lines: list[Line]) -> list[tuple[str, str]]:
    """Return the events of sources; that another program took this machine's cores is none."""
    return [(source, event) for source, event in events(lines) if source != "model"]


def slope_kb_an_hour(samples: list[Usage]) -> float:
    times = np.array([sample.at_s for sample in samples])
    return float(np.polyfit(times / 3600, [sample.resident_kb for sample in samples], 1)[0])


@pytest.mark.long
def test_nothing_grows_in_an_hour(tmp_path: Path) -> None:
    began = time.monotonic()
    samples: list[Usage] = []
    with lobby(tmp_path, "avsc-lite") as run, (tmp_path / "usage.csv").open("w") as log:
        while time.monotonic() < began + 3600:
            time.sleep(SAMPLE_S)
            samples.append(run.usage())
            one = samples[-1]
            held = (one.resident_kb, one.threads, one.descriptors, one.processes)
            print(round(one.at_s - began), *held, sep=",", file=log, flush=True)
        code, took_s = run.end()
        lines = run.lines()
    warm = [sample for sample in samples if sample.at_s > began + WARM_UP_S]
    print(f"slope {slope_kb_an_hour(warm):.0f} kB an hour, ended in {took_s:.2f} s,")
    print(f"p95 close_to_label {close_to_label_ms(lines):.1f} ms, p99 {close_to_label_ms(lines, 0.99):.1f} ms")
    assert code == 0
    assert slope_kb_an_hour(warm) < 1024
    assert len({sample.threads for sample in warm}) == 1
    assert len({sample.descriptors for sample in warm}) == 1
    assert len({sample.processes for sample in warm}) == 1
    print(f"{len(estimates(lines))} windows; events: {events(lines)}")
    assert contiguous(lines)
    assert not lost(lines)
