"""Datasets in TAU layout: ``audio/``, ``video/`` and lists of their clips in ``evaluation_setup/*.csv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_avsc.errors import ConfigError, nearest

DEFAULT_SPLITS = ("fold1_evaluate.csv", "evaluate.csv", "all.csv", "val.csv", "fold1_test.csv", "test.csv", "meta.csv")
"""Which list is read when none is named: the first of these that is there, else the only one that is there."""

TRAIN_SPLITS = ("fold1_train.csv", "train.csv")

# scene-city-location-segment[-device], as TAU names its clips: 'airport-lisbon-1000-40000.wav'. Where the location is a
# word, as in urbansas ('street_traffic-montevideo-rivera0922-00-0.mp4'), the digits behind it are a date.
_TAU_NAME = re.compile(r"(?P<scene>[a-z_]+)-(?P<city>[a-z]+)-(?P<location>[0-9]+|[a-z]+(?=[0-9]))[0-9]*-.+")
_ROLE_FOLDER = re.compile(r"^(?:audio|video)/")
_SOUND_COLUMNS = ("filename_audio", "filename")
_BARE_NAMES = "test_dataname"


@dataclass(frozen=True, slots=True)
class Row:
    """One clip of a list.

    name: the file as the list has it (the sound's, where there is one); unique in a dataset, and what outputs name.
    audio, video: the files; None where the modality is absent. Both may be one file.
    scene_label: None where the list has no labels.
    location: where it was recorded, as ``city-number``, from the file's name; the file itself where that does not say.
    city: None where the file's name does not say.
    """

    name: str
    audio: Path | None
    video: Path | None
    scene_label: str | None
    location: str
    city: str | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The clips of one list.

    train: the clips of the list that a system may have been trained on; empty where there is no such list.
    repeated: names that the list has more than once; only the first is kept.
    """

    folder: Path
    split: Path
    rows: tuple[Row, ...]
    repeated: tuple[str, ...]
    train: tuple[Row, ...]

    @property
    def labelled(self) -> bool:
        """Whether every clip has a label."""
        return all(row.scene_label is not None for row in self.rows)

    def wrong_labels(self, labels: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        """Yield each label that is none of *labels*, None where only others have one, and a sentence about it."""
        labelled = any(row.scene_label is not None for row in self.rows)
        for row in self.rows:
            if row.scene_label is None and labelled:
                yield None, f"{self.split}: {row.name} has no scene_label, others have; label all clips or none."
            if row.scene_label is not None and row.scene_label not in labels:
                yield (
                    row.scene_label,
                    f"{self.split}: {row.name} is labelled '{row.scene_label}', which the model does not know; "
                    f"it knows {', '.join(labels)}.{nearest(row.scene_label, labels)}",
                )

    def check_labels(self, labels: Sequence[str]) -> None:
        """Raise ConfigError when a clip has a label that is none of *labels*, or only some clips have labels."""
        for _, sentence in self.wrong_labels(labels):
            raise ConfigError(sentence)


def read_dataset(
    folder: str | Path, split: str | None = None, *, train: str | None = None, labels_from_names: bool = False
) -> Dataset:
    """Read the list *split* of the dataset in *folder*: a file's name in ``evaluation_setup``, or a path.

    Lists are tab- or comma-separated, with the columns ``filename_audio`` (or ``filename``), ``filename_video``,
    ``scene_label``; each but one file name may be absent or empty. ``test_dataname`` alone, as published with the
    challenge's splits, stands for ``audio/NAME.wav`` and ``video/NAME.mp4``.
    train: likewise the list of the training clips; without it, ``fold1_train.csv`` or ``train.csv`` where they exist.
    labels_from_names: take the label, where a list has none, from a name in TAU's way.

    Raises ConfigError when the folder or the list is missing, or is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"There is no dataset folder {folder}; name one that has audio/, video/ and evaluation_setup/."
        )
    chosen = _default_split(folder) if split is None else _find(folder, split)
    rows, repeated = _unique(_read(folder, chosen, labels_from_names))
    trained = _train_split(folder, train)
    # A list that is evaluated is not its own training list, even where it is called train.csv.
    known = (
        [] if trained is None or trained.resolve() == chosen.resolve() else _read(folder, trained, labels_from_names)
    )
    return Dataset(folder, chosen, rows, repeated, _unique(known)[0])


def place_of(name: str) -> tuple[str | None, str, str | None]:
    """Return scene, location and city that a clip's file name says.

    Otherwise it is None, the name without ``audio/`` or ``video/`` and its suffix, and None: clips that folders part
    may be called alike. The scene is no part of a location: its sound and pictures may carry different scenes' names.
    """
    path = PurePosixPath(name)
    found = _TAU_NAME.fullmatch(path.stem)
    if found is None:
        return None, _ROLE_FOLDER.sub("", str(path.parent / path.stem)), None
    return found["scene"], f"{found['city']}-{found['location']}", found["city"]


def lists_of(folder: Path) -> dict[str, Path]:
    """Return the lists of a dataset by their names."""
    setup = folder / "evaluation_setup"
    found = sorted(setup.glob("*.csv")) if setup.is_dir() else []
    meta = folder / "meta.csv"
    return {path.name: path for path in [*found, *([meta] if meta.is_file() else [])]}


def _default_split(folder: Path) -> Path:
    lists = lists_of(folder)
    for name in DEFAULT_SPLITS:
        if name in lists:
            return lists[name]
    if len(lists) == 1:
        return next(iter(lists.values()))
    if lists:
        raise ConfigError(f"{folder} has the lists {', '.join(lists)}; say which with --split.")
    raise ConfigError(f"{folder} has no evaluation_setup/*.csv and no meta.csv; add one, or name a list with --split.")


def _find(folder: Path, split: str) -> Path:
    for path in (folder / "evaluation_setup" / split, folder / split, Path(split)):
        if path.is_file():
            return path
    lists = lists_of(folder)
    raise ConfigError(
        f"There is no list '{split}' in {folder}; it has {', '.join(lists) or 'none'}.{nearest(split, lists)}"
    )


def _train_split(folder: Path, train: str | None) -> Path | None:
    if train is not None:
        return _find(folder, train)
    lists = lists_of(folder)
    return next((lists[name] for name in TRAIN_SPLITS if name in lists), None)


def _unique(rows: list[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    by_name: dict[str, Row] = {}
    repeated = []
    for row in rows:
        if row.name in by_name:
            repeated.append(row.name)
        else:
            by_name[row.name] = row
    return tuple(by_name.values()), tuple(repeated)


def _read(folder: Path, path: Path, labels_from_names: bool) -> list[Row]:
    try:
        # The published lists end their lines in three ways, and two of them in one file.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a list ({error}); restore it, or name another one.") from error
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        rows = list(_rows(folder, path, reader, labels_from_names))
    except csv.Error as error:
        # The reader counts a line once it is read.
        raise ConfigError(f"{path}, line {reader.line_num + 1}: {error}; mend that line.") from error
    if not rows:
        raise ConfigError(f"{path} names no clips; add lines to it, or name another list.")
    return rows


def _rows(folder: Path, path: Path, reader: csv.DictReader[str], labels_from_names: bool) -> Iterator[Row]:
    columns = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    sound = next((column for column in _SOUND_COLUMNS if column in columns), None)
    if sound is None and not {"filename_video", _BARE_NAMES} & set(columns):
        raise ConfigError(
            f"{path} has the columns {', '.join(columns) or 'of nothing'}; "
            "it needs filename_audio, filename_video or both."
        )
    for fields in reader:
        values = {column: (fields.get(column) or "").strip() for column in columns}
        audio, video = values.get(sound or "", ""), values.get("filename_video", "")
        if values.get(_BARE_NAMES):
            bare = values[_BARE_NAMES]
            audio, video = f"audio/{bare}", f"video/{Path(bare).stem}.mp4"
        if not audio and not video:
            raise ConfigError(
                f"{path}, line {reader.line_num}: no file is named; name its sound, its pictures or both."
            )
        if not f"{audio}{video}".isprintable():
            raise ConfigError(
                f"{path}, line {reader.line_num}: the name {f'{audio}{video}'!r} has a tab or another character that "
                "outputs cannot hold; rename the file."
            )
        scene, location, city = place_of(audio or video)
        label = values.get("scene_label") or (scene if labels_from_names else None)
        yield Row(
            audio or video, folder / audio if audio else None, folder / video if video else None, label, location, city
        )
