"""What is labelled live is what a replay of the same recording, from the same offset, labels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy import float64
from numpy.typing import NDArray

from edge_avsc.inbox import Arrival
from edge_avsc.model import SceneModel
from edge_avsc.pipeline import ScenePipeline
from edge_avsc.sources.media import MediaSource
from edge_avsc.stream import StreamSettings
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, Role, SceneEstimate, available_ns
from edge_avsc.video_track import WantedFrames
from real.pulse import Pulse
from real.pulse import missing as missing_pulse
from real.running import Line, close_to_label_ms, contiguous, estimates, events, running, utc_s
from real.servers import has_rtsp_server, serving
from real.spliced import FPS, Material, demonstration, real_scenes

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(missing_pulse() is not None, reason=f"not installed here: {missing_pulse()}"),
    pytest.mark.skipif(not has_rtsp_server(), reason="not installed here: GstRtspServer for the system's Python"),
]
ROLES: frozenset[Role] = frozenset({"audio", "video"})
HOP_NS = NS_PER_S // 2
SEARCHED_S = 15
PLAYER_STARTS_S = 0.02


def items_from(items: Iterator[Item], epoch_ns: int) -> Iterator[Item]:
    """Yield what a recording holds from *epoch_ns* on, to the sample."""
    for item in items:
        if isinstance(item, AudioChunk) and item.time_ns < epoch_ns:
            n = -((item.time_ns - epoch_ns) * item.rate_hz // NS_PER_S)
            if n >= len(item.samples):
                continue
            begin_ns = item.time_ns + n * NS_PER_S // item.rate_hz
            item = replace(item, samples=item.samples[n:], index=item.index + n, time_ns=begin_ns)
        if isinstance(item, AudioChunk) or item.time_ns >= epoch_ns:
            yield item


def replayed(items: Iterator[Item], model: SceneModel, epoch_ns: int) -> Iterator[SceneEstimate]:
    """Replay a recording's items from *epoch_ns* on."""
    pipeline = ScenePipeline(model, hop_ns=HOP_NS)
    pipeline.open("replay", StreamSettings(ROLES, epoch_ns, recorded=True))
    for item in items_from(items, epoch_ns):
        for output in pipeline.process((Arrival("replay", item, available_ns(item)),), available_ns(item)):
            if isinstance(output, SceneEstimate):
                yield output


def items_of(path: Path, model: SceneModel, epoch_ns: int) -> Iterator[Item]:
    wanted = WantedFrames(epoch_ns, model.bundle.image.frames_per_s)
    with MediaSource(str(path), roles=ROLES, wants=wanted.wants, picture_px=2 * model.bundle.image.size_px) as source:
        yield from source.items()


def first_items(path: Path, model: SceneModel) -> list[Item]:
    """Return the recording's beginning, with all of its pictures."""
    kept: list[Item] = []
    with MediaSource(str(path), roles=ROLES, wants=lambda _: True, picture_px=model.bundle.image.size_px) as source:
        for item in source.items():
            if item.time_ns > SEARCHED_S * NS_PER_S:
                break
            kept.append(item)
    return kept


def differences(live: list[Line], again: list[SceneEstimate], shift: int = 0) -> NDArray[float64]:
    """Return the absolute differences of window probabilities ``[windows, labels]`` of windows that both judged."""
    pairs = zip(live[shift:], again, strict=False)
    rows = [
        [abs(one["window_probabilities"][label] - other.window_probabilities[label]) for label in one["probabilities"]]
        for one, other in pairs
        if one["modality"] == other.modality == "av"
    ]
    return np.array(rows)


def offset_ns(live: list[Line], path: Path, model: SceneModel, low_s: float, high_s: float) -> int:
    """Return where in the recording the live stream began: where their probabilities differ least."""
    beginning = first_items(path, model)
    where_ns = np.arange(round(low_s * 1e9), round(high_s * 1e9), 50 * NS_PER_MS)
    for step_ms in (10, 2):
        best = min(where_ns, key=lambda ns: cost(live, beginning, model, int(ns)))
        where_ns = np.arange(best - 5 * step_ms * NS_PER_MS, best + 5 * step_ms * NS_PER_MS + 1, step_ms * NS_PER_MS)
    return int(min(where_ns, key=lambda ns: cost(live, beginning, model, int(ns))))


def cost(live: list[Line], beginning: list[Item], model: SceneModel, epoch_ns: int) -> float:
    found = differences(live, list(replayed(iter(beginning), model, epoch_ns)))
    return float(found.mean()) if len(found) else 1.0


