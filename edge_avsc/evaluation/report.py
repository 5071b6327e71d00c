"""report.html: what an evaluation found, for people."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from edge_avsc.evaluation import figures
from edge_avsc.evaluation.page import Section, card, figure, page, table
from edge_avsc.evaluation.published import BASELINE, BASELINE_MEAN, SYSTEMS
from edge_avsc.evaluation.report_data import data_section, definitions
from edge_avsc.evaluation.wording import name_of, percent, spread, with_spread

_LEVELS = {
    "windows": "windows of 1 s",
    "clips_by_sum": "clips, sum of probabilities",
    "clips_by_log_sum": "clips, sum of log-probabilities",
}
_MODALITIES = {"av": "both", "a": "sound alone", "v": "pictures alone"}


def write_report(path: Path, results: dict[str, Any]) -> None:
    """Write the report of *results*, those of results.json."""
    systems = results["systems"]
    dataset = results["dataset"]
    sections = [
        Section("Scores", _scores(systems)),
        Section("Differences", _differences(results["differences"])),
        Section("Classes", _classes(systems)),
        Section("Confusion", _confusion(systems)),
        Section("Calibration", _calibration(systems)),
        Section("Sound and pictures", _modalities(systems)),
        Section("Skew", _skew(systems)),
        Section("Cities", _cities(systems)),
        Section("Data", data_section(dataset, systems)),
        Section("Definitions", definitions()),
    ]
    title = f"{', '.join(system['model'] for system in systems)} on {dataset['name']}"
    path.write_text(page(title, _head(dataset, systems), sections), encoding="utf-8", newline="\n")


def _head(dataset: dict[str, Any], systems: Sequence[dict[str, Any]]) -> str:
    said = f"Audio-visual scenes as in DCASE 2021 Task 1B: {dataset['split']}, {dataset['clips']} clips at "
    said += f"{dataset['locations']} locations."
    rows = [f'<p class="soft">{escape(said)}</p>']
    for system in systems:
        of = system["windows"]
        cards = [
            card(percent(of["macro_accuracy"]), f"accuracy, mean of classes ({spread(of, 'macro_accuracy')})"),
            card(f"{of['macro_log_loss']:.3f}", f"log-loss, mean of classes ({spread(of, 'macro_log_loss')})"),
            card(percent(system["clips_by_sum"]["macro_accuracy"]), "accuracy of whole clips, by summed probabilities"),
            card(f"{of['n']:,}", f"windows of 1 s, of {system['clips']} clips at {of['locations']} locations"),
        ]
        name = f"<p><b>{escape(system['name'])}</b></p>" if len(systems) > 1 else ""
        rows.append(f'{name}<div class="cards">{"".join(cards)}</div>')
    return "".join(rows)


def _scores(systems: Sequence[dict[str, Any]]) -> str:
    header = ("", "of", "n", "accuracy, %", "Wald ±", "log-loss", "micro:<br>accuracy, %", "<br>log-loss")
    rows = []
    for system in systems:
        for level, what in _LEVELS.items():
            of = system[level]
            low, high = of["macro_accuracy_wald"]
            rows.append(
                (
                    name_of(system, systems),
                    what,
                    f"{of['n']:,}",
                    with_spread(of, "macro_accuracy", 100),
                    f"{50 * (high - low):.2f}",
                    with_spread(of, "macro_log_loss"),
                    f"{100 * of['micro_accuracy']:.1f}",
                    f"{of['micro_log_loss']:.3f}",
                )
            )
    return table(header, rows) + _challenge()


def _challenge() -> str:
    rows = [(escape(name), f"{accuracy:.1f}", f"{loss:.3f}", size, by) for name, accuracy, loss, size, by in SYSTEMS]
    header = ("system", "accuracy, %", "log-loss", "parameters", "judged by")
    said = (
        "Systems of the challenge on its evaluation set of 72,000 windows: other clips than here, so for orientation."
    )
    return f"<details><summary>What the challenge's systems had</summary>{table(header, rows, caption=said)}</details>"


def _differences(differences: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            f"{escape(one['to'])} minus {escape(one['from'])}",
            f"{one['n']:,}",
            with_spread(one, "macro_accuracy", 100, signed=True),
            with_spread(one, "macro_log_loss", signed=True),
        )
        for one in differences
    ]
    if not rows:
        return ""
    said = "On the windows that both scored; the intervals are paired, over locations: one without 0 is a difference."
    return table(("", "n", "accuracy, points", "log-loss"), rows, caption=said)


def _classes(systems: Sequence[dict[str, Any]]) -> str:
    labels = list(systems[0]["windows"]["classes"])
    known = set(labels) == set(BASELINE)
    # Of several systems only what they are compared by, or a line is too long to read.
    wald = ["Wald ±"] if len(systems) == 1 else []
    header = ["class", "n", "locations"]
    for system in systems:
        header += [f"{name_of(system, systems)}<br>accuracy, %", *wald, "log-loss"]
    header += ["baseline<br>accuracy, %", "log-loss"] if known else []
    rows = []
    for label in labels:
        first = systems[0]["windows"]["classes"][label]
        row = [escape(label), f"{first['n']:,}", f"{first['locations']}"]
        for system in systems:
            row += _class_cells(system["windows"]["classes"][label], bool(wald))
        rows.append(row + ([f"{BASELINE[label][0]:.1f}", f"{BASELINE[label][1]:.3f}"] if known else []))
    total = ["mean of classes", f"{systems[0]['windows']['n']:,}", f"{systems[0]['windows']['locations']}"]
    for system in systems:
        of = system["windows"]
        low, high = of["macro_accuracy_wald"]
        half = [f"{50 * (high - low):.2f}"] if wald else []
        total += [with_spread(of, "macro_accuracy", 100), *half, f"{of['macro_log_loss']:.3f}"]
    rows.append(total + ([f"{BASELINE_MEAN[0]:.1f}", f"{BASELINE_MEAN[1]:.3f}"] if known else []))
    said = "As the paper's Table 1; windows of 1 s, in brackets 95 % over locations."
    said += " The challenge's baseline was scored on the development set." if known else ""
    return figure(figures.class_bars(systems)) + table(header, rows, caption=said, total=True)


def _class_cells(of: dict[str, Any], wald: bool) -> list[str]:
    if not of["n"]:
        return ["no clips", *[""] * (1 + wald)]
    low, high = of["accuracy_wald"]
    return [with_spread(of, "accuracy", 100), *[f"{50 * (high - low):.1f}"] * wald, f"{of['log_loss']:.3f}"]


def _confusion(systems: Sequence[dict[str, Any]]) -> str:
    drawn = [figure(figures.confusion(system["windows"]), name_of(system, systems)) for system in systems]
    return f'<div class="side">{"".join(drawn)}</div>'


def _calibration(systems: Sequence[dict[str, Any]]) -> str:
    said = ", ".join(f"{name_of(system, systems)} {system['calibration']['error']:.3f}" for system in systems)
    text = (
        "<p>How often the largest probability is right, in bins of equally many windows: above the dashed line the "
        f"model is right more often than it says, below it less. Expected calibration error: <b>{said}</b>.</p>"
    )
    return text + figure(figures.reliability(systems))


def _modalities(systems: Sequence[dict[str, Any]]) -> str:
    rows, drawn = [], []
    for system in systems:
        for one in system["modalities"]:
            what = _MODALITIES[one["modality"]]
            rows.append((name_of(system, systems), what, one["of"], *_short(one)))
            label = what if one["of"] == "windows with both" else f"{what}, {one['of']}"
            drawn.append((system["name"], label, one["macro_accuracy"], one["macro_accuracy_bootstrap"]))
    if not drawn:
        return ""
    header = ("", "judged by", "of", "n", "locations", "accuracy, %", "log-loss")
    return figure(figures.intervals(drawn)) + table(header, rows)


def _skew(systems: Sequence[dict[str, Any]]) -> str:
    shown = [system for system in systems if system["skew"]]
    if not shown:
        return ""
    header = ["skew, ms"]
    for system in shown:
        header += [f"{name_of(system, systems)}<br>accuracy, %", "against no skew, points", "log-loss"]
    rows = []
    for points in zip(*(system["skew"] for system in shown), strict=True):
        row = [f"{points[0]['skew_ms']:+d}"]
        for system, point in zip(shown, points, strict=True):
            aligned = next(one for one in system["skew"] if one["skew_ms"] == 0)
            change = {
                "change": point["macro_accuracy"] - aligned["macro_accuracy"],
                "change_bootstrap": point["less_than_aligned_bootstrap"],
            }
            row += [f"{100 * point['macro_accuracy']:.1f}", with_spread(change, "change", 100, signed=True)]
            row += [f"{point['macro_log_loss']:.3f}"]
        rows.append(row)
    n = shown[0]["skew"][0]["n"]
    text = (
        "<p>The sound of each window is taken earlier or later than its pictures. All skews are judged by the same "
        f"{n:,} windows, those whose sound is whole under each of them.</p>"
    )
    return (
        text
        + figure(figures.skew_curve(shown))
        + f"<details><summary>As a table</summary>{table(header, rows)}</details>"
    )


def _cities(systems: Sequence[dict[str, Any]]) -> str:
    seen = {True: "seen in training", False: "not seen in training", None: ""}
    rows, drawn = [], []
    for system in systems:
        for one in system["cities"]:
            city = one["city"] or "not in the name"
            rows.append((escape(city), name_of(system, systems), seen[one["seen"]], *_short(one)))
            label = f"{city} ({seen[one['seen']]})" if city == "all" else city
            drawn.append((system["name"], label, one["macro_accuracy"], one["macro_accuracy_bootstrap"]))
    header = ("city", "", "", "n", "locations", "accuracy, %", "log-loss")
    text = "<p>Means are over the classes that a city has, so cities with other classes are not alike.</p>"
    return (
        text
        + figure(figures.intervals(drawn))
        + f"<details><summary>As a table</summary>{table(header, rows)}</details>"
    )


def _short(one: dict[str, Any]) -> tuple[str, str, str, str]:
    accuracy = with_spread(one, "macro_accuracy", 100)
    return f"{one['n']:,}", str(one["locations"]), accuracy, f"{one['macro_log_loss']:.3f}"
