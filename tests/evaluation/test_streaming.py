from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_avsc import replay
from edge_avsc.cli import main
from edge_avsc.config import SmoothingConfig
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.metrics import scores
from edge_avsc.evaluation.splicing import Piece, Plan, Splice
from edge_avsc.evaluation.stream_report import stream_page
from edge_avsc.evaluation.stream_results import front, stream_results
from edge_avsc.evaluation.streaming import (
    Played,
    Shown,
    play,
    quality,
    settings_grid,
    smooth,
    window_by_window,
)
from edge_avsc.model import SceneModel
from edge_avsc.types import NS_PER_S, Prediction
from recordings import Pictures, Sound, write_recording

LABELS = ("a", "b", "c")
HOP_NS = NS_PER_S // 2


def told(*best: int | None, changes_s: tuple[float, ...] = (), scenes: tuple[int, ...] = (0,)) -> Played:
    """A recording whose windows say *best*, one each half second, with scenes that change at *changes_s*."""
    end_ns = np.arange(2, 2 + len(best)) * HOP_NS
    borders = [0, *(round(s * NS_PER_S) for s in changes_s), int(end_ns[-1])]
    pieces = tuple(
        Piece(Row(f"{LABELS[k]}-{i}", None, None, LABELS[k], f"place-{i}", None), start, stop)
        for i, (k, start, stop) in enumerate(zip(scenes, borders[:-1], borders[1:], strict=True))
    )
    piece_of = np.searchsorted(borders[1:], end_ns - 1, side="right")
    return Played(
        labels=LABELS,
        none_threshold=0.5,
        pieces=pieces,
        problems={},
        events=(),
        end_ns=end_ns,
        predictions=tuple(None if k is None else prediction(k) for k in best),
        truth=np.array(scenes)[piece_of],
        units=np.array([piece.row.location for piece in pieces])[piece_of],
        change_ns=np.array(borders[1:-1], np.int64),
    )


def prediction(best: int, confidence: float = 0.8) -> Prediction:
    rest = (1.0 - confidence) / 2
    return Prediction(tuple(confidence if k == best else rest for k in range(3)), 0.0, "a")


def test_delays_are_from_the_change_to_the_first_right_label() -> None:
    # Windows end at 1.0, 1.5, ... s; scenes change at 2.0 and 4.0 s.
    played = told(0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 2, changes_s=(2.0, 4.0), scenes=(0, 1, 2))
    found = quality(played, window_by_window(played))
    assert played.truth.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert found.delay_s.tolist() == [1.0, 2.0]
    assert found.right == pytest.approx(7 / 11)
    assert found.delay_of(0.5) == 1.0
    assert found.delay_of(0.95) == 2.0


def test_a_label_that_never_comes_is_never() -> None:
    played = told(0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, changes_s=(2.0, 4.0), scenes=(0, 1, 2))
    found = quality(played, window_by_window(played))
    assert found.delay_s.tolist() == [float("inf"), 0.5]
    assert found.never == 0.5
    assert found.delay_of(0.95) == float("inf")


def test_false_changes_are_those_to_a_scene_that_is_not_there() -> None:
    played = told(0, 0, 1, 1, 0, 2, 1, changes_s=(), scenes=(0,))
    hours = played.pieces[-1].end_ns / NS_PER_S / 3600
    found = quality(played, window_by_window(played))
    assert found.false_changes_per_hour == pytest.approx(3 / hours)
    unsure = Shown(np.array([0, -1, -1, 1, 1, -1, 1]), np.full((7, 3), 1 / 3))
    found = quality(played, unsure)
    assert found.false_changes_per_hour == pytest.approx(2 / hours)
    assert (found.right, found.unsure, found.wrong) == pytest.approx((1 / 7, 3 / 7, 3 / 7))


def test_the_smoother_is_the_one_that_runs_live(tmp_path: Path, tiny_model: SceneModel) -> None:
    path = write_recording(tmp_path / "clip.mkv", 6.0, pictures=Pictures(draw=noise))
    splice = Splice(Plan((Row("clip", path, path, tiny_model.labels[0], "clip", None),), {}), tiny_model.bundle.image)
    played = play(tiny_model, splice, HOP_NS)
    settings = SmoothingConfig(switches_per_hour=600, min_dwell_s=1.0, unsure_below=0.2)
    shown, alone = smooth(played, settings), window_by_window(played)
    estimates = list(replay(path, model=tiny_model, hop_s=0.5, smoothing=settings))
    assert len(estimates) == len(played.end_ns) == 11
    for i, estimate in enumerate(estimates):
        assert played.end_ns[i] == estimate.end_ns
        assert alone.probabilities[i].tolist() == list(estimate.window_probabilities.values())
        assert shown.probabilities[i].tolist() == list(estimate.probabilities.values())
        assert ([*tiny_model.labels, "unsure"][shown.label[i]]) == estimate.scene_label


