"""What is known of systems beside their outputs, such as parameters, and how any two columns correlate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.evaluation.metrics import spearman
from edge_avsc.evaluation.outputs import Table

SYSTEM_COLUMN = "system"

Columns = dict[str, dict[str, float | str]]
"""Values by column and system."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's *rho* of two columns over *n* systems that have both; NaN with fewer than two, or a constant."""

    first: str
    second: str
    rho: float
    n: int


def read_characteristics(path: str | Path) -> Columns:
    """Read a table with a column ``system``, parted by tabs or commas.

    Raises ConfigError for what cannot be read and a system that is there twice.
    """
    table = Table(Path(path), [SYSTEM_COLUMN], others=True)
    at = table.header.index(SYSTEM_COLUMN)
    columns: Columns = {name: {} for name in table.header if name != SYSTEM_COLUMN}
    seen: set[str] = set()
    for line, row in table.rows():
        if row[at] in seen:
            raise ConfigError(f"{path}, line {line}: the system '{row[at]}' is there twice; keep one.")
        seen.add(row[at])
        for name, field in zip(table.header, row, strict=True):
            if name != SYSTEM_COLUMN and field:
                columns[name][row[at]] = field
    return columns


def correlations(
    wanted: Iterable[tuple[str, str]], computed: Mapping[str, Mapping[str, float]], table: Columns
) -> list[Correlation]:
    """Return Spearman's correlation of each two columns of *computed* and *table*, both by column and system.

    Where both have a column of one name, it is the table's. Raises ConfigError for an unknown column and for one that
    holds something else than numbers.
    """
    known: dict[str, Mapping[str, float | str]] = {**computed, **table}
    found = []
    for first, second in wanted:
        a, b = _numbers(first, known), _numbers(second, known)
        both = sorted(a.keys() & b.keys())
        rho = spearman([a[system] for system in both], [b[system] for system in both])
        found.append(Correlation(first, second, rho, len(both)))
    return found


def _numbers(name: str, known: Mapping[str, Mapping[str, float | str]]) -> dict[str, float]:
    if name not in known:
        raise ConfigError(f"There is no column '{name}'; there are {', '.join(known)}.{nearest(name, known)}")
    numbers = {}
    for system, value in known[name].items():
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(
                f"The {name} of {system} is '{value}', which is no number; write it in digits, or leave it empty."
            ) from None
        if number == number:
            numbers[system] = number
    return numbers
