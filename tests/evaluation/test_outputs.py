from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.outputs import (
    Reference,
    SystemOutput,
    aligned,
    clip_name,
    read_output,
    read_reference,
    write_output,
)
from edge_avsc.training.classes import LABELS

HEADER = "\t".join(["filename", "scene_label", *LABELS])
ROW = "\t".join(["a.wav", "bus", *["0.1"] * 10])


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "Some_Inst_task1b_1.output.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_is_written_is_read_again_to_the_last_bit(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).dirichlet(np.full(10, 0.01), 50)
    names = tuple(f"audio/airport-paris-{i}-1.wav" for i in range(50))
    output = SystemOutput(names, rows, tuple(LABELS[i] for i in rows.argmax(axis=1)))
    write_output(tmp_path / "x.csv", output)
    found = read_output(tmp_path / "x.csv")
    assert (found.filenames, found.scene_labels, found.labels) == (names, output.scene_labels, LABELS)
    assert (found.probabilities == rows).all()
    assert (found.decided == rows.argmax(axis=1)).all()
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == HEADER


def test_columns_go_by_name_and_commas_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "commas.csv"
    path.write_bytes(b"\xef\xbb\xbfb,a,scene_label,filename\r\n0.25,0.75,a,x.wav\r\n\r\n")
    found = read_output(path, ("a", "b"))
    assert found.probabilities.tolist() == [[0.75, 0.25]]
    assert found.filenames == ("x.wav",)


def test_labels_are_those_of_the_header_and_the_ten_are_in_their_own_order(tmp_path: Path) -> None:
    other = read_output(written(tmp_path, "kitchen\tfilename\tcellar\tscene_label", "0.25\ta.wav\t0.75\tcellar"))
    assert other.labels == ("kitchen", "cellar")
    assert other.probabilities.tolist() == [[0.25, 0.75]]
    header = "\t".join(["filename", "scene_label", *reversed(LABELS)])
    ten = read_output(written(tmp_path, header, "\t".join(["a.wav", "bus", *map(str, range(10))])))
    assert ten.labels == LABELS
    assert ten.probabilities.tolist() == [list(range(9, -1, -1))]


def test_an_output_has_probabilities_of_two_labels_at_the_least(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no columns of probabilities; give one for each of two or more labels"):
        read_output(written(tmp_path, "filename\tscene_label\tcellar", "a.wav\tcellar\t1"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "has no rows"),
        ([HEADER, ""], "has no rows"),
        ([HEADER.replace("metro_station", "metrostation"), ROW], "no column 'metro_station'. Is it 'metrostation'?"),
        ([HEADER.replace("filename", "file_name"), ROW], "no column 'filename'. Is it 'file_name'?"),
        ([HEADER + "\tbeach", ROW + "\t0"], "has the column 'beach' too much"),
        ([HEADER + "\ttram", ROW + "\t0"], "has the column 'tram' too much"),
        ([HEADER, ROW.replace("bus", "buss")], "line 2: 'buss' is not one of the labels. Did you mean 'bus'?"),
        ([HEADER, ROW, "", ROW], "has 'a.wav' twice, in lines 2 and 4"),
        ([HEADER, ROW + "\t0.1"], "line 2, has 13 fields, its header 12"),
        ([HEADER, ROW.replace("0.1", "nan", 1)], "line 2: airport is 'nan'"),
        ([HEADER, ROW.replace("0.1", "-0.1", 1)], "line 2: airport is '-0.1'"),
        ([HEADER, ROW.replace("0.1", "1e999", 1)], "line 2: airport is '1e999'"),
        ([HEADER, ROW.replace("0.1", "high", 1)], "line 2: airport is 'high'"),
    ],
)
def test_what_is_wrong_with_an_output_is_said(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_output(written(tmp_path, *lines), LABELS)
    assert says in str(error.value)
    assert "Some_Inst_task1b_1.output.csv" in str(error.value)


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match="is not text"):
        read_output(tmp_path / "picture.csv")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_reference(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        write_output(tmp_path / "no" / "x.csv", SystemOutput((), np.empty((0, 10)), ()))


@pytest.mark.parametrize("name_column", ["filename", "filename_audio", "filename_video"])
def test_a_reference_may_be_a_setup_file_or_an_output(tmp_path: Path, name_column: str) -> None:
    path = written(tmp_path, f"more\t{name_column}\tscene_label", "1\taudio/a.wav\tbus", "2\taudio/b.wav\ttram")
    assert read_reference(path) == Reference(("audio/a.wav", "audio/b.wav"), ("bus", "tram"))
    assert read_reference(path).label_index.tolist() == [1, 9]


def test_a_reference_needs_names_and_labels(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'filename'"):
        read_reference(written(tmp_path, "file\tscene_label", "a\tbus"))
    with pytest.raises(ConfigError, match="no column 'scene_label'"):
        read_reference(written(tmp_path, "filename\tlabel", "a\tbus"))


def test_a_clip_is_known_by_its_name_without_tau_folder_and_ending() -> None:
    assert {clip_name(name) for name in ("audio/a-b-1-2.wav", "video/a-b-1-2.mp4", "a-b-1-2")} == {"a-b-1-2"}
    assert clip_name("audio/a-b-1-2.wav#t=0,1") == clip_name("video/a-b-1-2.mp4#t=0,1") == "a-b-1-2#t=0,1"
    assert clip_name("night/a.wav") != clip_name("day/a.wav")
    assert clip_name("a-1.0") != clip_name("a-1.5")


def test_sound_and_pictures_of_one_name_are_two_clips_where_the_reference_has_both() -> None:
    names = ("audio/a.wav", "video/a.mp4")
    output = SystemOutput(names, np.array([[0.9] + [0.1] * 9, [0.1] * 9 + [0.9]]), ("airport", "tram"))
    swapped = aligned(output, Reference(names[::-1], ("tram", "airport")), "system")
    assert swapped.scene_labels == ("tram", "airport")
    with pytest.raises(ConfigError, match="has 'a' twice, under two names"):
        aligned(output, Reference(("a.wav",), ("tram",)), "system")
