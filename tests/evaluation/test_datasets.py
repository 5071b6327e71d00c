from __future__ import annotations

from pathlib import Path

import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import place_of, read_dataset

TAU = "filename_audio\tfilename_video\tscene_label\n"


def dataset(folder: Path, **lists: str) -> Path:
    (folder / "evaluation_setup").mkdir(parents=True)
    for name, text in lists.items():
        (folder / "evaluation_setup" / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_rows_have_files_labels_and_places(tmp_path: Path) -> None:
    folder = dataset(
        tmp_path,
        all=TAU
        + "audio/airport-lisbon-1000-40000.wav\tvideo/airport-lisbon-1000-40000.mp4\tairport\n"
        + "audio/tram-tut2018-0-0a.flac\t\ttram\n"
        + "\tvideo/street_traffic-montevideo-acevedo0103-00-0.mp4\tstreet_traffic\n",
    )
    both, sound, pictures = read_dataset(folder).rows
    assert both.name == "audio/airport-lisbon-1000-40000.wav"
    assert (both.audio, both.video) == (folder / both.name, folder / "video/airport-lisbon-1000-40000.mp4")
    assert (both.scene_label, both.location, both.city) == ("airport", "lisbon-1000", "lisbon")
    assert (sound.video, sound.location, sound.city) == (None, "tram-tut2018-0-0a", None)
    assert pictures.audio is None
    assert pictures.name.startswith("video/")
    assert pictures.location == "montevideo-acevedo"


def test_places_are_read_off_names() -> None:
    assert place_of("audio/metro_station-lyon-1045-40062-a.wav") == ("metro_station", "lyon-1045", "lyon")
    assert place_of("airport-helsinki-3-115-a") == ("airport", "helsinki-3", "helsinki")
    assert place_of("park-lyon-1029-1")[1] == place_of("street_traffic-lyon-1029-40715.mp4")[1]
    assert place_of("tram-tut2018-0-0a") == (None, "tram-tut2018-0-0a", None)
    assert place_of("audio/12345.wav") == (None, "12345", None)
    assert place_of("tram/000.wav") == (None, "tram/000", None)
    assert place_of("audio/000.wav#t=1,2") == (None, "000", None)


def test_a_location_that_is_a_word_is_the_same_on_another_date() -> None:
    first, second = (f"video/street_traffic-montevideo-rivera{date}-00-0.mp4" for date in ("0922", "0923"))
    assert place_of(first) == place_of(second) == ("street_traffic", "montevideo-rivera", "montevideo")
    assert place_of("park-lyon-garden-1.wav")[1] == "park-lyon-garden-1"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_any_line_end_and_delimiter(newline: str, delimiter: str, tmp_path: Path) -> None:
    lines = ["filename_audio filename_video scene_label", "a.wav a.mp4 bus", "", "b.wav b.mp4 tram", ""]
    folder = dataset(tmp_path)
    text = newline.join(line.replace(" ", delimiter) for line in lines)
    (folder / "evaluation_setup" / "all.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [(row.name, row.scene_label) for row in read_dataset(folder).rows] == [("a.wav", "bus"), ("b.wav", "tram")]


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    folder = dataset(tmp_path, all="filename,scene_label\na\u2028b.wav,bus\nc.wav,tram\n")
    with pytest.raises(ConfigError, match=r"all.csv, line 2: the name 'a\\u2028b.wav' has a tab or another character"):
        read_dataset(folder)


def test_the_list_that_is_evaluated_is_not_its_own_training_list(tmp_path: Path) -> None:
    folder = dataset(tmp_path, train="filename\tscene_label\na.wav\tbus\n")
    for named in ("train.csv", str(folder / "evaluation_setup/../evaluation_setup/train.csv")):
        assert read_dataset(folder, named).train == ()


def test_published_list_of_names(tmp_path: Path) -> None:
    folder = dataset(tmp_path, test="test_dataname\r\nbus-lisbon-1133-41001.wav\r\n")
    (row,) = read_dataset(folder).rows
    assert row.audio == folder / "audio/bus-lisbon-1133-41001.wav"
    assert row.video == folder / "video/bus-lisbon-1133-41001.mp4"
    assert row.scene_label is None
    assert not read_dataset(folder).labelled
    (row,) = read_dataset(folder, labels_from_names=True).rows
    assert row.scene_label == "bus"


def test_default_list_and_training_list(tmp_path: Path) -> None:
    clip = "audio/bus-lisbon-1-1.wav\tvideo/bus-lisbon-1-1.mp4"
    folder = dataset(
        tmp_path,
        fold1_test=f"filename_audio\tfilename_video\n{clip}\n",
        fold1_train=TAU + "audio/bus-lyon-2-1.wav\tvideo/bus-lyon-2-1.mp4\tbus\n",
    )
    read = read_dataset(folder)
    assert read.split.name == "fold1_test.csv"
    assert not read.labelled
    assert [row.location for row in read.train] == ["lyon-2"]
    (folder / "evaluation_setup" / "fold1_evaluate.csv").write_text(f"{TAU}{clip}\tbus\n")
    assert read_dataset(folder).split.name == "fold1_evaluate.csv"
    assert read_dataset(folder, "fold1_train.csv").train == ()


def test_repeated_names_count_once(tmp_path: Path) -> None:
    read = read_dataset(dataset(tmp_path, all=TAU + "a.wav\ta.mp4\tbus\n" * 3))
    assert len(read.rows) == 1
    assert read.repeated == ("a.wav", "a.wav")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "of nothing"),
        ("who\twhat\na\tb\n", "needs filename_audio"),
        (TAU, "names no clips"),
        (TAU + "\t\tbus\n", "line 2: no file is named"),
    ],
)
def test_bad_list_is_refused_with_the_mend(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        read_dataset(dataset(tmp_path, all=text))


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no dataset folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"no evaluation_setup/\*.csv"):
        read_dataset(tmp_path)
    folder = dataset(tmp_path / "d", joint=TAU + "a\tb\tbus\n", sound=TAU + "a\tb\tbus\n")
    with pytest.raises(ConfigError, match=r"joint.csv, sound.csv; say which"):
        read_dataset(folder)
    with pytest.raises(ConfigError, match=r"Did you mean 'joint.csv'"):
        read_dataset(folder, "joints.csv")
    with pytest.raises(ConfigError, match=r"labelled 'bus'.*Did you mean 'busy'"):
        read_dataset(folder, "joint.csv").check_labels(["busy", "tram"])


def test_real_lists(shared_data: Path) -> None:
    lists = shared_data / "reference" / "tau_avs_2021_splits"
    test = read_dataset(shared_data / "tau", str(lists / "test.csv"), train=str(lists / "train.csv"))
    assert (len(test.rows), len(test.train)) == (3645, 7907)
    assert not {row.location for row in test.rows} & {row.location for row in test.train}
    val = read_dataset(shared_data / "tau", str(lists / "val.csv"))
    assert (len(val.rows), val.labelled) == (739, True)
    assert len(read_dataset(shared_data / "tau").rows) == 64
