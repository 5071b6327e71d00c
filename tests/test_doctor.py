from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.cli import main
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import parse_config
from edge_avsc.doctor import Finding, examine, stream_findings
from edge_avsc.errors import DeviceError
from edge_avsc.types import NS_PER_S, AudioChunk, Item, Role, VideoFrame
from played import RATE_HZ, Played, demo, event, noise, pictures, sound, surveyed

SOUND, PICTURES = sound(noise(1)), pictures(1)


def told(findings: list[Finding]) -> dict[str, str]:
    """What was found, by what was looked at."""
    return {finding.what: str(finding) for finding in findings}


def looked(
    tiny_folder: Path, streams: str, open_source: Callable[..., Played] | None = None, rest: str = ""
) -> list[Finding]:
    config = parse_config(f"model: {tiny_folder}\nstreams: {streams}\n{rest}")
    return list(examine(config, seconds=0.5, clock=MonotonicClock(), open_source=open_source))


def test_finding_is_one_line_and_its_mend() -> None:
    assert str(Finding("a", "well")) == "ok    a: well"
    assert str(Finding("a", "ill", "Rest.")) == "warn  a: ill\n      Rest."
    assert str(Finding("a", "dead", "Buy another.", 3)) == "FAIL  a: dead\n      Buy another."


def test_sentence_of_an_error_is_taken_apart() -> None:
    finding = Finding.failure("a", DeviceError("The microphone 'x' is busy; close it, or write 'default'. Hm?"))
    assert (finding.finding, finding.mend) == ("The microphone 'x' is busy.", "Close it, or write 'default'. Hm?")
    assert Finding.failure("a", DeviceError("Gone.")).mend


def test_all_is_well_with_the_demonstration(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, lines = tmp_path / "c.yaml", tmp_path / "labels.jsonl"
    config.write_text(
        f"model: {tiny_folder}\nstreams: {{lobby: {{media: 'test://demo?duration=2'}}}}\n"
        f"sinks: {{jsonl: {{path: {lines}}}}}"
    )
    assert main(["doctor", "--config", str(config), "--seconds", "1"]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out
    for start in (
        "Python",
        "packages: numpy ",
        "ONNX Runtime: has ",
        "model: ",
        "speed: sound ",
        "configuration: streams lobby; a window every 0.5 s",
        "lobby audio: 48000 Hz, 2 channels, -",
        "lobby audio clock: times hold within ",
        "lobby video: 25.0 frames a second, 320 x 180, brightness ",
        "JSON lines: ",
    ):
        assert f"\nok    {start}" in f"\n{out}"
    assert not lines.exists()


def test_whole_demonstration_shows_its_skew(tiny_folder: Path) -> None:
    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, demo(uri, roles))

    streams = "{a: {media: 'test://demo?duration=6'}, b: {media: 'test://demo?duration=6&skew_ms=70'}}"
    found = told(looked(tiny_folder, streams, opened))
    assert found["a skew"].startswith("ok")
    assert found["b skew"].startswith("warn")
    assert "edge-avsc sync" in found["b skew"]


def test_each_source_fails_on_its_own(tiny_folder: Path) -> None:
    gone = DeviceError("There is no camera rtsp://me:secret@h/x; plug it in.")

    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        return Played(roles, SOUND) if uri == "ear" else Played(roles, [], gone)

    findings = looked(tiny_folder, "{a: {audio: ear}, b: {video: eye}, c: {audio: ear, video: eye}}", opened)
    found = told(findings)
    assert found["a audio"].startswith("ok")
    assert found["c audio"].startswith("ok")
    assert found["b video"] == "FAIL  b video: There is no camera rtsp://h/x.\n      Plug it in."
    assert max(finding.exit_code for finding in findings) == 3
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("rest", "streams", "code"),
    [
        ("model: nowhere", "{a: {media: 'test://demo?duration=1'}}", 4),
        ("", "{a: {audio: 'alsa://no-such-device-here'}}", 3),
        ("model: nowhere", "{a: {audio: 'alsa://no-such-device-here'}}", 4),
        ("", "{a: {media: 'missing.mp4'}}", 2),
        ("", "{a: {audio: 'rtmp://me:secret@h/x'}}", 2),
        ("sinks: {jsonl: {path: /nowhere/labels.jsonl}}", "{a: {media: 'test://demo?duration=1'}}", 2),
        ("smoothin: {}", "{a: {media: 'test://demo'}}", 2),
    ],
)
def test_exit_code_says_what_could_not_run(
    rest: str, streams: str, code: int, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    model = "" if rest.startswith("model") else f"model: {tiny_folder}\n"
    config.write_text(f"{model}{rest}\nstreams: {streams}\n")
    assert main(["doctor", "--config", str(config), "--seconds", "0.5"]) == code
    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err
    assert "Traceback" not in captured.err
    assert ("FAIL" in captured.out) != (rest == "smoothin: {}")


def test_bundle_that_computes_something_else_fails(tiny_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiny_folder, tmp_path / "bundle")
    with np.load(folder / "golden_outputs.npz") as arrays:
        changed = {name: array * 0.9 for name, array in arrays.items()}
    np.savez(folder / "golden_outputs.npz", **changed)
    findings = looked(folder, "{a: {audio: x}}", lambda uri, roles, **_: Played(roles, SOUND))
    assert [finding.what for finding in findings if finding.exit_code] == ["model"]


def test_provider_that_is_not_there_is_a_warning(tiny_folder: Path) -> None:
    found = told(
        looked(tiny_folder, "{a: {audio: x}}", lambda uri, roles, **_: Played(roles, SOUND), "provider: openvino")
    )
    assert found["provider"].startswith("warn  provider: OpenVINOExecutionProvider was asked for")


def of_sound(items: list[Item]) -> dict[str, str]:
    return told(list(stream_findings(surveyed(audio=items))))


def of_pictures(items: list[Item]) -> dict[str, str]:
    return told(list(stream_findings(surveyed(video=items))))


def test_good_sound_is_well() -> None:
    found = of_sound(SOUND)
    assert all(line.startswith("ok") for line in found.values())
    assert set(found) == {"s audio", "s audio clock"}


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((RATE_HZ, 1), np.float32), "digital silence"),
        (np.clip(noise(1, 0.8), -1, 1), "clipped"),
        (noise(1, 1e-4), "very quiet"),
    ],
)
def test_bad_level_is_a_warning(samples: np.ndarray[tuple[int, int], np.dtype[np.float32]], says: str) -> None:
    line = of_sound(sound(samples))["s audio"]
    assert line.startswith("warn")
    assert says in line


