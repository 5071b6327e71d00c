"""Files of system outputs and references, as the challenge has them: tab-separated text with a header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import float64, int64
from numpy.typing import NDArray

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.training.classes import LABELS

NAME_COLUMNS = ("filename", "filename_audio", "filename_video")
LABEL_COLUMN = "scene_label"
_FOLDER_AND_ENDING = re.compile(r"^(?:audio|video)/|\.[A-Za-z][A-Za-z0-9]{1,3}(?=$|#)")


@dataclass(frozen=True, slots=True)
class SystemOutput:
    """What a system said of n samples.

    filenames: one a sample, as its file has them. probabilities: float64 ``[n, c]``, finite and at least 0, but not
    necessarily normalised; columns in the order of *labels*. scene_labels: what the system decided, one of *labels*
    each; it need not be the label of largest probability.
    """

    filenames: tuple[str, ...]
    probabilities: NDArray[float64]
    scene_labels: tuple[str, ...]
    labels: tuple[str, ...] = LABELS

    @property
    def decided(self) -> NDArray[int64]:
        """The index of each decided label ``[n]``."""
        return indices(self.scene_labels, self.labels)


@dataclass(frozen=True, slots=True)
class Reference:
    """The right label of each sample, one of *labels* each."""

    filenames: tuple[str, ...]
    scene_labels: tuple[str, ...]
    labels: tuple[str, ...] = LABELS

    @property
    def label_index(self) -> NDArray[int64]:
        """The index of each right label ``[n]``."""
        return indices(self.scene_labels, self.labels)


def indices(scene_labels: Sequence[str], labels: tuple[str, ...]) -> NDArray[int64]:
    """Return the place of each of *scene_labels* among *labels*, ``[n]``."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[label] for label in scene_labels], int64)


def read_output(path: str | Path, labels: tuple[str, ...] = ()) -> SystemOutput:
    """Read a system's output: columns ``filename``, ``scene_label`` and one of probabilities for each of *labels*.

    labels: by default those that the header has, in DCASE's order where they are its ten, else in the header's. The
    columns may come in any order and be parted by tabs or commas. Raises ConfigError for a file that cannot be
    read, other columns, a name that is there twice, an unknown label, and what is not a finite number from 0 on.
    """
    table = Table(Path(path), [NAME_COLUMNS[0], LABEL_COLUMN, *labels], others=not labels)
    labels = labels or _labels_of(table)
    rows = list(table.rows())
    names, decided = _names_and_labels(table, rows, NAME_COLUMNS[0], labels)
    columns = [table.header.index(label) for label in labels]
    probabilities = np.array([[_probability(table, line, row, i) for i in columns] for line, row in rows], float64)
    return SystemOutput(names, probabilities, decided, labels)


def read_reference(path: str | Path, labels: tuple[str, ...] = LABELS) -> Reference:
    """Read the right labels: columns ``scene_label`` and ``filename`` (or ``filename_audio``, as in TAU); more may be.

    Raises ConfigError as :func:`read_output` does.
    """
    table = Table(Path(path), [LABEL_COLUMN], others=True)
    named = [name for name in NAME_COLUMNS if name in table.header]
    if not named:
        raise ConfigError(f"{path} has no column 'filename'; it has {', '.join(table.header)}.")
    names, right = _names_and_labels(table, list(table.rows()), named[0], labels)
    return Reference(names, right, labels)


def write_output(path: str | Path, output: SystemOutput) -> None:
    """Write *output* as a submission: tab-separated, with all digits, so that reading it gives the same numbers.

    Raises ConfigError where *path* cannot be written.
    """
    lines = ["\t".join([NAME_COLUMNS[0], LABEL_COLUMN, *output.labels])]
    for name, label, row in zip(output.filenames, output.scene_labels, output.probabilities.tolist(), strict=True):
        lines.append("\t".join([name, label, *map(repr, row)]))
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error


def clip_name(filename: str) -> str:
    """Return *filename* without TAU's folder and its ending: ``audio/x.wav``, ``video/x.mp4``, ``x`` are one."""
    return _FOLDER_AND_ENDING.sub("", filename)


