from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.errors import ConfigError, EdgeAvscError
from edge_avsc.sinks.jsonl import JsonlSink, estimate_line, event_line
from edge_avsc.types import Latency, SceneEstimate, StreamEvent

UNTIMED = (
    '{"schema":1,"type":"estimate","stream":"clip.mp4","index":12,"start_s":6.0,"end_s":7.0,'
    '"scene_label":"street_traffic","confidence":0.83,"probabilities":{"bus":0.17,"street_traffic":0.83},'
    '"window_probabilities":{"bus":0.25,"street_traffic":0.75},"modality":"av","changed":false,'
    '"coverage":{"audio":1.0,"video":0.6667},"av_skew_ms":0.4}'
)
TIMED = (
    UNTIMED.replace('"scene_label"', '"time":"T7000000000","scene_label"', 1)[:-1]
    + ',"latency_ms":{"wait":17.0,"audio":0.7,"image":2.3,"fusion":0.1,"close_to_label":1.1}}'
)


ESTIMATE = SceneEstimate(
    *("clip.mp4", 0, 0, 10**9, 10**9, "a", 1.0, {}, {}, "av", True, 1.0, 1.0, None),
    latency=None,
)


def utc(time_ns: int) -> str:
    return f"T{time_ns}"


def test_an_estimate_without_times_is_these_bytes(make_estimate: Callable[..., SceneEstimate]) -> None:
    assert estimate_line(make_estimate(), timed=False) == UNTIMED


def test_an_estimate_with_times_has_them_in_their_places(make_estimate: Callable[..., SceneEstimate]) -> None:
    assert estimate_line(make_estimate(), timed=True, utc=utc) == TIMED


def test_a_timed_line_needs_a_way_to_tell_utc(make_estimate: Callable[..., SceneEstimate]) -> None:
    with pytest.raises(ValueError, match="utc"):
        estimate_line(make_estimate(), timed=True)


def test_a_window_without_material_has_no_probabilities_of_its_own(make_estimate: Callable[..., SceneEstimate]) -> None:
    line = json.loads(estimate_line(make_estimate(modality="none"), timed=False))
    assert line["window_probabilities"] == {}
    assert line["probabilities"]


def test_a_stage_that_did_not_run_is_null(make_estimate: Callable[..., SceneEstimate]) -> None:
    latency = Latency(wait=None, audio=None, image=2.0, fusion=0.1, close_to_label=None)
    line = json.loads(estimate_line(make_estimate(latency=latency), timed=True, utc=utc))
    assert line["latency_ms"] == {"wait": None, "audio": None, "image": 2.0, "fusion": 0.1, "close_to_label": None}
    assert json.loads(estimate_line(make_estimate(latency=None), timed=True, utc=utc))["latency_ms"] is None


def test_times_are_rounded_to_microseconds(make_estimate: Callable[..., SceneEstimate]) -> None:
    line = estimate_line(make_estimate(start_ns=100_000_000 * 3, end_ns=1_300_000_000), timed=False)
    assert '"start_s":0.3,"end_s":1.3,' in line


@pytest.mark.parametrize("skew_ms", [None, float("nan"), float("inf")])
def test_json_has_null_where_there_is_no_number(make_estimate: Callable[..., SceneEstimate], skew_ms: float) -> None:
    assert '"av_skew_ms":null' in estimate_line(make_estimate(av_skew_ms=skew_ms), timed=False)


def test_there_is_no_minus_zero(make_estimate: Callable[..., SceneEstimate]) -> None:
    assert '"av_skew_ms":0.0' in estimate_line(make_estimate(av_skew_ms=-0.04), timed=False)


def test_the_confidence_is_the_largest_printed_probability(make_estimate: Callable[..., SceneEstimate]) -> None:
    probabilities = {"a": 1 / 3, "b": 0.66666649, "c": 1e-7}
    line = json.loads(estimate_line(make_estimate(probabilities=probabilities, confidence=0.6667), timed=False))
    assert line["confidence"] == max(line["probabilities"].values()) == 0.666666
    assert list(line["probabilities"]) == ["a", "b", "c"]


@given(st.lists(st.floats(), min_size=1, max_size=12), st.floats() | st.none(), st.text())
def test_whatever_comes_the_line_is_strict_json_and_one_line(values: list[float], skew_ms: float, stream: str) -> None:
    probabilities = {f"label {n}": value for n, value in enumerate(values)}
    changes: dict[str, Any] = {"probabilities": probabilities, "window_probabilities": probabilities}
    estimate = replace(ESTIMATE, stream=stream, av_skew_ms=skew_ms, **changes)
    line = estimate_line(estimate, timed=True, utc=utc)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert "\n" not in line
    parsed = json.loads(line, parse_constant=refuse)
    assert parsed["stream"] == stream
    for value, printed in zip(values, parsed["probabilities"].values(), strict=True):
        assert printed == pytest.approx(value, abs=5.1e-7) if math.isfinite(value) else printed is None


def test_an_event_is_these_bytes(lost_camera: StreamEvent) -> None:
    tail = f'"source":"video","event":"lost","detail":"{lost_camera.detail}"}}'
    assert event_line(lost_camera, timed=False) == f'{{"schema":1,"type":"event","stream":"clip.mp4",{tail}'
    timed = f'{{"schema":1,"type":"event","stream":"clip.mp4","time":"T7250000000",{tail}'
    assert event_line(lost_camera, timed=True, utc=utc) == timed


