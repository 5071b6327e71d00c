"""The model card: short, and every figure from bundle.yaml."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path
from typing import Any

from edge_avsc.bundle import Bundle, read_bundle
from edge_avsc.errors import ConfigError
from edge_avsc.training.own_scenes.label_statistics import LEAST, read_label_statistics

_CARD = """# avsc-lite

Which of ten urban scenes is heard and seen, from 1 s of sound and two pictures, or from either alone.
{parameters:.2f} M parameters, {megabytes:.2f} MB (pictures in int8, sound in half precision);
multiply-adds: {macs:.0f} M a picture, {sound_macs:.0f} M for the sound of a window.
Weights: CC BY-NC 4.0 (`models/LICENSE`), apart from the code: what taught them is research data. Every figure was
written by the training run (`tools/train_avsc_lite.py`); `bundle.yaml` has more.

| | n | accuracy | 95 % | log-loss | classes alike: accuracy | log-loss | calibration error |
|---|---|---|---|---|---|---|---|
{rows}

Accuracy and log-loss are means of all items; *classes alike* are means of the classes' means, as the challenge scores.

- *Recordings* are of TAU Urban (and five of Montevideo), in windows of 1 s. **The shipped audio encoder learnt from all
  of them**, so `edge-avsc evaluate` on those recordings is no test of it. What stands here is cross-validated: {folds}
  encoders, made alike, each of which learnt nothing at the locations that it is measured on. One thing each knew of all
  recordings: how quiet and how dull they are on average, which set the range of the sound's augmentation. That what
  sound says of the field on the average is taken off was decided after a look at three of the five, so those figures
  may flatter a little. The image encoder learnt nothing from them; but that a teacher of Places365's categories has a
  word on pictures, and by which rule, was decided after a look at those of street traffic; the size of its share,
  by the log-loss of the validation pictures. So these figures too may flatter.
- *Class pairs* are kept-out pictures and sounds of the same class, where the sound's class is drawn from the teacher's
  word; no recording of both was there but of street traffic. Temperatures and fusion were fitted on other pairs: the
  same pictures, with the recordings' sounds as encoders hear them that learnt nothing at their locations; the
  temperature of sound alone also on kept-out sounds of other recordings than those measured here.
