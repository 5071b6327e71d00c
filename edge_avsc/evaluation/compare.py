"""The verb ``compare``: files of outputs in; tables for people, CSV and JSON out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.characteristics import correlations, read_characteristics
from edge_avsc.evaluation.comparison import Comparison, compare
from edge_avsc.evaluation.comparison_tables import print_comparison, print_correlations, system_columns, write_tables
from edge_avsc.evaluation.outputs import SystemOutput, read_output, read_reference

_ENDINGS = (".output.csv", ".csv")


def compare_files(
    outputs: Sequence[str],
    reference: str | None,
    *,
    floor: float | None = None,
    table: str | None = None,
    spearman: Sequence[tuple[str, str]] = (),
    out: str | None = None,
    stream: TextIO,
) -> None:
    """Compare systems by their files, print tables to *stream* and write them into the folder *out*.

    floor: the confidence floor, 0..1; cross-fitted by default. table: characteristics of systems by column. spearman:
    pairs of columns; without *outputs* of the table alone. The labels are those of the first output's header. Raises
    ConfigError for whatever is wrong with a file, and where another one has other labels.
    """
    if not outputs and not (table and spearman):
        raise ConfigError("There is nothing to compare; name files of outputs, or --table and --spearman.")
    if table and not spearman:
        raise ConfigError(f"What is wanted of {table} is not said; name two of its columns with --spearman.")
    if outputs and reference is None:
        raise ConfigError("The right labels are missing; name their file with --reference.")
    found = _compared(_names(outputs), reference, floor, stream) if outputs and reference is not None else None
    characteristics = read_characteristics(table) if table else {}
    related = correlations(spearman, system_columns(found) if found else {}, characteristics)
    if out is not None:
        write_tables(Path(out), found, related)
    if found:
        print_comparison(found, stream)
    if related:
        print_correlations(related, stream)


def _compared(paths: dict[str, str], reference: str, floor: float | None, stream: TextIO) -> Comparison:
    read: dict[str, SystemOutput] = {}
    labels: tuple[str, ...] = ()
    for name, path in paths.items():
        read[name] = read_output(path, labels)
        labels = read[name].labels
    right = read_reference(reference, labels)
    found = compare(read, right, floor)
    for name, output in read.items():
        more = len(output.filenames) - len(right.filenames)
        if more:
            print(
                f"{name}: {more} of {len(output.filenames)} rows are not in {reference}; they are left out.",
                file=stream,
            )
    return found


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Return the paths by the systems' names: the files' without ending, the paths where these are not different."""
    short = [_short(path) for path in paths]
    if len(set(paths)) < len(paths):
        again = next(path for path in paths if paths.count(path) > 1)
        raise ConfigError(f"{again} is named twice; name each file of outputs once.")
    return dict(zip(short if len(set(short)) == len(short) else paths, paths, strict=True))


def _short(path: str) -> str:
    name = Path(path).name
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
