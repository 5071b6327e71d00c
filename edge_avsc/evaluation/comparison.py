"""Systems' outputs held against one reference: each alone, all together, with a floor, and in pairs."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation import ensembles
from edge_avsc.evaluation.bootstrap import macro_intervals
from edge_avsc.evaluation.datasets import place_of
from edge_avsc.evaluation.metrics import (
    Interval,
    Scores,
    calibration,
    decisions,
    normalised,
    sample_losses,
    scores,
    wald_interval,
)
from edge_avsc.evaluation.outputs import Reference, SystemOutput, aligned


@dataclass(frozen=True, slots=True)
class Entry:
    """A system, or several together, with its figures.

    kind: ``system``, ``together`` or ``floor``. note: how it came about, empty for a system. scores: where it gives no
    probabilities (votes), the log-losses are NaN. calibration_error: NaN there too. The bootstrap draws units.
    """

    name: str
    kind: str
    note: str
    scores: Scores
    calibration_error: float
    accuracy_wald: Interval
    accuracy_bootstrap: Interval
    log_loss_bootstrap: Interval


@dataclass(frozen=True, slots=True)
class Pair:
    """How much *first* differs from *second*, first minus second, with paired bootstrap intervals."""

    first: str
    second: str
    log_loss: float
    log_loss_bootstrap: Interval
    accuracy: float
    accuracy_bootstrap: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """All entries (systems by their macro log-loss, the least first), the pairs of systems, and what was drawn.

    units: how many were drawn from. located: how many of the n rows are drawn with others of their location; the name
    of the rest does not say where they were recorded, and they are drawn one by one.
    """

    n: int
    units: int
    located: int
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]

    def of_kind(self, kind: str) -> list[Entry]:
        """Return the entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is scored: decisions ``[n]``, and probabilities ``[n, c]`` where there are any."""

    name: str
    kind: str
    note: str
    decided: NDArray[int64]
    probabilities: NDArray[float64] | None


def compare(outputs: dict[str, SystemOutput], reference: Reference, floor: float | None = None) -> Comparison:
    """Compare systems by name; *floor*: the confidence floor, by default cross-fitted for each.

    Raises ConfigError where an output lacks a row of the reference.
    """
    index = reference.label_index
    places = [place_of(filename) for filename in reference.filenames]
    units = np.array([location for _, location, _ in places])
    half = ensembles.halves(units)
    answers = [_answer(name, aligned(output, reference, name)) for name, output in outputs.items()]
    if len(answers) > 1:
        answers += _together(answers, index, half)
    answers += [_with_floor(answer, index, half, floor) for answer in answers if answer.probabilities is not None]
    entries, pairs = _figures(answers, index, units, reference.labels)
    kinds = ("system", "together", "floor")
    entries.sort(key=lambda entry: (kinds.index(entry.kind), entry.kind == "system" and entry.scores.macro_log_loss))
    located = sum(city is not None for _, _, city in places)
    return Comparison(len(index), len(np.unique(units)), located, tuple(entries), tuple(pairs))


def _answer(name: str, output: SystemOutput) -> _Answer:
    rows = normalised(output.probabilities)
    other = int((rows[np.arange(len(rows)), output.decided] < rows.max(axis=1)).sum())
    sums = output.probabilities.sum(axis=1)
    far = int((np.abs(sums - 1.0) > 1e-3).sum())
    notes = [f"{other} decisions are not the label of largest probability"] if other else []
    notes += [f"{far} rows did not sum to 1 and were normalised"] if far else []
    return _Answer(name, "system", "; ".join(notes), output.decided, rows)


def _together(systems: list[_Answer], index: NDArray[int64], half: NDArray[bool_]) -> list[_Answer]:
    decided = np.stack([system.decided for system in systems])
    rows = np.stack([system.probabilities for system in systems if system.probabilities is not None])
    any_right = ensembles.oracle(decided, index)
    mean = ensembles.mean_ensemble(rows)
    weighted = ensembles.classwise_ensemble(decided, rows, index, half)
    vote = ensembles.majority_vote(decided, rows)
    return [
        _Answer("majority vote", "together", "ties go to the larger mean probability", vote, None),
        _Answer("oracle", "together", "any of the systems is right", np.where(any_right, index, decided[0]), None),
        _Answer("mean ensemble", "together", "mean of the probabilities", decisions(mean), mean),
        _Answer("class-wise ensemble", "together", "by precision in the other half", decisions(weighted), weighted),
    ]


def _with_floor(answer: _Answer, index: NDArray[int64], half: NDArray[bool_], floor: float | None) -> _Answer:
    assert answer.probabilities is not None
    if floor is None:
        rows, (first, second) = ensembles.floored_by_halves(answer.probabilities, index, half)
        note = f"floor {_said(first)} and {_said(second)}, each chosen in the other half"
    else:
        rows, note = ensembles.floored(answer.probabilities, floor), f"floor {floor:g}, given"
    return _Answer(f"{answer.name}, floored", "floor", note, answer.decided, rows)


def _said(floor: float) -> str:
    return f"{floor:g}" if floor else "none"


def _figures(
    answers: list[_Answer], index: NDArray[int64], units: NDArray[np.str_], labels: tuple[str, ...]
) -> tuple[list[Entry], list[Pair]]:
    hits = [(answer.decided == index).astype(float64) for answer in answers]
    losses = [
        sample_losses(index, answer.probabilities) if answer.probabilities is not None else np.full(len(index), np.nan)
        for answer in answers
    ]
    compared = list(itertools.combinations([i for i, a in enumerate(answers) if a.kind == "system"], 2))
    differences = (column[i] - column[j] for i, j in compared for column in (losses, hits))
    found = macro_intervals(units, itertools.chain(hits, losses, differences), index)
    entries = [_entry(answer, index, labels, found[i], found[i + len(answers)]) for i, answer in enumerate(answers)]
    intervals = iter(found[2 * len(answers) :])
    return entries, [_pair(entries[i], entries[j], next(intervals), next(intervals)) for i, j in compared]


def _entry(
    answer: _Answer, index: NDArray[int64], labels: tuple[str, ...], accuracy: Interval, log_loss: Interval
) -> Entry:
    rows = np.eye(len(labels))[answer.decided] if answer.probabilities is None else answer.probabilities
    found = scores(index, rows, labels, decided=answer.decided)
    error = calibration(index, rows).error
    if answer.probabilities is None:
        # One for the decided label and zero for the others are no probabilities: their log-loss would say nothing.
        error, unknown = float("nan"), np.full(len(labels), np.nan)
        found = dataclasses.replace(
            found, macro_log_loss=float("nan"), micro_log_loss=float("nan"), class_log_loss=unknown
        )
    wald = wald_interval(found.macro_accuracy, found.n)
    return Entry(answer.name, answer.kind, answer.note, found, error, wald, accuracy, log_loss)


def _pair(first: Entry, second: Entry, log_loss: Interval, accuracy: Interval) -> Pair:
    a, b = first.scores, second.scores
    return Pair(
        first.name,
        second.name,
        a.macro_log_loss - b.macro_log_loss,
        log_loss,
        a.macro_accuracy - b.macro_accuracy,
        accuracy,
    )
