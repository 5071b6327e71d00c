"""The card of a bundle of own scenes: what it was made of, what it is worth, what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_avsc.bundle import Bundle

_WHAT = {"av": "sound and pictures", "a": "sound alone", "v": "pictures alone"}


def card(name: str, bundle: Bundle, upon: Bundle) -> str:
    """Return the card of *bundle*, which was built upon *upon*, in Markdown."""
    return "\n".join(_lines(name, bundle, upon)) + "\n"


def _lines(name: str, bundle: Bundle, upon: Bundle) -> Iterator[str]:
    measured = bundle.measured
    yield f"# {name}\n"
    yield (
        f"Which of {len(bundle.labels)} scenes is heard and seen: {', '.join(bundle.labels)}. A head for own "
        f"recordings on the frozen encoders of `{upon.name}`, trained by `edge-avsc train own-scenes`."
    )
    licence = upon.provenance.licences.get("weights", "those of the bundle it is built upon")
    yield f"Weights: {licence}, as those of `{upon.name}`, which are in here.\n"
    yield "| scene | sources | windows | with sound | with pictures |\n|---|---|---|---|---|"
    for label, of in measured["data"].items():
        yield f"| {label} | {of['sources']} | {of['windows']} | {of['with_sound']} | {of['with_pictures']} |"
    yield ""
    yield from _figures(measured["held_out"])
    yield "\n## It cannot\n"
    yield "- be trusted where the figures do not reach: other microphones, cameras, hours, seasons than were recorded."
    yield from (f"- {line}" for line in measured["limits"])
    yield (
        '- say much of a place that is none of these: "none" is what is unlike all that was recorded, and of places '
        "that it was not taught it misses the share that the table leaves."
    )
    yield f"- do what `{upon.name}` cannot: its card holds here too. Use it for no decision about a person."


def _figures(held_out: dict[str, Any]) -> Iterator[str]:
    if not held_out:
        yield "No scene has two sources, so nothing could be judged: nobody knows how good this is."
        return
    yield "Judged on sources that it did not learn from (windows of 1 s; intervals: bootstrap over sources):\n"
    yield "| by | windows, sources, scenes | accuracy (95 %) | log-loss | own called none | untaught called none |"
    yield "|---|---|---|---|---|---|"
    for state, of in held_out.items():
        ends = of.get("macro_accuracy_95")
        interval = f" ({ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
        untaught = of.get("untaught_scenes_called_none")
        yield (
            f"| {_WHAT[state]} | {of['windows']}, {of['sources']}, {of['scenes']} | {of['macro_accuracy']:.1%}"
            f"{interval} | {of['macro_log_loss']:.2f} | {of['called_none_of_ours']:.1%} "
            f"| {'' if untaught is None else f'{untaught:.0%}'} |"
        )
    yield ""
    for state, of in held_out.items():
        recall = ", ".join(f"{label} {share:.0%}" for label, share in of["recall"].items())
        yield f"- Recall by {_WHAT[state]}: {recall}."
