"""How much is trained: the default, which two cores do in 75 minutes, and the long run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How much is trained; the minutes bound each run, whatever the machine. 0 narrow_minutes: no narrowing."""

    picture_runs: int = 1
    picture_epochs: float = 30.0
    picture_minutes: float = 60.0
    narrow_minutes: float = 0.0
    sound_shards: int = 18
    sound_epochs: float = 30.0
    sound_minutes: float = 26.0
    field_shards: int = 2
    adapt_runs: int = 1
    adapt_steps: int = 1500
    adapt_minutes: float = 5.0
    seed: int = 1

    def within(self, **given: Any) -> Plan:
        """Return the plan with other values, where they are given (not None)."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


SHORT = Plan()
LONG = Plan(
    picture_runs=4,
    picture_minutes=480.0,
    sound_shards=24,
    sound_epochs=40.0,
    sound_minutes=400.0,
    field_shards=8,
    adapt_runs=2,
    adapt_steps=4000,
    adapt_minutes=20.0,
)
