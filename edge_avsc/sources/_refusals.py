"""Why a path cannot be replayed, in one sentence that says what to do instead."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import NoReturn

from edge_avsc.errors import ConfigError
from edge_avsc.types import Role

_TRACKS: dict[Role, str] = {"audio": "sound", "video": "pictures"}


def refuse_what_is_no_file(path: str) -> None:
    """Raise ConfigError unless *path* is a regular, readable file that is not empty."""
    try:
        state = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"There is no file {path}; check the path.") from error
    except PermissionError as error:
        _refuse_unreadable(path, error)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path!r} is no usable path ({error}); give the path of a recording.") from error
    if stat.S_ISDIR(state.st_mode):
        raise ConfigError(f"{path} is a directory; give one recording, such as a .mp4 or .wav file in it.")
    if not stat.S_ISREG(state.st_mode):
        raise ConfigError(f"{path} is a device or a pipe, not a recording; give a file.")
    if state.st_size == 0:
        raise ConfigError(f"{path} is empty (0 bytes); copy or record it again.")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        _refuse_unreadable(path, error)


def refuse_unopened(path: str, error: Exception) -> NoReturn:
    """Raise the ConfigError for a file that FFmpeg does not open."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        raise ConfigError(
            f"{path} is damaged or was cut short before its index (moov) was written; copy it again or repair it."
        ) from error
    raise ConfigError(
        f"{path} is not a recording that can be read; give a sound or video file such as .mp4, .mkv or .wav."
    ) from error


def refuse_tracks(path: str, wanted: Iterable[Role], problems: Iterable[str]) -> NoReturn:
    """Raise the ConfigError for a file with nothing usable of what is *wanted*."""
    for problem in problems:
        raise ConfigError(problem)
    missing = " and no ".join(_TRACKS[role] for role in sorted(wanted))
    raise ConfigError(f"{path} holds no {missing}; give a recording that does.")


def _refuse_unreadable(path: str, error: OSError) -> NoReturn:
    raise ConfigError(
        f"{path} may not be read ({error.strerror}); allow it, for example with chmod u+r, or run as its owner."
    ) from error