def aligned(output: SystemOutput, reference: Reference, name: str) -> SystemOutput:
    """Return the rows of *output* in the order of *reference*; rows that the reference lacks are left out.

    name: what a complaint calls the output. Raises ConfigError where the reference has a clip that the output lacks.
    """
    # Names as they stand come first: a dataset may have sound and pictures of one name as clips of their own.
    exact = set(reference.filenames) <= set(output.filenames)
    key: Callable[[str], str] = str if exact else clip_name
    places: dict[str, int] = {}
    for place, filename in enumerate(output.filenames):
        if places.setdefault(key(filename), place) != place:
            raise ConfigError(f"{name} has '{key(filename)}' twice, under two names; keep one.")
    wanted = [key(filename) for filename in reference.filenames]
    missing = [clip for clip in wanted if clip not in places]
    if missing:
        near = nearest(missing[0], places)
        raise ConfigError(
            f"{name} lacks {len(missing)} of the reference's {len(wanted)} rows, the first is '{missing[0]}'.{near}"
        )
    order = [places[clip] for clip in wanted]
    names, decided = ([column[place] for place in order] for column in (output.filenames, output.scene_labels))
    return SystemOutput(tuple(names), output.probabilities[order], tuple(decided), output.labels)


class Table:
    """A text table with a header; every complaint names the file and the line."""

    def __init__(self, path: Path, needed: list[str], *, others: bool) -> None:
        self.path = path
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not text; give a table with a header, as the challenge has them.") from error
        delimiter = "\t" if "\t" in lines[0] else ","
        self._rows = [[field.strip() for field in line.split(delimiter)] if line.strip() else [] for line in lines]
        if not any(self._rows[1:]):
            raise ConfigError(f"{path} has no rows; give a header and a row for each sample.")
        self.header = self._rows[0]
        for name in needed:
            if name not in self.header:
                near = nearest(name, set(self.header) - set(needed)).replace("Did you mean", "Is it")
                raise ConfigError(f"{path} has no column '{name}'.{near}")
        for name in self.header:
            if (name not in needed and not others) or self.header.count(name) > 1:
                raise ConfigError(f"{path} has the column '{name}' too much; it needs {', '.join(needed)}, once each.")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each line, counted from 1, and its fields."""
        for line, row in enumerate(self._rows[1:], start=2):
            if row and len(row) != len(self.header):
                raise ConfigError(f"{self.path}, line {line}, has {len(row)} fields, its header {len(self.header)}.")
            if row:
                yield line, row


def _labels_of(table: Table) -> tuple[str, ...]:
    found = tuple(name for name in table.header if name not in (NAME_COLUMNS[0], LABEL_COLUMN))
    if len(found) < 2:
        raise ConfigError(f"{table.path} has no columns of probabilities; give one for each of two or more labels.")
    return LABELS if set(found) == set(LABELS) else found


def _names_and_labels(
    table: Table, rows: list[tuple[int, list[str]]], name_column: str, labels: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    at, label_at = table.header.index(name_column), table.header.index(LABEL_COLUMN)
    lines: dict[str, int] = {}
    for line, row in rows:
        if row[label_at] not in labels:
            near = nearest(row[label_at], labels)
            raise ConfigError(f"{table.path}, line {line}: '{row[label_at]}' is not one of the labels.{near}")
        if row[at] in lines:
            raise ConfigError(f"{table.path} has '{row[at]}' twice, in lines {lines[row[at]]} and {line}; keep one.")
        lines[row[at]] = line
    return tuple(row[at] for _, row in rows), tuple(row[label_at] for _, row in rows)


def _probability(table: Table, line: int, row: list[str], at: int) -> float:
    try:
        value = float(row[at])
    except ValueError:
        value = float("nan")
    if not 0.0 <= value < float("inf"):
        raise ConfigError(
            f"{table.path}, line {line}: {table.header[at]} is '{row[at]}'; probabilities are finite numbers from 0 on."
        )
    return value
