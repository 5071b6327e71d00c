from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.cli import main
from recordings import Pictures, Sound, cut, flip, write_recording

SCRIPT = str(Path(sys.executable).with_name("edge-avsc"))


def run(*args: str | Path) -> int:
    try:
        return main([str(arg) for arg in args])
    except SystemExit as ended:  # argparse ends by itself
        return int(ended.code or 0)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says: one sentence for a person, no traceback."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("edge-avsc: ")
    assert error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("clips") / "clip.mp4", 2.0)


def test_demo_is_what_replay_plays_without_a_file(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "labels.jsonl"
    assert run("replay", "--model", tiny_folder, "--jsonl", path) == 0
    estimates = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(estimates) == 47
    assert {line["stream"] for line in estimates} == {"test://demo"}
    assert abs(estimates[-1]["av_skew_ms"]) < 5
    assert "47 windows" in capsys.readouterr().out


def test_json_lines_to_stdout_leave_nothing_else_there(clip: Path, tiny_folder: Path) -> None:
    command = [SCRIPT, "replay", str(clip), "--model", str(tiny_folder), "--jsonl", "-"]
    runs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1]
    lines = [json.loads(line) for line in runs[0].splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert "time" not in lines[0]
    assert "latency_ms" not in lines[0]


def test_paced_lines_have_times(clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    assert run("replay", clip, "--model", tiny_folder, "--jsonl", path, "--speed", "20") == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["time"].endswith("Z") and line["latency_ms"]["close_to_label"] >= 0 for line in lines)


def test_reader_that_goes_away_is_no_error(clip: Path, tiny_folder: Path) -> None:
    command = [SCRIPT, "replay", *[str(clip)] * 40]
    with subprocess.Popen(
        [*command, "--model", str(tiny_folder), "--jsonl", "-", "--hop-s", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 0, error
    assert b"Traceback" not in error


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_a_closed_output_costs_no_line_of_the_others(
    closed: str, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "labels.jsonl"
    program = f"{sys.executable} -m edge_avsc.cli replay {clip} --model {tiny_folder} --jsonl {path} {closed}"
    assert subprocess.run(["sh", "-c", program], check=False, timeout=60).returncode == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert lines


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_of_files_may_be_any_bytes(clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    name, lines = tmp_path / os.fsdecode(b"caf\xe9.mkv"), tmp_path / os.fsdecode(b"\xe9.jsonl")
    shutil.copy(clip, name)
    assert run("replay", name, "--model", tiny_folder, "--jsonl", lines) == 0
    assert json.loads(lines.read_text().splitlines()[0])["stream"] == str(name)
    assert run("replay", "--audio", name, "--model", tiny_folder, "--jsonl", lines) == 0


def test_configuration_streams_are_replayed(
    clip: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"version: 1\nmodel: {tiny_folder}\nhop_s: 1.0\nstreams:\n  yard: {{media: {clip}}}\n"
        f"  apart: {{audio: {clip}, video: {clip}}}\n"
    )
    assert run("replay", "--config", config) == 0
    out = capsys.readouterr().out
    assert "yard: 2 windows" in out
    assert "apart: 2 windows" in out


def test_camera_latency_moves_the_pictures(tiny_folder: Path, tmp_path: Path) -> None:
    config, path = tmp_path / "c.yaml", tmp_path / "l.jsonl"
    demo = "test://demo?duration=8"
    config.write_text(f"streams:\n  s: {{audio: '{demo}', video: {{uri: '{demo}', latency_ms: 80}}}}\n")
    assert run("replay", "--config", config, "--model", tiny_folder, "--jsonl", path) == 0
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["av_skew_ms"] == pytest.approx(80, abs=5)


def bad_recordings(folder: Path, clip: Path) -> dict[str, Path]:
    (folder / "empty.mp4").touch()
    with wave.open(str(folder / "empty.wav"), "wb") as empty:
        empty.setparams((1, 2, 48_000, 0, "NONE", "not compressed"))
    (folder / "text.mp4").write_text("This is a text.\n" * 100)
    cut(Path(shutil.copy(clip, folder / "truncated.mp4")), 0.5)
    return {
        "missing": folder / "missing.mp4",
        "directory": folder,
        "empty": folder / "empty.mp4",
        "empty WAV": folder / "empty.wav",
        "text": folder / "text.mp4",
        "truncated": folder / "truncated.mp4",
    }


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "empty WAV", "text", "truncated"])
def test_bad_recording_is_one_sentence(
    kind: str, clip: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bad_recordings(tmp_path, clip)[kind]
    assert run("replay", path, "--model", tiny_folder) == 2
    assert path.name in error_of(capsys)


def test_bad_recording_does_not_cost_the_others(
    clip: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("replay", "missing.mp4", clip, "--model", tiny_folder) == 2
    captured = capsys.readouterr()
    assert "missing.mp4" in captured.err
    assert "3 windows" in captured.out


@pytest.mark.parametrize("count", [1, 30, 300])
def test_flipped_bytes_are_survived(count: int, tiny_folder: Path, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "f.mkv", 3.0, sound=Sound(), pictures=Pictures(codec="libx264"))
    assert run("replay", flip(path, count), "--model", tiny_folder) in (0, 2)


@pytest.mark.parametrize("part", ["sound", "pictures"])
def test_one_modality_is_enough(
    part: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, pictures = (Sound(), None) if part == "sound" else (None, Pictures())
    path = write_recording(tmp_path / "one.mkv", 2.0, sound=sound, pictures=pictures)
    assert run("replay", path, "--model", tiny_folder, "--jsonl", "-") == 0


def test_short_recording_is_said(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_recording(tmp_path / "short.mp4", 0.4)
    assert run("replay", path, "--model", tiny_folder) == 0
    assert "shorter than a window" in error_of(capsys)


def test_unknown_key_names_the_near_one(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("version: 1\nsmoothing: {min_dwel_s: 3}\n")
    assert run("replay", clip, "--config", config) == 2
    assert "min_dwell_s" in error_of(capsys)


@pytest.mark.parametrize("name", ["audio.onnx", "image.onnx", "fusion.onnx"])
def test_bundle_with_one_byte_changed(
    name: str, clip: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "bundle")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    for command in (["replay", str(clip), "--model"], ["model", "info"], ["model", "verify"]):
        assert run(*command, folder) == 4
        assert name in error_of(capsys)


def test_verify_refuses_other_numbers(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "verify", tiny_folder) == 0
    capsys.readouterr()
    folder = shutil.copytree(tiny_folder, tmp_path / "bundle")
    with np.load(folder / "golden_outputs.npz") as arrays:
        changed = {name: array * 0.9 for name, array in arrays.items()}
    np.savez(folder / "golden_outputs.npz", **changed)
    assert run("model", "verify", folder) == 4
    assert "tolerance" in error_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "x.mp4", "--hop-s", "0.07"], "multiple of 0.05"),
        (["replay", "x.mp4", "--speed", "0"], "speed"),
        (["replay", "x.mp4", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["replay", "test://dema"], "test://demo"),
    ],
)
def test_bad_usage(arguments: list[str], says: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments, "--model", tiny_folder) == 2
    assert says in error_of(capsys)


def test_missing_model(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("replay", clip, "--model", "avsc-light") == 4
    assert "avsc-lite" in error_of(capsys)


def test_full_disk(clip: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    assert run("replay", clip, "--model", tiny_folder, "--jsonl", "/dev/full") == 1
    assert "no space" in capsys.readouterr().err


def test_debug_shows_the_traceback(tiny_folder: Path) -> None:
    with pytest.raises(Exception, match=r"missing\.mp4"):
        main(["replay", "missing.mp4", "--model", str(tiny_folder), "--debug"])


@pytest.mark.parametrize("hangs", [False, True])
def test_a_thread_that_hangs_in_a_driver_is_not_taken_down_with_the_interpreter(hangs: bool) -> None:
    program = (
        "import atexit, sys, threading; from edge_avsc.cli import main; atexit.register(print, 'taken down')\n"
        f"if {hangs}: threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "sys.argv[1:] = ['replay', 'missing.mp4']; sys.exit(main())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "missing.mp4" in ended.stderr
    assert ("taken down" in ended.stdout) == (not hangs)


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out)["properties"]["hop_s"]["default"] == 0.5


def test_shipped_configuration_validates(clip: Path, tiny_folder: Path) -> None:
    config = Path(__file__).parents[1] / "configs" / "replay.yaml"
    assert run("replay", clip, "--config", config, "--model", tiny_folder) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "--config", ""],
        ["replay", "--model", ""],
        ["run", "--config", ""],
        ["evaluate", "x", "--label", "../x"],
        ["evaluate", "x", "--label", ".x"],
        ["evaluate", "x", "--model", ""],
    ],
)
def test_empty_and_straying_names_are_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_is_no_fault_of_ours() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "edge_avsc.cli", "schema"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("edge-avsc: No space is left")


@pytest.mark.parametrize("recipe", ["zhang-ioa-3", "majority-vote", "avsc-lite", "own-scenes"])
def test_a_dataset_that_is_not_there_is_told_before_what_is_not_installed(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", recipe, "nowhere") == 2
    assert "folder nowhere; name" in error_of(capsys)
