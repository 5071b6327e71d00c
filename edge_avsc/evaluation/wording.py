"""How figures are written in a report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def name_of(system: dict[str, Any], systems: Sequence[dict[str, Any]]) -> str:
    """Return a system's name as an HTML cell; nothing where there is only one, which needs no name."""
    return escape(system["name"]) if len(systems) > 1 else ""


def percent(share: float) -> str:
    """Return a share, 0..1, in percent."""
    return f"{100 * share:.1f} %"


def spread(of: dict[str, Any], what: str) -> str:
    """Return the interval over locations of a figure, or that there is none."""
    ends = of[f"{what}_bootstrap"]
    if not ends:
        return "one location: no interval"
    if "accuracy" in what:
        return f"95 %: {100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    return f"95 %: {ends[0]:.3f} to {ends[1]:.3f}"


def with_spread(of: dict[str, Any], what: str, times: int = 1, *, signed: bool = False) -> str:
    """Return a figure and its interval over locations as an HTML cell; *times* 100 writes shares in percent."""
    digits = ".1f" if times == 100 else ".3f"
    form = f"+{digits}" if signed else digits
    ends = of[f"{what}_bootstrap"]
    shown = f"{times * of[what]:{form}}"
    if not ends:
        return shown
    low, high = (f"{times * end:{form}}" for end in ends)
    return f"{shown} <small>({low} to {high})</small>"
