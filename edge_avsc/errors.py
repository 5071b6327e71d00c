"""Errors that reach a user: one sentence that names the thing and the mend."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# What a sentence shows as an example stays.
_USER = re.compile(r"(?<=://)(?!user:password@)\S*@|(?<=/)(?!user:password@)[^\s/]+:\S*@")
_SECRET = re.compile(
    r"(?i)\b((?:[\w-]*(?:pass\w*|pwd|psw|pw|token|key)|auth\w*|user?[\w-]*|usr)=)(?:\"[^\"]*\"|[^&\s'\"]*)"
)


class EdgeAvscError(Exception):
    """Base of all errors that the command line prints as one sentence."""

    exit_code = 1


class ConfigError(EdgeAvscError):
    """Bad usage, input or configuration (exit code 2)."""

    exit_code = 2


class DeviceError(EdgeAvscError):
    """A microphone, camera or network source cannot be used (exit code 3)."""

    exit_code = 3


class ModelError(EdgeAvscError):
    """A bundle cannot be loaded, or does not do what it promises (exit code 4)."""

    exit_code = 4


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to *name*, or an empty string.

    cutoff: how much of the two names must be alike, 0..1.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean '{close[0]}'?" if close else ""


def installing(extra: str) -> str:
    """Return how to install one of the package's extras; no registry has it, so the source code is at hand."""
    return f"install it in the source code's folder: pip install '.[{extra}]'"


def without_secrets(text: str) -> str:
    """Return *text* without the users and passwords of the addresses in it."""
    return _SECRET.sub(r"\1…", _USER.sub("", text))
