"""What may be written for an argument of the command line; the error of a wrong one is argparse's to show."""

from __future__ import annotations

import argparse

EXIT_CODES = "exit codes: 0 done, 2 bad usage, input or configuration, 3 device, 4 model, 1 anything else"


def sentence(text: str) -> str:
    """Return a short help as a sentence; abbreviations stay as they are."""
    return text[0].upper() + text[1:] + "."


def positive(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def count(text: str) -> int:
    """Return a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def seed(text: str) -> int:
    """Return a whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 on")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to below 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share < 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to 1")
    return share


def target(text: str) -> str:
    """Return a GPU, as ``sm_89``."""
    number = text.lower().removeprefix("sm_").removeprefix("sm")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no GPU; write its compute capability, such as sm_89")
    return f"sm_{number}"


def seconds(text: str) -> float:
    """Return seconds, from 0.5 to 3600."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.5 <= seconds <= 3600.0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 0.5 to 3600")
    return seconds


def jobs(text: str) -> int:
    """Return a number of processes."""
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of processes from 1 to 1024")
    return int(text)


def name(text: str) -> str:
    """Return a name that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def label(text: str) -> str:
    """Return what can begin the name of a file."""
    if not text or text.startswith(".") or set(text) & {"/", "\\"}:
        raise argparse.ArgumentTypeError(f"'{text}' cannot begin a file's name; leave out slashes and a leading dot")
    return text


def speed(text: str) -> float | None:
    """Return a speed; None is as fast as possible."""
    try:
        return None if text == "max" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither 'max' nor a number") from None
