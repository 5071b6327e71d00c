from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.cli import main
from edge_avsc.evaluation.comparison import compare
from edge_avsc.evaluation.metrics import normalised, scores
from edge_avsc.evaluation.outputs import Reference, SystemOutput, write_output
from edge_avsc.training.classes import LABELS
from tiny_bundle import write_tiny_bundle

N = 400
RANDOM = np.random.default_rng(12)
INDEX = np.arange(N) % 10
NAMES = tuple(f"audio/{LABELS[k]}-paris-{k + 10 * (i // 100)}-{i}.wav" for i, k in enumerate(INDEX))
REFERENCE = Reference(NAMES, tuple(LABELS[k] for k in INDEX))


def system(accuracy: float, seed: int) -> SystemOutput:
    random = np.random.default_rng(seed)
    decided = np.where(random.random(N) < accuracy, INDEX, random.integers(0, 10, N))
    rows = normalised(random.dirichlet(np.full(10, 0.2), N) + np.eye(10)[decided])
    return SystemOutput(NAMES, rows, tuple(LABELS[k] for k in decided))


SYSTEMS = {"good": system(0.9, 1), "fair": system(0.7, 2), "poor": system(0.4, 3)}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, output in SYSTEMS.items():
        write_output(tmp_path / f"{name}.output.csv", output)
    rows = [f"{name}\t{label}" for name, label in zip(NAMES, REFERENCE.scene_labels, strict=True)]
    (tmp_path / "reference.csv").write_text("\n".join(["filename_audio\tscene_label", *rows]))
    (tmp_path / "systems.csv").write_text("system,parameters,rank,team\ngood,100,1,A\nfair,10,5,B\npoor,20,9,\n")
    return tmp_path


def run(files: Path, *options: str) -> int:
    outputs = [str(files / f"{name}.output.csv") for name in ("poor", "good", "fair")]
    return main(["compare", "--reference", str(files / "reference.csv"), *outputs, *options])


def test_systems_are_ordered_by_log_loss_and_scored_as_alone() -> None:
    found = compare(SYSTEMS, REFERENCE)
    assert [entry.name for entry in found.of_kind("system")] == ["good", "fair", "poor"]
    for entry in found.of_kind("system"):
        output = SYSTEMS[entry.name]
        alone = scores(INDEX, output.probabilities, LABELS, decided=output.decided)
        assert entry.scores.macro_log_loss == alone.macro_log_loss
        assert entry.log_loss_bootstrap.low < alone.macro_log_loss < entry.log_loss_bootstrap.high
        assert entry.accuracy_bootstrap.low < alone.macro_accuracy < entry.accuracy_bootstrap.high


def test_whole_locations_are_drawn() -> None:
    found = compare(SYSTEMS, REFERENCE)
    assert (found.n, found.units, found.located) == (N, len({name.rsplit("-", 1)[0] for name in NAMES}), N)


def test_pairs_are_paired() -> None:
    found = compare(SYSTEMS, REFERENCE)
    pair = next(pair for pair in found.pairs if {pair.first, pair.second} == {"good", "fair"})
    good, fair = (entry.scores for entry in found.of_kind("system")[:2])
    assert pair.log_loss == pytest.approx(good.macro_log_loss - fair.macro_log_loss)
    assert pair.accuracy == pytest.approx(good.macro_accuracy - fair.macro_accuracy)
    assert pair.log_loss_bootstrap.low < pair.log_loss < pair.log_loss_bootstrap.high < 0
    twins = compare({"a": SYSTEMS["good"], "b": SYSTEMS["good"]}, REFERENCE)
    assert twins.pairs[0].log_loss_bootstrap == twins.pairs[0].accuracy_bootstrap == (0.0, 0.0)


def test_votes_have_no_log_loss_and_the_oracle_is_the_best() -> None:
    found = {entry.name: entry for entry in compare(SYSTEMS, REFERENCE).entries}
    assert np.isnan(found["majority vote"].scores.macro_log_loss)
    assert np.isnan(found["majority vote"].log_loss_bootstrap).all()
    best = max(entry.scores.macro_accuracy for entry in found.values())
    assert found["oracle"].scores.macro_accuracy == best
    assert found["mean ensemble"].scores.macro_log_loss < found["poor"].scores.macro_log_loss