- Intervals: bootstrap over locations ({locations_sound} with sound in ten classes, {locations_joint} with both),
  over pictures in the first row (of its classes' mean). Recordings with both are of one class only, which shows bias
  as much as skill. Calibration error: ten bins of equal mass.

![Confusion in percent of each class](confusion.png)
![Share of right answers over confidence](reliability.png)

- Pictures, recall of each group: {recall}.
  Of the four categories that are the very scene (not a similar one): {direct:.1%}.
- Sound, recall of each class (recordings): {heard}.
- Running label by sound alone, on those recordings spliced into {stream_hours:.1f} h with {changes} changes of scene:
  right for {right:.0%} of the time, unsure for {unsure:.0%}; the right label comes {delay} after a change (median;
  never in {never:.0%} of them), and {false_changes:.0f} times an hour a wrong one does.
- "None of ours": AUROC {auroc:.3f} on pictures; at {alarms:.1%} false alarms {found:.0%} of others are found (the
  threshold was set on these very pictures).
  From sound alone it only knows lone events (AUROC {event_auroc:.3f}), not other places.
- Called street traffic though of another class: {traffic}.
- Sound against its teacher on {kept_out} kept-out seconds: {agrees:.1%} the same label, divergence {teacher_kl:.2f}.
- Fusion: {shipped}. Log-loss on class pairs, where neither was fitted: product of experts {product:.3f}, trained head
  {trained:.3f}.
- Mean confidence on class pairs: sound {confidence_a:.2f}, pictures {confidence_v:.2f}, both {confidence_av:.2f}.
- The export for CPUs against float, share of labels that differ and mean divergence: {flips}.
  Golden values hold within {tolerance}.
- Heads and calibration with another seed: the figures move by at most {seeds:.1%} ({seed_path}).
- One thread of {processor}, median: picture {image_ms:.2f} ms, sound {audio_ms:.2f} ms, fusion {fusion_ms:.3f} ms.
- Trained: {runs}.

## Clips, one by one
Real clips that nothing was learnt from (but the last, whose smaller version's sound is among the recordings); what the
mean of the windows' probabilities calls each, and how sure. `!`: most windows are "none of ours".

| clip | is | sound | pictures | both |
|---|---|---|---|---|
{clips}

## Limits
- No picture of the inside of a metro train or a tram was there to learn from: the inside of a bus speaks for all three
  (half of it bus, a quarter each metro and tram), moved a little by what the teacher of places calls the inside of a
  train, which no picture here could test. It is for the sound to tell them apart.
- Public square, park, street and mall were learnt from *similar* pictures (courtyards, gardens, car parks, shops), and
  by the word of a teacher that knows squares, parks, streets and malls.
- Sound of metro, metro station, public square and tram was measured at one place each, and of few others: read those as
  anecdotes. The audio encoder learnt most from a teacher, part by part: {teacher}
- Made for places, not people: use it for no decision about a person.
"""

_STATISTICS = """
## label_statistics.npz
What `train own-scenes --keep-labels` draws from, so that new scenes do not drive the ten labels out: for each label a
mean embedding of sound and of pictures, and one covariance for each modality; no embedding of any single item. Learnt
from the training pictures and the unlabelled sound that the bundle's own head is sure of; a label has none where it is
sure of fewer than {least}. Recordings: {recordings}. Pictures: {pictures}.
"""

_NAMES = {"a": "sound", "v": "pictures", "av": "both"}


def write_card(folder: Path) -> None:
    """Write the card of the bundle in *folder*, beside it."""
    (folder / "README.md").write_text(card(folder), encoding="utf-8")


def card(folder: Path) -> str:
    """Return the card of the bundle in *folder*."""
    bundle = read_bundle(folder)
    text = _CARD.format(**_sizes(bundle), **_scores(bundle.measured), **_rest(bundle))
    try:
        statistics = read_label_statistics(folder, bundle)
    except ConfigError:
        return text
    taught = {state: [str(count) for count in of.counts] for state, of in statistics.items()}
    return text + _STATISTICS.format(
        least=LEAST,
        **{
            name: ", ".join(map(" ".join, zip(bundle.labels, taught[state], strict=True)))
            for state, name in (("a", "recordings"), ("v", "pictures"))
        },
    )


def _sizes(bundle: Bundle) -> dict[str, Any]:
    figures = bundle.measured
    return {
        "parameters": sum(figures["parameters"].values()) / 1e6,
        "megabytes": figures["bytes"]["cpu"] / 1e6,
        "macs": figures["macs"]["image"] / 1e6,
        "sound_macs": figures["macs"]["audio"] / 1e6,
        "tolerance": bundle.golden.tolerance,
        "processor": figures["processor"],
        "teacher": bundle.provenance.teachers[-1] + ".",
        **{f"{name}_ms": value for name, value in figures["median_ms_one_cpu_thread"].items()},
    }


def _scores(figures: dict[str, Any]) -> dict[str, Any]:
    pictures, pairs, sound = figures["miniplaces_val"], figures["class_pairs_kept_out"], figures["tau_sound"]["a"]
    traffic = {
        "recordings by sound": sound["others_called_street_traffic"],
        "pictures": pictures["others_called_street_traffic"],
        **{f"class pairs by {_NAMES[state]}": pairs[state]["others_called_street_traffic"] for state in ("a", "av")},
    }
    return {
        "rows": "\n".join(_rows(figures)),
        "recall": _shares(pictures["recall"]),
        "direct": pictures["direct_or_good_categories"],
        "heard": _shares(sound["recall"]),
        "auroc": pictures["none_of_ours_auroc"],
        "alarms": figures["none_of_ours"]["false_alarm_rate"],
        "found": figures["none_of_ours"]["found_among_other_pictures"],
        "event_auroc": figures["kept_out_sound"]["event_auroc"],
        "traffic": _shares(traffic),
        "kept_out": figures["kept_out_sound"]["seconds"],
        "agrees": figures["kept_out_sound"]["agrees_with_teacher"],
        "teacher_kl": figures["kept_out_sound"]["kl_from_teacher"],
        **{f"confidence_{state}": pairs[state]["mean_confidence"] for state in _NAMES},
    }


def _rest(bundle: Bundle) -> dict[str, Any]:
    figures = bundle.measured
    seed_path, seeds = next(iter(figures["second_seed_differences"].items()))
    return {
        **_streaming(figures["streaming"]),
        "folds": figures["folds"],
        "locations_sound": figures["tau_sound"]["locations"],
        "locations_joint": figures["tau_joint"]["locations"],
        "shipped": figures["fusion"]["shipped"],
        "product": figures["fusion"]["product_of_experts_log_loss"],
        "trained": figures["fusion"]["trained_head_log_loss"],
        "flips": _flips(figures["int8_cpu_against_float"]),
        "seeds": seeds,
        "seed_path": seed_path,
        "runs": "; ".join(_trained(name, runs) for name, runs in figures["training"].items()),
        "clips": "\n".join(_clip(name, row) for name, row in figures["clips"].items()),
    }


_LEARNT = {
    "pictures": "pictures",
    "narrow": "pictures with fewer channels, in weights of int8",
    "sounds": "unlabelled sound",
    "sounds_all": "the recordings' sound",
}


_TAKEN_OVER = (
    ", taken over as an earlier bundle has them (which kept the rounded weights alone, so that of int8 against float, "
    "the figures above show for pictures what rounding between layers does)"
)


def _trained(name: str, runs: list[dict[str, Any]]) -> str:
    origins = groupby(runs, key=lambda run: run["began_with"])
    learnt = " and ".join(f"from {origin} on, {' and '.join(map(_length, some))}" for origin, some in origins)
    average = " (the average of these runs ships)" if len(runs) > 1 else ""
    kept = _TAKEN_OVER if runs[0].get("taken_over") else ""
    return f"{_LEARNT[name]}, {learnt}{average}{kept}"


def _length(run: dict[str, Any]) -> str:
    processes = f" by {run['processes']} processes" if "processes" in run else ""
    return f"{run['steps']} steps in {run['minutes']:.1f} minutes{processes}"


def _streaming(figures: dict[str, float]) -> dict[str, Any]:
    delay = figures["median_delay_s"]
    return {
        "stream_hours": figures["hours"],
        "changes": figures["changes"],
        "right": figures["right"],
        "unsure": figures["unsure"],
        "delay": f"{delay:.0f} s" if math.isfinite(delay) else "in less than half of the cases",
        "never": figures["never_shown"],
        "false_changes": figures["false_changes_per_hour"],
    }


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0%}" for name, value in shares.items())


_SETS = {
    "miniplaces_val": "pictures",
    "miniplaces_val_none_of_ours": "pictures of other places",
    "tau_sound": "recordings, ten classes",
    "tau_joint": "recordings of street traffic",
    "class_pairs_kept_out": "class pairs",
    "kept_out_sound": "kept-out sound",
}


def _flips(sets: dict[str, Any]) -> str:
    cases = [(f"{_SETS[name]} ({_NAMES[state]})", s) for name, states in sets.items() for state, s in states.items()]
    return "; ".join(f"{title} {scores['label_flips']:.1%}, {scores['kl']:.4f}" for title, scores in cases)


def _clip(name: str, row: dict[str, Any]) -> str:
    cells = []
    for state in _NAMES:
        said = row.get(state)
        alarm = "!" if said and said["called_none_of_ours"] > 0.5 else ""
        cells.append(f"{said['label']} {said['confidence']:.2f}{alarm}" if said else "")
    return f"| {name} | {row['scene']} | {' | '.join(cells)} |"


def _rows(figures: dict[str, Any]) -> list[str]:
    pictures = figures["miniplaces_val"]
    rows = [
        f"| pictures, 8 groups | {pictures['pictures']} | {pictures['accuracy']:.1%} | | {pictures['log_loss']:.2f} "
        f"| {pictures['macro_accuracy']:.1%} ({_interval(pictures['macro_accuracy_95'])}) "
        f"| {pictures['macro_log_loss']:.2f} | |"
    ]
    for key in ("tau_sound", "tau_joint", "class_pairs_kept_out"):
        count = figures[key]["pairs" if "pairs" in figures[key] else "windows"]
        for state in _NAMES:
            if state in figures[key]:
                scores = figures[key][state]
                limits = _interval(scores["accuracy_95"]) if "accuracy_95" in scores else ""
                rows.append(
                    f"| {_SETS[key]}: {_NAMES[state]} | {count} | {scores['accuracy']:.1%} | {limits} "
                    f"| {scores['log_loss']:.2f} | {_macro(scores, key)} | {scores['calibration_error']:.3f} |"
                )
    return rows


def _macro(scores: dict[str, float], key: str) -> str:
    if key == "tau_joint":  # of one class
        return " | "
    return f"{scores['macro_accuracy']:.1%} | {scores['macro_log_loss']:.2f}"


def _interval(limits: list[float]) -> str:
    return f"{limits[0]:.1%} to {limits[1]:.1%}"