@dataclass(frozen=True)
class Agreement:
    """How a live stream compares with the replay of what was played to it."""

    windows: int
    same_labels: float
    median: float
    median_of_worst: float
    changes: int
    poorer: int
    """Windows that had less sound or pictures than in the replay."""
    offset_s: float

    @classmethod
    def of(
        cls, lines: list[Line], stream: str, path: Path, model: SceneModel, low_s: float, high_s: float
    ) -> Agreement:
        live = estimates(lines, stream)
        epoch_ns = offset_ns(live, path, model, low_s, high_s)
        again = list(replayed(items_of(path, model, epoch_ns), model, epoch_ns))
        both = list(zip(live, again, strict=False))
        found = differences(live, again)
        return cls(
            windows=len(both),
            same_labels=float(np.mean([one["scene_label"] == other.scene_label for one, other in both])),
            median=float(np.median(found)),
            median_of_worst=float(np.median(found.max(axis=1))),
            changes=sum(one.changed for one in again) - 1,
            poorer=sum(
                one["coverage"]["audio"] < other.audio_coverage - 0.05
                or one["coverage"]["video"] < other.video_coverage
                for one, other in both
            ),
            offset_s=epoch_ns / NS_PER_S,
        )


def compare(folder: Path, material: Material, model: SceneModel) -> tuple[list[Agreement], list[Line], str]:
    """Play the material to a microphone and an MJPEG camera, and as an RTSP camera; return how each agrees."""
    pictures = material.write_jpegs(folder / "pictures")
    recorded, streamed = (
        material.write(folder / "recorded.mkv", "mjpeg"),
        material.write(folder / "h264.mkv", "libx264"),
    )
    seconds = len(material.jpegs) / FPS
    with Pulse(folder / "pulse", "mic") as pulse, serving("rtsp", "--path", str(streamed)) as far:
        sound = pulse.write("mic", material.sound)
        time.sleep(2.0)  # a sound server that was just started reports wrong delays
        began_ns = time.monotonic_ns() + round(PLAYER_STARTS_S * NS_PER_S)
        began_utc_s = time.time() + PLAYER_STARTS_S
        with (
            pulse.play_file("mic", sound) as player,
            serving("mjpeg", "--path", str(pictures), "--began", str(began_ns)) as camera,
        ):
            streams = {
                "lobby": {"audio": "mic", "video": f"http://127.0.0.1:{camera.port}/"},
                "yard": {"media": f"rtsp://127.0.0.1:{far.port}/"},
            }
            with running(folder, streams, model.folder, pulse.environment, console={"changes_only": True}) as run:
                time.sleep(max(0.0, began_utc_s + seconds - 1.0 - time.time()))
                code, took_s = run.end()
                assert code == 0
                assert took_s < 1.0
            player.kill()
    lines = run.lines()
    guess_s = utc_s(estimates(lines, "lobby")[0]) - 1.0 - began_utc_s
    found = [
        Agreement.of(lines, "lobby", recorded, model, max(0.0, guess_s - 0.15), guess_s + 0.15),
        Agreement.of(lines, "yard", streamed, model, 0.25, 1.25),
    ]
    return found, lines, run.summary()


def test_a_demonstration_played_live_is_labelled_as_its_replay(tmp_path: Path) -> None:
    agreements, lines, _ = compare(tmp_path, demonstration(20.0), SceneModel.load())
    for one in agreements:
        print(one)
        assert one.windows >= 30
        # Four scenes that only resemble real ones: of so few windows, some lie between two labels.
        assert one.same_labels >= 0.8
        assert one.median <= 0.02
    for stream in ("lobby", "yard"):
        assert contiguous(lines, stream)
    assert {event for _, event in events(lines)} <= {"relief"}


@pytest.mark.long
def test_ten_minutes_of_real_scenes_played_live_are_labelled_as_their_replay(tmp_path: Path, shared_data: Path) -> None:
    agreements, lines, summary = compare(tmp_path, real_scenes(shared_data, 600.0), SceneModel.load())
    print(summary)
    print(*agreements, f"p95 close_to_label {close_to_label_ms(lines):.2f} ms", sep="\n")
    for one in agreements:
        assert one.windows > 1150
        assert one.changes >= 4
        assert one.same_labels >= 0.98
        assert one.median <= 0.02
    assert "dropped" not in summary
    assert not events(lines)