def test_a_given_floor_is_taken_and_an_order_of_rows_is_not_needed() -> None:
    order = RANDOM.permutation(N)
    output = SYSTEMS["good"]
    shuffled = SystemOutput(
        tuple(NAMES[i].replace("audio/", "video/").replace(".wav", ".mp4") for i in order),
        output.probabilities[order],
        tuple(output.scene_labels[i] for i in order),
    )
    straight, other = (compare({"x": one}, REFERENCE, 0.05) for one in (output, shuffled))
    assert straight.entries[1].note == "floor 0.05, given"
    for one, another in zip(straight.entries, other.entries, strict=True):
        assert one.scores.macro_log_loss == another.scores.macro_log_loss


def test_what_is_odd_about_a_system_is_said() -> None:
    output = SYSTEMS["good"]
    other = ("tram", *output.scene_labels[1:])
    found = compare({"x": SystemOutput(NAMES, output.probabilities * 100, other)}, REFERENCE)
    assert "1 decisions are not the label of largest probability" in found.entries[0].note
    assert "400 rows did not sum to 1" in found.entries[0].note


def test_the_verb_prints_and_writes_all_tables(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "new" / "folder"
    assert run(files, "--out", str(out), "--table", str(files / "systems.csv"), "--spearman", "rank", "log_loss") == 0
    printed = capsys.readouterr().out
    for words in (
        "majority vote",
        "oracle",
        "class-wise ensemble",
        "good, floored",
        "Spearman",
        "whole locations (40)",
    ):
        assert words in printed
    assert " 1.00" in printed
    with (out / "systems.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    everything = json.loads((out / "compare.json").read_text())
    expected = compare(SYSTEMS, REFERENCE)
    for entry in expected.entries:
        if entry.kind != "together":
            assert float(rows[entry.name]["log_loss"]) == pytest.approx(entry.scores.macro_log_loss, abs=1e-12)
    assert rows["oracle"]["log_loss"] == ""
    assert everything["systems"][0]["name"] == "good"
    assert next(row for row in everything["systems"] if row["name"] == "oracle")["log_loss"] is None
    assert np.sum(everything["confusion"]["good"]) == N
    assert everything["spearman"] == [{"first": "rank", "second": "log_loss", "rho": 1.0, "n": 3}]
    assert {path.name for path in out.iterdir()} == {
        "classes.csv", "compare.json", "pairs.csv", "spearman.csv", "systems.csv"
    }  # fmt: skip


def test_what_evaluate_writes_is_compared_as_it_was_scored(tau: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "warmer", temperature={"av": 3.0, "a": 3.0, "v": 3.0}, name="warmer")
    scored, compared = tmp_path / "scored", tmp_path / "compared"
    models = ["--model", str(tiny_folder), "--model", str(other), "--label", "Doe_Uni"]
    assert main(["evaluate", str(tau), *models, "--out", str(scored), "--jobs", "1"]) == 0
    outputs = [str(scored / f"Doe_Uni_task1b_{number}.output.csv") for number in (1, 2)]
    assert main(["compare", *outputs, "--reference", str(scored / "reference.csv"), "--out", str(compared)]) == 0
    results = json.loads((scored / "results.json").read_text())
    again = json.loads((compared / "compare.json").read_text())
    rows = {row["name"]: row for row in again["systems"]}
    for system in results["systems"]:
        row, of = rows[system["label"]], system["windows"]
        assert row["log_loss"] == pytest.approx(of["macro_log_loss"], abs=1e-12)
        assert row["accuracy"] == of["macro_accuracy"]
        ends = [row["log_loss_bootstrap_low"], row["log_loss_bootstrap_high"]]
        assert ends == pytest.approx(of["macro_log_loss_bootstrap"], abs=1e-9)
        assert again["confusion"][system["label"]] == of["confusion"]
    (difference,), (pair,) = results["differences"], again["pairs"]
    sign = 1 if pair["first"] == difference["to"] else -1
    assert sign * pair["log_loss"] == pytest.approx(difference["macro_log_loss"], abs=1e-12)


def test_nobody_reads_and_it_ends_quietly(files: Path) -> None:
    """As behind ``| head``, which goes before the tables come."""
    reads, writes = os.pipe()
    os.close(reads)
    outputs = [str(files / f"{name}.output.csv") for name in ("poor", "good")]
    command = [sys.executable, "-m", "edge_avsc.cli", "compare", "--reference", str(files / "reference.csv"), *outputs]
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, b"")


def test_rows_that_the_reference_lacks_are_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (files / "reference.csv").read_text().split("\n")
    (files / "reference.csv").write_text("\n".join(lines[:-3]))
    assert run(files) == 0
    said = capsys.readouterr().out
    assert f"good: 3 of {N} rows are not in {files / 'reference.csv'}; they are left out." in said


def test_labels_other_than_the_ten_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, right = "filename,scene_label,kitchen,cellar", "filename,scene_label\na,cellar\nb,kitchen\n"
    (tmp_path / "one.csv").write_text(f"{header}\na,cellar,0.2,0.8\nb,cellar,0.4,0.6\n")
    # Another order of columns is no other labels.
    (tmp_path / "two.csv").write_text("cellar,kitchen,filename,scene_label\n0.9,0.1,a,cellar\n0.1,0.9,b,kitchen\n")
    (tmp_path / "right.csv").write_text(right)
    names = [str(tmp_path / name) for name in ("one.csv", "two.csv")]
    out = tmp_path / "compared"
    assert main(["compare", *names, "--reference", str(tmp_path / "right.csv"), "--out", str(out)]) == 0
    found = json.loads((out / "compare.json").read_text())
    accuracies = {row["name"]: row["accuracy"] for row in found["systems"]}
    assert (accuracies["one"], accuracies["two"]) == (0.5, 1.0)
    assert found["confusion"]["one"] == [[0, 1], [0, 1]]
    for file, text, says in (
        ("two.csv", f"{header},attic\na,cellar,0,1,0\n", "two.csv has the column 'attic' too much; it needs filename"),
        ("right.csv", right.replace("cellar", "celar"), "'celar' is not one of the labels. Did you mean 'cellar'?"),
    ):
        (tmp_path / file).write_text(text)
        assert main(["compare", *names, "--reference", str(tmp_path / "right.csv")]) == 2
        assert says in capsys.readouterr().err
        (tmp_path / "two.csv").write_text((tmp_path / "one.csv").read_text())


def test_twice_the_same_bytes(files: Path) -> None:
    for name in ("a", "b"):
        assert run(files, "--out", str(files / name)) == 0
    for path in (files / "a").iterdir():
        assert path.read_bytes() == (files / "b" / path.name).read_bytes()


def test_columns_of_a_table_correlate_without_outputs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--table", str(files / "systems.csv"), "--spearman", "parameters", "rank"]) == 0
    assert "-0.50" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--table", "systems.csv", "--spearman", "rank", "params"], "no column 'params'; there are rank, log_loss"),
        (["--table", "systems.csv", "--spearman", "rank", "params"], "Did you mean 'parameters'?"),
        (["--table", "systems.csv", "--spearman", "rank", "team"], "The team of good is 'A', which is no number"),
        (["--table", "systems.csv"], "name two of its columns with --spearman"),
        (["--table", "none.csv", "--spearman", "rank", "log_loss"], "none.csv cannot be read"),
        (["good.output.csv"], "good.output.csv is named twice"),
        (["short.csv"], "short lacks 399 of the reference's 400 rows, the first is 'bus-paris-1-1'."),
        (["--out", "reference.csv"], "reference.csv cannot be written (File exists)"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    files: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    lines = (files / "good.output.csv").read_text().splitlines()
    (files / "short.csv").write_text("\n".join(lines[:2]))
    assert run(files, *(str(files / one) if one.endswith(".csv") else one for one in options)) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_what_is_missing_is_said(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 2
    assert "nothing to compare" in capsys.readouterr().err
    assert main(["compare", str(files / "good.output.csv")]) == 2
    assert "name their file with --reference" in capsys.readouterr().err


@pytest.mark.parametrize("floor", ["-0.1", "1", "much", "nan"])
def test_a_floor_is_a_share(files: Path, capsys: pytest.CaptureFixture[str], floor: str) -> None:
    with pytest.raises(SystemExit) as stop:
        run(files, f"--floor={floor}")
    assert stop.value.code == 2
    assert "is no number from 0 to 1" in capsys.readouterr().err