def test_a_sink_writes_each_line_at_once(
    tmp_path: Path, make_estimate: Callable[..., SceneEstimate], lost_camera: StreamEvent
) -> None:
    path = tmp_path / "labels.jsonl"
    with JsonlSink(path, append=False, timed=False) as sink:
        sink.write(make_estimate())
        assert path.read_text() == UNTIMED + "\n"
        sink.event(lost_camera)
        assert path.read_text() == f"{UNTIMED}\n{event_line(lost_camera, timed=False)}\n"


def test_a_sink_begins_anew_or_appends(tmp_path: Path, make_estimate: Callable[..., SceneEstimate]) -> None:
    path = tmp_path / "labels.jsonl"
    for append, lines in ((False, 1), (True, 2), (False, 1)):
        with JsonlSink(path, append=append, timed=False) as sink:
            sink.write(make_estimate())
        assert path.read_text().splitlines() == [UNTIMED] * lines


def test_an_unfinished_line_does_not_swallow_the_next(
    tmp_path: Path, make_estimate: Callable[..., SceneEstimate]
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(UNTIMED[:40])
    with JsonlSink(path, append=True, timed=False) as sink:
        sink.write(make_estimate())
    assert path.read_text().splitlines()[1:] == [UNTIMED]


@pytest.mark.parametrize("append", [False, True])
def test_what_is_no_json_lines_file_is_never_touched(tmp_path: Path, append: bool) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0 ftypisom")
    with pytest.raises(ConfigError, match=r"clip\.mp4 exists and holds no JSON lines"):
        JsonlSink(path, append=append, timed=False)
    assert path.read_bytes() == b"\0\0\0 ftypisom"


def test_a_name_that_is_no_utf8_comes_back_from_the_json(
    tmp_path: Path, make_estimate: Callable[..., SceneEstimate]
) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.mp4")
    with JsonlSink(tmp_path / "out", append=False, timed=False) as sink:
        sink.write(make_estimate(stream=name))
    data = (tmp_path / "out").read_bytes()
    assert "é".encode() in data
    assert json.loads(data)["stream"] == name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_clear_sentence(make_estimate: Callable[..., SceneEstimate]) -> None:
    with (
        JsonlSink("/dev/full", append=False, timed=False) as sink,
        pytest.raises(
            EdgeAvscError, match=r"There is no space left to write /dev/full; free some, or name a file"
        ) as caught,
    ):
        sink.write(make_estimate())
    assert caught.value.exit_code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit")
def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    # The limit is the process's own, so a process of its own has to write: three lines are more than it may.
    program = """
import resource, sys
from edge_avsc.errors import EdgeAvscError
from edge_avsc.sinks.jsonl import JsonlSink
from edge_avsc.types import StreamEvent
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with JsonlSink(sys.argv[1], append=False, timed=False) as sink:
    for n in range(3):
        try:
            sink.event(StreamEvent("a", "sink", str(n), "x" * 400, 0))
        except EdgeAvscError as error:
            print(error)
"""
    path = tmp_path / "out.jsonl"
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "out.jsonl cannot be written (File too large)" in result.stdout
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["0", "1"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_reader_that_left_a_named_pipe_is_told(tmp_path: Path, make_estimate: Callable[..., SceneEstimate]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonlSink(path, append=False, timed=False) as sink:
        sink.write(make_estimate())
        os.close(reader)
        with pytest.raises(EdgeAvscError, match=r"^Nobody reads .*pipe any more; start its reader again"):
            sink.write(make_estimate())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_that_nobody_reads_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^Nobody reads .*pipe; start its reader first\.$"):
        JsonlSink(tmp_path / "pipe", append=True, timed=False)


@pytest.mark.parametrize("torn", [b'{"sch', b"\0" * 5, b"\0" * 5000])
def test_what_a_power_cut_left_is_gone_on_from(
    torn: bytes, tmp_path: Path, make_estimate: Callable[..., SceneEstimate]
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(torn)
    with pytest.raises(ConfigError, match="holds no JSON lines of ours"):
        JsonlSink(path, append=False, timed=False)
    with JsonlSink(path, append=True, timed=False) as sink:
        sink.write(make_estimate())
    first, second = path.read_bytes().splitlines()
    assert first == torn
    assert json.loads(second)["type"] == "estimate"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames no file that is open")
def test_a_file_that_is_rotated_away_is_begun_anew(tmp_path: Path, make_estimate: Callable[..., SceneEstimate]) -> None:
    path = tmp_path / "labels.jsonl"
    with JsonlSink(path, append=True, timed=False) as sink:
        sink.write(make_estimate())
        path.rename(tmp_path / "labels.jsonl.1")
        sink.write(make_estimate())
        sink.write(make_estimate())
    counts = [len((tmp_path / name).read_text().splitlines()) for name in ("labels.jsonl.1", "labels.jsonl")]
    assert counts == [1, 2]


def test_a_dash_is_the_standard_output() -> None:
    program = """
from edge_avsc.sinks.jsonl import JsonlSink
from edge_avsc.types import StreamEvent
with JsonlSink("-", append=False, timed=False) as sink:
    sink.event(StreamEvent("a", "sink", "lost", "é", 0))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode() == (
        '{"schema":1,"type":"event","stream":"a","source":"sink","event":"lost","detail":"é"}\n'
    )


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder .*absent does not exist; create it"):
        JsonlSink(tmp_path / "absent" / "labels.jsonl", append=False, timed=False)


def test_a_name_that_no_file_can_have_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match=r"^'a\\x00b' is no name of a file"):
        JsonlSink("a\0b", append=False, timed=False)


def test_a_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a file for the JSON lines"):
        JsonlSink(tmp_path, append=False, timed=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_usage_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(ConfigError, match="Permission denied"):
        JsonlSink(tmp_path / "labels.jsonl", append=False, timed=False)