def noise(frame: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(frame // 12).integers(30, 220, (48, 64, 3)).astype(np.uint8)


def loud(seed: int, seconds: float) -> Sound:
    random = np.random.default_rng(seed)
    tone = np.sin(np.arange(round(seconds * 48_000)) * random.uniform(0.02, 0.3))
    samples = 0.2 * tone[:, None] + 0.05 * random.standard_normal((len(tone), 2))
    return Sound(samples=samples.astype(np.float32))


def test_a_window_over_a_change_hears_both_scenes(tmp_path: Path, tiny_model: SceneModel) -> None:
    first = write_recording(tmp_path / "first.wav", 3.0, sound=loud(1, 3.0))
    second = write_recording(tmp_path / "second.wav", 3.0, sound=loud(2, 3.0))
    joined = np.concatenate([loud(1, 3.0).samples, loud(2, 3.0).samples])
    whole = write_recording(tmp_path / "whole.wav", 6.0, sound=Sound(samples=joined))
    rows = tuple(Row(p.stem, p, None, tiny_model.labels[k], p.stem, None) for k, p in enumerate((first, second)))
    played = play(tiny_model, Splice(Plan(rows, {}), tiny_model.bundle.image), HOP_NS)
    expected = [list(estimate.window_probabilities.values()) for estimate in replay(whole, model=tiny_model)]
    assert window_by_window(played).probabilities.tolist() == expected
    assert played.change_ns.tolist() == [3 * NS_PER_S]
    assert played.truth.tolist() == [0] * 5 + [1] * 6


def test_modalities_come_and_go_with_the_clips(tmp_path: Path, tiny_model: SceneModel) -> None:
    both = write_recording(tmp_path / "both.mkv", 2.0, pictures=Pictures(draw=noise))
    sound = write_recording(tmp_path / "sound.wav", 2.0, sound=Sound(rate_hz=44_100, channels=1))
    seen = write_recording(tmp_path / "seen.mkv", 2.0, sound=None, pictures=Pictures(draw=noise))
    rows = [
        Row("both", both, both, tiny_model.labels[0], "x", None),
        Row("sound", sound, None, tiny_model.labels[1], "y", None),
        Row("seen", None, seen, tiny_model.labels[2], "z", None),
        Row("gone", tmp_path / "gone.wav", None, tiny_model.labels[2], "z", None),
        Row("again", both, both, tiny_model.labels[0], "x", None),
    ]
    played = play(tiny_model, Splice(Plan(tuple(rows), {}), tiny_model.bundle.image), NS_PER_S)
    assert [p.modality for p in played.predictions if p] == ["av", "av", "a", "a", "v", "v", "av", "av"]
    assert list(played.problems) == ["gone"]


def test_steadier_settings_are_steadier_and_later() -> None:
    random = np.random.default_rng(1)
    scenes = tuple(int(k) for k in np.arange(40) % 3)
    best = [int(random.integers(3)) if random.random() < 0.5 else scenes[min(39, i // 60)] for i in range(40 * 60)]
    played = told(*best, changes_s=tuple(30.0 * k + 0.5 for k in range(1, 40)), scenes=scenes)
    quick, default, slow = (
        quality(played, smooth(played, SmoothingConfig(switches_per_hour=switches))) for switches in (600.0, 60.0, 6.0)
    )
    alone = quality(played, window_by_window(played))
    assert alone.false_changes_per_hour > 5 * default.false_changes_per_hour
    assert quick.delay_of(0.5) < slow.delay_of(0.5)
    assert quick.false_changes_per_hour > slow.false_changes_per_hour
    assert alone.right < default.right - 0.1
    assert default.right + default.unsure + default.wrong == pytest.approx(1.0)


def test_figures_are_those_of_the_settings_one_by_one() -> None:
    best = [k for k in (0, 0, 1, 0, 1, 1, 2, 1, 0, 2, 2, 0) for _ in range(8)]
    played = told(*best, changes_s=(14.0, 30.0), scenes=(0, 1, 2))
    results = stream_results(played)
    grid = settings_grid()
    assert len(results["settings"]) == len(grid) == len({str(one) for one in grid})
    default = SmoothingConfig()
    assert default in grid
    for settings, row in zip(grid, results["settings"], strict=True):
        assert {name: row[name] for name in settings.model_dump()} == settings.model_dump()
    shown = smooth(played, default)
    expected = scores(played.truth, shown.probabilities, LABELS).macro_log_loss
    assert results["default"]["log_loss"] == pytest.approx(expected, abs=1e-9)
    by_class = [np.mean(shown.label[played.truth == k] == k) for k in range(3)]
    assert results["default"]["accuracy"] == pytest.approx(np.mean(by_class))
    assert results["default"]["accuracy_gain"] == 0.0
    assert results["default"]["accuracy_gain_bootstrap"] == [0.0, 0.0]
    assert sum(run["end_s"] - run["start_s"] for run in results["shown"]) == pytest.approx(played.end_ns[-1] / 1e9 - 1)


def test_nothing_without_sound_and_pictures_is_judged() -> None:
    played = told(0, None, None, 0)
    assert window_by_window(played).probabilities[1].tolist() == [1 / 3] * 3
    assert smooth(played, SmoothingConfig()).probabilities.sum(axis=1) == pytest.approx(np.ones(4))


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(1.0, 9.0), (2.0, 4.0), (2.0, 5.0), (3.0, 4.0), (4.0, 1.0), (float("inf"), 0.0)]
    rows = [{"delay_median_s": delay, "false_changes_per_hour": false} for delay, false in points]
    assert [(row["delay_median_s"], row["false_changes_per_hour"]) for row in front(rows)] == [
        (1.0, 9.0),
        (2.0, 4.0),
        (4.0, 1.0),
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, tiny_model: SceneModel) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "audio").mkdir()
    (folder / "evaluation_setup").mkdir()
    lines = ["filename_audio\tfilename_video\tscene_label"]
    for label in ("bus", "park"):
        for i in range(2):
            name = f"audio/{label}-paris-{i}-{i}.wav"
            write_recording(folder / name, 2.0, sound=loud(i, 2.0))
            lines.append(f"{name}\t\t{label}")
    (folder / "audio" / "tram-paris-9-9.wav").write_bytes(b"RIFF")
    lines.append("audio/tram-paris-9-9.wav\t\ttram")
    (folder / "evaluation_setup" / "all.csv").write_text("\n".join(lines))
    return folder


def stream(dataset: Path, tiny_folder: Path, out: Path, *options: str) -> int:
    command = ["evaluate", str(dataset), "--stream", "--model", str(tiny_folder), "--out", str(out)]
    return main([*command, "--hours", "0.01", "--stay-s", "5", *options])


def test_the_verb_writes_the_same_files_twice(
    dataset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        assert stream(dataset, tiny_folder, tmp_path / name) == 0
    said = capsys.readouterr()
    assert "switches_per_hour 60, min_dwell_s 2, unsure_below 0.5" in said.out
    assert "tram-paris-9-9.wav" in said.out
    found, again = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert set(found) == {"stream.html", "stream.csv", "stream.json"}
    assert found == again
    results = json.loads(found["stream.json"])
    assert list(results["problems"]) == ["audio/tram-paris-9-9.wav"]
    assert results["hours"] == pytest.approx(0.01, abs=0.004)
    rows = list(csv.DictReader(found["stream.csv"].decode().splitlines(), delimiter="\t"))
    assert len(rows) == len(results["settings"])
    assert float(rows[7]["accuracy_bootstrap_low"]) == results["settings"][7]["accuracy_bootstrap"][0]
    page = found["stream.html"].decode()
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    for words in ("no smoothing", "switches_per_hour", "tram-paris-9-9.wav", "seed 0"):
        assert words in page


def test_a_page_with_no_delay_at_all_can_be_drawn() -> None:
    played = told(*[0] * 40, changes_s=(10.0,), scenes=(0, 1))
    results = stream_results(replace(played, events=("damaged: <b>",)))
    about = {"labels": list(LABELS), "model": "m", "dataset": "d", "split": "s", "stay_s": 1.0, "seed": 0, "hop_s": 0.5}
    page = stream_page({**results, **about})
    assert "never" in page
    assert "damaged: &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "again"], "--stream measures one bundle at a time"),
        (["--jobs", "2"], "leave out --jobs"),
        (["--split", "one.csv"], "need clips of two labels"),
        (["--split", "short.csv", "--hours", "0.0001", "--stay-s", "0.1"], "shorter than a window of 1 s; give more"),
        (["--out", "audio/bus-paris-0-0.wav"], "cannot be written"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    dataset: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    (dataset / "evaluation_setup" / "one.csv").write_text("filename_audio\tscene_label\naudio/bus-paris-0-0.wav\tbus")
    for name in ("x", "y"):
        write_recording(dataset / f"audio/{name}.wav", 0.4, pictures=None)
    short = "filename_audio\tscene_label\naudio/x.wav\tshopping_mall\naudio/y.wav\ttram\n"
    (dataset / "evaluation_setup" / "short.csv").write_text(short)
    out = dataset / "audio/bus-paris-0-0.wav"
    options = [str(out) if option == "audio/bus-paris-0-0.wav" else option for option in options]
    assert stream(dataset, tiny_folder, dataset / "out", *options) == 2
    assert says in capsys.readouterr().err


def test_what_belongs_to_a_stream_is_refused_without_it(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(dataset), "--seed", "0"]) == 2
    assert "belong to --stream" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--hours=0", "--hours=x", "--stay-s=-1", "--seed=-1", "--seed=a"])
def test_options_are_checked(dataset: Path, tiny_folder: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(SystemExit) as stop:
        stream(dataset, tiny_folder, tmp_path, option)
    assert stop.value.code == 2
