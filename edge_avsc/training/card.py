"""The model card: short, and every figure from bundle.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_avsc.bundle import Bundle

_CARD = """# avsc-lite

Which of ten urban scenes is heard and seen, from 1 s of sound and two pictures, or from either alone.
{parameters:.2f} M parameters, {megabytes:.2f} MB (int8). Weights: CC BY-NC 4.0 (`models/LICENSE`): what taught them is
research data. Every figure was written by the training run (`tools/train_avsc_lite.py`); `bundle.yaml` has more.

| | n | accuracy | 95 % | log-loss |
|---|---|---|---|---|
{rows}

Windows of 1 s; nothing of this was trained on. Intervals: bootstrap over recordings (over pictures in the first row);
recordings of one place are not independent either, so they are too narrow. The recordings with sound are few (26, ten
classes); those with both are of one class only, which shows bias as much as skill. Class pairs are pictures and sounds
of the same class, where the sound's class is drawn from the teacher's word; temperatures and fusion were fitted there.
One thing was learnt from the recordings: how quiet and how dull field sound is on average, which set the range of the
sound's augmentation.

- Pictures, recall of each group: {recall}.
- "None of ours": AUROC {auroc:.3f} on pictures; at {alarms:.1%} false alarms {found:.0%} of others are found.
  From sound alone it only knows lone events (AUROC {event_auroc:.3f} on kept-out sound), not other places.
- Fusion: {shipped}. Log-loss on class pairs, each half judged by a fit on the other: product of experts {product:.3f},
  trained head {trained:.3f}.
- Int8 against float: {flips} of labels differ (sound, pictures, both); golden values hold within {tolerance}.
- One CPU thread, median: picture {image_ms:.2f} ms, sound {audio_ms:.2f} ms, fusion {fusion_ms:.3f} ms.

## Limits
- No picture of the inside of a metro train or a tram was there to learn from: the inside of a bus speaks for all three
  (half of it bus, a quarter each metro and tram), and only sound can tell them apart.
- Public square, park, street and mall were learnt from *similar* pictures (courtyards, gardens, car parks, shops).
- The audio encoder learnt from a teacher, not from labels: {teacher}
- Made for places, not people: use it for no decision about a person.
"""


def write_card(bundle: Bundle, path: Path) -> None:
    """Write the card of *bundle*."""
    figures = bundle.measured
    pictures, flips = figures["miniplaces_val"], figures["int8_cpu_against_float"]
    text = _CARD.format(
        parameters=sum(figures["parameters"].values()) / 1e6,
        megabytes=figures["bytes"]["cpu"] / 1e6,
        rows="\n".join(_rows(figures)),
        recall=", ".join(f"{name} {value:.0%}" for name, value in pictures["recall"].items()),
        auroc=pictures["none_of_ours_auroc"],
        alarms=figures["none_of_ours"]["false_alarm_rate"],
        found=figures["none_of_ours"]["found_among_other_pictures"],
        event_auroc=figures["kept_out_sound"]["event_auroc"],
        flips=", ".join(f"{flips[state]['label_flips']:.1%}" for state in ("a", "v", "av")),
        shipped=figures["fusion"]["shipped"],
        product=figures["fusion"]["product_of_experts_log_loss"],
        trained=figures["fusion"]["trained_head_log_loss"],
        tolerance=bundle.golden.tolerance,
        teacher=bundle.provenance.teachers[-1] + ".",
        **{f"{name}_ms": value for name, value in figures["median_ms_one_cpu_thread"].items()},
    )
    path.write_text(text, encoding="utf-8")


def _rows(figures: dict[str, Any]) -> list[str]:
    pictures = figures["miniplaces_val"]
    rows = [
        f"| pictures, 8 groups (macro) | {pictures['pictures']} | {pictures['macro_accuracy']:.1%} "
        f"| {_interval(pictures['macro_accuracy_95'])} | {pictures['log_loss']:.2f} |"
    ]
    names = {"a": "sound", "v": "pictures", "av": "both"}
    for key, title in (("tau_sound", "recordings, ten classes"), ("tau_joint", "recordings of street traffic")):
        for state in ("a", "v", "av"):
            if state in figures[key]:
                scores = figures[key][state]
                rows.append(
                    f"| {title}: {names[state]} | {figures[key]['windows']} | {scores['accuracy']:.1%} "
                    f"| {_interval(scores['accuracy_95'])} | {scores['log_loss']:.2f} |"
                )
    for state in ("a", "v", "av"):
        scores = figures["class_pairs_kept_out"][state]
        rows.append(
            f"| class pairs: {names[state]} | {figures['class_pairs_kept_out']['pairs']} "
            f"| {scores['accuracy']:.1%} | | {scores['log_loss']:.2f} |"
        )
    return rows


def _interval(limits: list[float]) -> str:
    return f"{limits[0]:.1%} to {limits[1]:.1%}"
