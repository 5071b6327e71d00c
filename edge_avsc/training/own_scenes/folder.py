"""A folder of ``<label>/<recordings>``: which scenes there are, and which recordings come from one source."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row, place_of
from edge_avsc.types import UNSURE

NONE_FOLDERS = ("none", "other")
"""What lies in these folders is none of the scenes: it teaches when to say ``unsure``."""

STILLS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Pictures for themselves: each counts as a window without sound."""

_NUMBERED = re.compile(r"(?P<before>.*?)[-_ ]+\(?\d+\)?")
# What devices begin every name with: the number that follows counts recordings, not the parts of one.
_OF_DEVICES = re.compile(
    r"(?:img|vid|dsc[fn]?|dscn|mvi|mov|pxl|gopr|g[hx]\d*|rec|aud|wa|scan|photo|image|picture|video|audio|clip|sound|"
    r"recording|track|file)?(?:[-_ ]*\d+)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SceneFolder:
    """What a folder holds.

    labels: the scenes, in alphabetical order. rows: the recordings and pictures of the scenes, by label and name; each
    row's ``name`` is its path in the folder, its ``location`` the source, its ``audio`` and ``video`` the one file.
    none: likewise those of no scene, whose ``scene_label`` is None.
    """

    folder: Path
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    none: tuple[Row, ...]

    def sources(self, label: str) -> Counter[str]:
        """Return how many recordings each source of a scene has."""
        return Counter(row.location for row in self.rows if row.scene_label == label)


def read_folder(folder: str | Path, least: int = 2) -> SceneFolder:
    """List a folder's scenes and recordings; hidden files and folders are passed over.

    Recordings of one source are never both learnt from and judged. A source is, whichever is told first: the folder
    inside the label's (``kitchen/monday/1.mp4``); the place in a name in TAU's way (``park-lyon-1144-44031.wav``); the
    name without a number at its end (``cellar_1.wav`` and ``cellar_2.wav`` are cuts of one), unless nothing but the
    label or a device's own word is left of it (``kitchen_1``, ``IMG_0001``); the name without its ending.

    Raises ConfigError where there are fewer scenes than *least*, one has no recordings, or a scene cannot be called so.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}; name one that has a folder of recordings for each scene.")
    found = {child.name: list(_rows(child)) for child in _visible(folder) if child.is_dir()}
    if not found:
        raise ConfigError(
            f"{folder} has no folders in it; give each scene one with its recordings, as in {folder}/kitchen/1.mp4."
        )
    none = [row for name in list(found) if name.casefold() in NONE_FOLDERS for row in found.pop(name)]
    for label, rows in found.items():
        _check(folder, label)
        if not rows:
            raise ConfigError(f"{folder / label} is empty; put recordings of '{label}' into it, or remove it.")
    if len(found) < least:
        what = f"only the scene '{next(iter(found))}'" if found else "no scene"
        more = "two or more, each in its folder" if least > 1 else "at least one"
        raise ConfigError(f"{folder} has {what}; telling places apart takes {more}.")
    labels = tuple(sorted(found))
    return SceneFolder(folder, labels, tuple(row for label in labels for row in found[label]), tuple(none))


def source_of(path: Path, label_folder: Path) -> str:
    """Return which source a recording comes from, as :func:`read_folder` defines it."""
    inside = path.relative_to(label_folder)
    if len(inside.parts) > 1:
        return inside.parts[0]
    scene, place, _ = place_of(path.name)
    if scene is not None:
        return place
    numbered = _NUMBERED.fullmatch(path.stem)
    if numbered is None:
        return path.stem
    before = numbered["before"]
    alike = before.casefold() == label_folder.name.casefold()
    return path.stem if alike or _OF_DEVICES.fullmatch(before) else before


def _rows(label_folder: Path) -> Iterator[Row]:
    label = None if label_folder.name.casefold() in NONE_FOLDERS else label_folder.name
    for path in _files(label_folder):
        name = path.relative_to(label_folder.parent).as_posix()
        yield Row(name, path, path, label, source_of(path, label_folder), None)


def _files(folder: Path) -> Iterator[Path]:
    for child in _visible(folder):
        if child.is_dir():
            # A link to where it lies would be followed for ever.
            if not folder.resolve().is_relative_to(child.resolve()):
                yield from _files(child)
        else:
            yield child


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _check(folder: Path, label: str) -> None:
    if label == UNSURE:
        raise ConfigError(
            f"{folder / label}: 'unsure' is what is said when no scene fits; put what is none of the scenes into "
            f"{folder / NONE_FOLDERS[0]}, or give the folder another name."
        )
    if not label.strip() or label != label.strip() or not label.isprintable():
        raise ConfigError(f"{folder} has the folder {label!r}, which is no name for a scene; use visible characters.")
