"""A run's work folder: it remembers what it was made of."""

from __future__ import annotations

import json
from pathlib import Path

from edge_avsc.errors import ConfigError


def check_same(work: Path, **now: str | int | list[str] | None) -> None:
    """Note in *work* what its results are made of; raise ConfigError where they were made of something else."""
    path = work / "made_of.json"
    if not path.is_file():
        path.write_text(json.dumps(now), encoding="utf-8")
    was = json.loads(path.read_text(encoding="utf-8"))
    if was != now:
        raise ConfigError(
            f"{work} holds what was made with {', '.join(f'{key} {value}' for key, value in was.items())}; "
            "name another folder for this run, or remove it."
        )
