"""The last sections of a report: what the data were like, and how each figure is defined."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from edge_avsc.evaluation.page import table
from edge_avsc.evaluation.wording import name_of

_DEFINITIONS = (
    (
        "Window",
        "Second [k, k + 1) of a clip, as a replay with a hop of 1 s scores it: the same code, the same numbers.",
    ),
    (
        "Accuracy",
        "The mean over the classes of their recalls. Classes without clips have no part in it. The micro accuracy is "
        "the share of windows that are right.",
    ),
    (
        "Log-loss",
        "The natural logarithm of the right label's probability, negated: the mean over each class's windows, then "
        "over the classes. Probabilities are clipped at 1e-15 and normalised. The micro log-loss is the mean over all "
        "windows.",
    ),
    (
        "95 %",
        "A bootstrap (Efron 1979) that draws whole locations, since windows of one place are not independent. A "
        "location is the city and the number in a clip's name; the clip itself where its name does not say.",
    ),
    ("Wald ±", "Half of the interval that the paper prints: of independent windows, so it is too narrow."),
    (
        "Clips",
        "By the mean of their windows' probabilities, which has the largest value where the sum has it, as the paper "
        "says; and by their geometric mean, likewise for the sum of logarithms, as the challenge's baseline does.",
    ),
    (
        "Calibration error",
        "The mean over windows of how far their bin's accuracy is from its mean confidence (Naeini et al. 2015), in "
        "bins of equal mass.",
    ),
)


def data_section(dataset: dict[str, Any], systems: Sequence[dict[str, Any]]) -> str:
    """Return what a reader must know of the clips before believing the figures."""
    said = [_leaks(dataset)]
    if dataset["repeated"]:
        said.append(f"{len(dataset['repeated'])} rows name a clip again; each clip is scored once.")
    for system in systems:
        said += _of_system(system, dataset["clips"])
    rows = [
        (name_of(system, systems), escape(name), escape(sentence))
        for system in systems
        for name, sentences in [*((k, [v]) for k, v in system["problems"].items()), *system["events"].items()]
        for sentence in sentences
    ]
    listed = f"<details><summary>Clip by clip</summary>{table(('', 'clip', 'what'), rows)}</details>" if rows else ""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in said if sentence) + listed


def _of_system(system: dict[str, Any], clips: int) -> list[str]:
    counts = ", ".join(f"{n} have {windows} windows" for windows, n in system["clips_of_windows"].items())
    said = [f"{system['name']}: {system['clips']} of {clips} clips were scored; of these {counts}."]
    if system["problems"]:
        said.append(f"{len(system['problems'])} clips could not be scored, and are in no figure.")
    if system["events"]:
        said.append(f"{len(system['events'])} clips were scored though decoding found something amiss.")
    if system["windows_of_nothing"]:
        said.append(
            f"{system['windows_of_nothing']} windows are silent and black; they count with equal probabilities for all."
        )
    return said


def _leaks(dataset: dict[str, Any]) -> str:
    if not dataset["train_clips"]:
        return "No list of training clips was found, so nothing is said of seen cities and locations."
    leaking = dataset["train_locations_seen"]
    if leaking:
        named = ", ".join(leaking[:20]) + (" …" if len(leaking) > 20 else "")
        return f"{len(leaking)} locations are in the list of training clips too: the figures flatter ({named})."
    return f"No location is in the list of training clips ({dataset['train_clips']} clips) too."


def definitions() -> str:
    """Return how the figures are defined."""
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in _DEFINITIONS) + "</dl>"
