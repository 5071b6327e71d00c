"""``edge-avsc evaluate``, as a person uses it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import log_loss, recall_score

from edge_avsc.cli import main
from edge_avsc.evaluation.outputs import read_output, read_reference
from evaluation.tau_folder import CLIPS, write_clip, write_list
from recordings import Sound, write_recording
from tiny_bundle import LABELS, write_tiny_bundle

SCRIPT = str(Path(sys.executable).with_name("edge-avsc"))
LABEL = "tiny_task1b_1"


def run(*args: str | Path) -> int:
    try:
        return main([str(arg) for arg in args])
    except SystemExit as ended:  # argparse ends by itself
        return int(ended.code or 0)


def written(folder: Path) -> dict[str, bytes]:
    """All files but the kept results, whose pages lie in the order in which clips were done."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".sqlite"}


@pytest.fixture(scope="module")
def out(tau: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    assert run("evaluate", tau, "--model", tiny_folder, "--out", folder, "--jobs", "1") == 0
    return folder


def test_all_files_are_there(out: Path) -> None:
    names = {"report.html", "results.json", "scores.csv", "reference.csv"}
    assert set(written(out)) == names | {f"{LABEL}.output.csv", f"{LABEL}.meta.yaml", f"{LABEL}.clips.csv"}


def test_figures_are_those_of_scikit_learn(out: Path) -> None:
    output = read_output(out / f"{LABEL}.output.csv")
    reference = read_reference(out / "reference.csv")
    assert output.filenames == reference.filenames
    assert output.filenames[:2] == tuple(f"audio/{CLIPS[0][0]}.wav#t={k},{k + 1}" for k in range(2))
    of = json.loads((out / "results.json").read_text())["systems"][0]["windows"]
    right = reference.label_index
    assert of["n"] == len(right) == 30
    decided = output.probabilities.argmax(axis=1)
    recall = recall_score(right, decided, labels=np.unique(right), average="macro")
    assert of["macro_accuracy"] == pytest.approx(recall, abs=1e-12)
    assert 0.1 < recall < 0.9
    by_class = [
        log_loss(right[right == k], output.probabilities[right == k], labels=range(10)) for k in np.unique(right)
    ]
    assert of["macro_log_loss"] == pytest.approx(np.mean(by_class), abs=1e-9)
    assert of["classes"]["bus"]["n"] == 0
    assert of["classes"]["bus"]["accuracy"] is None


def test_modalities_and_skews_are_judged_by_equal_windows(out: Path) -> None:
    system = json.loads((out / "results.json").read_text())["systems"][0]
    counts = [(one["modality"], one["of"], one["n"]) for one in system["modalities"]]
    # Four clips of six windows have both, the fifth has sound alone.
    both = [(state, "windows with both", 24) for state in ("av", "a", "v")]
    assert counts == [*both, ("a", "all windows with sound", 30)]
    assert {point["n"] for point in system["skew"]} == {4 * 2}
    assert [point["skew_ms"] for point in system["skew"]][5:8] == [-45, 0, 45]
    assert {one["city"]: one["n"] for one in system["cities"]} == {"lisbon": 12, "lyon": 18}
    assert system["clips_by_sum"]["n"] == system["clips_by_log_sum"]["n"] == 5


def test_meta_is_what_the_challenge_takes(out: Path) -> None:
    meta = yaml.safe_load((out / f"{LABEL}.meta.yaml").read_text())
    assert meta["submission"]["label"] == LABEL
    assert len(meta["submission"]["abbreviation"]) <= 10
    results = meta["results"]["development_dataset"]
    assert set(results["class_wise"]) == {"shopping_mall", "metro_station", "tram"}
    assert set(results["overall"]) == {"accuracy", "logloss"}


class Links(HTMLParser):
    """Notes all that a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "data")]


def test_report_stands_alone(out: Path) -> None:
    text = (out / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert all(target.startswith("#") for target in links.targets)
    assert "url(http" not in text
    assert not {"script", "link", "iframe", "object", "img"} & links.tags
    assert links.tags >= {"svg", "table"}
    for title in ("Scores", "Classes", "Confusion", "Calibration", "Sound and pictures", "Skew", "Cities", "Data"):
        assert f">{title}</h2>" in text
    assert "nan" not in text


def test_jobs_and_order_do_not_matter(out: Path, tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    assert run("evaluate", tau, "--model", tiny_folder, "--out", tmp_path, "--jobs", "3") == 0
    assert written(tmp_path) == written(out)


def started(*args: str | Path) -> subprocess.Popen[str]:
    command = [SCRIPT, "evaluate", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_half_way_it_goes_on_to_the_same_bytes(
    how: signal.Signals, out: Path, tau: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if signal.getsignal(how) == signal.SIG_IGN:
        pytest.skip("a background shell has the tests ignore Ctrl-C")
    arguments = (tau, "--model", tiny_folder, "--out", tmp_path)
    with started(*arguments, "--jobs", "2") as process:
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(how)
        # This ends only when no process, and none of its children, holds the other end any more.
        rest = process.stderr.read()
    assert first.startswith(f"{LABEL}: ")
    assert "Traceback" not in rest
    assert process.returncode == (1 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "the same command goes on from there" in rest
    assert not (tmp_path / "report.html").exists()
    assert run("evaluate", *arguments, "--jobs", "1") == 0
    assert " of 5 clips are scored already" in capsys.readouterr().out
    assert written(tmp_path) == written(out)


def test_all_files_are_written_though_nobody_reads_on(out: Path, tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    command = [SCRIPT, "evaluate", str(tau), "--model", str(tiny_folder), "--out", str(tmp_path), "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(300) == 0
    assert written(tmp_path) == written(out)


def test_broken_clips_are_told_and_counted(
    tau: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "tau"
    shutil.copytree(tau, dataset)
    (dataset / f"video/{CLIPS[1][0]}.mkv").write_bytes(b"no video at all")
    (dataset / f"audio/{CLIPS[2][0]}.wav").unlink()
    assert run("evaluate", dataset, "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    said = capsys.readouterr().out
    assert "2 of 5 clips could not be scored" in said
    system = json.loads((tmp_path / "out/results.json").read_text())["systems"][0]
    assert system["clips"] == 3
    assert list(system["problems"]) == [f"audio/{CLIPS[1][0]}.wav", f"audio/{CLIPS[2][0]}.wav"]
    assert "There is no file" in (tmp_path / "out/report.html").read_text()
    # Mended, they are scored, and only they.
    for name in (f"video/{CLIPS[1][0]}.mkv", f"audio/{CLIPS[2][0]}.wav"):
        shutil.copy(tau / name, dataset / name)
    assert run("evaluate", dataset, "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    said = capsys.readouterr().out
    assert "3 of 5 clips are scored already" in said
    assert "could not" not in said


def test_two_bundles_are_compared(tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "warmer", temperature={"av": 3.0, "a": 3.0, "v": 3.0}, name="warmer")
    out = tmp_path / "out"
    models = ("--model", tiny_folder, "--model", other)
    assert run("evaluate", tau, *models, "--out", out, "--jobs", "1", "--label", "Doe_Uni") == 0
    results = json.loads((out / "results.json").read_text())
    assert [system["label"] for system in results["systems"]] == ["Doe_Uni_task1b_1", "Doe_Uni_task1b_2"]
    (difference,) = results["differences"]
    first, second = (system["windows"] for system in results["systems"])
    # A temperature changes no decision.
    assert difference["macro_accuracy"] == 0.0
    assert difference["macro_log_loss"] == pytest.approx(second["macro_log_loss"] - first["macro_log_loss"])
    assert difference["macro_log_loss"] != 0.0
    assert "Differences</h2>" in (out / "report.html").read_text()


def test_seen_and_unseen_cities_and_leaking_locations(tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "tau"
    shutil.copytree(tau, dataset)
    trained = ("bus-lisbon-90-1", f"{CLIPS[0][0]}0", "bus-oslo-91-2")
    write_list(dataset, [f"audio/{name}.wav\t\tbus" for name in trained], "fold1_train")
    assert run("evaluate", dataset, "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    cities = [(one["city"], one["seen"], one["n"]) for one in results["systems"][0]["cities"]]
    assert cities == [("lisbon", True, 12), ("lyon", False, 18), ("all", True, 12), ("all", False, 18)]
    assert results["dataset"]["train_locations_seen"] == ["lisbon-1"]
    assert "the figures flatter (lisbon-1)" in (tmp_path / "out/report.html").read_text()


def test_without_labels_only_outputs_are_written(
    tau: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "tau"
    shutil.copytree(tau, dataset)
    rows = "".join(f"audio/{name}.wav\t\n" for name, _ in CLIPS)
    (dataset / "evaluation_setup/fold1_test.csv").write_text(f"filename_audio\tfilename_video\n{rows}")
    arguments = ("evaluate", dataset, "--split", "fold1_test.csv", "--model", tiny_folder, "--jobs", "1")
    assert run(*arguments, "--out", tmp_path / "out") == 0
    assert "has no labels" in capsys.readouterr().out
    assert set(written(tmp_path / "out")) == {f"{LABEL}.output.csv", f"{LABEL}.clips.csv"}
    assert run(*arguments, "--out", tmp_path / "out", "--labels-from-names") == 0
    assert (tmp_path / "out/report.html").exists()
    assert run(*arguments, "--out", tmp_path / "out") == 0
    assert not {"report.html", "results.json", "reference.csv"} & set(written(tmp_path / "out"))


def test_clips_that_say_nothing_have_a_report_all_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    silence = Sound(rate_hz=16_000, channels=1, samples=np.zeros((64_000, 1), np.float32))
    for name in ("a", "b"):
        write_recording(tmp_path / f"{name}.wav", 4.0, sound=silence, pictures=None)
    write_list(tmp_path, ["a.wav\t\tbus", "b.wav\t\ttram"])
    assert run("evaluate", tmp_path, "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    assert (tmp_path / "out/report.html").exists()


def test_clips_of_one_second_keep_their_names(tiny_folder: Path, tmp_path: Path) -> None:
    """As in the challenge's evaluation set: then the output is a submission as it stands."""
    for number in range(2):
        write_clip(tmp_path / "tau", f"{number}", 1.0, number)
    write_list(tmp_path / "tau", [f"audio/{number}.wav\tvideo/{number}.mkv\tbus" for number in range(2)])
    assert run("evaluate", tmp_path / "tau", "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    output = read_output(tmp_path / f"out/{LABEL}.output.csv")
    assert output.filenames == ("audio/0.wav", "audio/1.wav")
    assert output.labels == tuple(LABELS)
    assert "Skew</h2>" not in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 2, "no dataset folder nowhere"),
        (["TAU", "--split", "al.csv"], 2, "Did you mean 'all.csv'"),
        (["TAU", "--model", "nothing"], 4, "no model 'nothing'"),
        (["TAU", "--jobs", "0"], 2, "no number of processes"),
        (["TAU", "--out", "/dev/null/out"], 2, "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], code: int, says: str, tau: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tau) if argument == "TAU" else argument for argument in arguments]
    model = [] if "--model" in given else ["--model", str(tiny_folder)]
    assert run("evaluate", *given, *model) == code
    assert says in capsys.readouterr().err


def test_unknown_label_and_nothing_to_score(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("evaluate", tmp_path, "--model", tiny_folder, "--out", tmp_path / "out", "--jobs", "1")
    write_list(tmp_path, ["a.wav\t\tstreet_trafic"])
    assert run(*arguments) == 2
    assert "Did you mean 'street_traffic'" in capsys.readouterr().err
    write_list(tmp_path, ["a.wav\t\tbus"])
    assert run(*arguments) == 2
    assert "None of the 1 clips" in capsys.readouterr().err


def test_without_matplotlib_the_mend_is_named(tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from edge_avsc.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "evaluate", str(tau), "--model", str(tiny_folder), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install '.[evaluate]'" in done.stderr
    assert "Traceback" not in done.stderr
