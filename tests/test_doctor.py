from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.cli import main
from edge_avsc.clock import MonotonicClock
from edge_avsc.config import parse_config
from edge_avsc.doctor import examine, packages
from edge_avsc.errors import DeviceError
from edge_avsc.findings import Finding
from edge_avsc.types import Role
from played import Played, demo, noise, pictures, sound

SOUND, PICTURES = sound(noise(1)), pictures(1)


def told(findings: list[Finding]) -> dict[str, str]:
    """What was found, by what was looked at."""
    return {finding.what: str(finding) for finding in findings}


def looked(
    tiny_folder: Path, streams: str, open_source: Callable[..., Played] | None = None, rest: str = ""
) -> list[Finding]:
    config = parse_config(f"model: {tiny_folder}\nstreams: {streams}\n{rest}")
    return list(examine(config, seconds=0.5, clock=MonotonicClock(), open_source=open_source))


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
    folder = shutil.copytree(tiny_folder, tmp_path / "bundle")
    with np.load(folder / "golden_outputs.npz") as arrays:
        changed = {name: array * 0.9 for name, array in arrays.items()}
    np.savez(folder / "golden_outputs.npz", **changed)
    findings = looked(folder, "{a: {audio: x}}", lambda uri, roles, **_: Played(roles, SOUND))
    assert [finding.what for finding in findings if finding.exit_code] == ["model"]


def test_provider_that_is_not_there_is_a_warning(tiny_folder: Path) -> None:
    found = told(
        looked(
            tiny_folder, "{a: {audio: x}}", lambda uri, roles, **_: Played(roles, SOUND), "provider: [openvino, cpu]"
        )
    )
    assert found["provider"].startswith("warn  provider: OpenVINOExecutionProvider is not in this build")


def test_missing_package_is_named_with_its_mend(tmp_path: Path) -> None:
    lines = [str(finding) for finding in packages({"numpy": "numpy", "no_such_module": "no-such-package"})]
    assert lines[0].startswith("warn  no-such-package: the package is missing.\n      Install it with: pip install")
    assert lines[1].startswith("ok    packages: numpy ")


def test_source_whose_library_is_missing_fails(tiny_folder: Path) -> None:
    def opened(uri: str, roles: frozenset[Role], **_: object) -> Played:
        raise ImportError("No module named 'av'")

    findings = looked(tiny_folder, "{a: {audio: x}}", opened)
    assert [str(one).split("\n")[0] for one in findings if one.exit_code] == ["FAIL  sources: No module named 'av'."]
    assert findings[-1].exit_code == 3


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