def test_wrong_rate_is_a_warning() -> None:
    chunks = [
        AudioChunk(noise(0.01), RATE_HZ, 160 * number, number * NS_PER_S // 100 * 9 // 10) for number in range(300)
    ]
    assert "another rate than it says" in of_sound(list(chunks))["s audio clock"]


def test_rough_times_are_a_warning() -> None:
    jitter = np.random.default_rng(3).normal(0, 0.012, 300)
    chunks = [
        AudioChunk(noise(0.01), RATE_HZ, 160 * number, round((1 + number / 100 + jitter[number]) * NS_PER_S))
        for number in range(300)
    ]
    assert of_sound(list(chunks))["s audio clock"].startswith("warn")


def test_gaps_are_a_warning() -> None:
    found = of_sound([item for number, item in enumerate(SOUND) if number % 10])
    assert "1440 samples lost in gaps" in found["s audio losses"]


def test_nothing_delivered_fails() -> None:
    assert of_sound([])["s audio"].startswith("FAIL  s audio: It delivers nothing.")
    assert of_pictures([])["s video"].startswith("FAIL  s video: It delivers nothing.")


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (pictures(1, value=3), "black"),
        (pictures(1, value=99), "all of them the same"),
        ([*pictures(1), VideoFrame(3 * NS_PER_S)], "once none for 2040 ms"),
    ],
)
def test_bad_pictures_are_a_warning(items: list[Item], says: str) -> None:
    line = of_pictures(items)["s video"]
    assert line.startswith("warn")
    assert says in line


def test_good_pictures_are_well() -> None:
    assert of_pictures(PICTURES)["s video"].startswith(
        "ok    s video: 25.0 frames a second, 64 x 48, brightness 99 (99 to"
    )


def test_what_a_source_tells_is_a_warning() -> None:
    findings = stream_findings(surveyed(audio=[*SOUND, event("audio", "clock", "The device has no times.")]))
    assert [str(one)[:38] for one in findings if one.mend] == ["warn  s audio: The device has no times"]


def test_lines_of_others_are_refused_and_left_alone(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Buy milk.\n")
    findings = looked(
        tiny_folder,
        "{a: {audio: x}}",
        lambda uri, roles, **_: Played(roles, SOUND),
        f"sinks: {{jsonl: {{path: {path}}}}}",
    )
    assert findings[-1].exit_code == 2
    assert path.read_text() == "Buy milk.\n"


def test_default_configuration_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--seconds", "0.5"]) in (0, 3)
    assert "streams live" in capsys.readouterr().out


def test_shipped_live_configuration_validates() -> None:
    path = Path(__file__).parents[1] / "configs" / "live.yaml"
    config = parse_config(path.read_text(encoding="utf-8"))
    assert config.streams["lobby"].video is not None
    assert config.sinks.console is not None
    assert config.sinks.console.changes_only
