"""What a trained system says of its validation windows, in files that ``evaluate`` and ``compare`` take."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy import float64
from numpy.typing import NDArray

from edge_avsc.evaluation.outputs import SystemOutput, write_output
from edge_avsc.training.recipes.material import Material


def given_probabilities(judged: dict[str, NDArray[float64]], temperature: dict[str, float]) -> NDArray[float64]:
    """Return what the bundle says ``[n, labels]``: each window by the temperature of what is there of it.

    judged: of :meth:`edge_avsc.training.recipes.trainer.Trainer.judge`.
    """
    heard, seen = judged["there"].T > 0.5
    divisors = np.where(heard & seen, temperature["av"], np.where(heard, temperature["a"], temperature["v"]))
    logits = judged["given"]
    scaled = np.exp((logits - logits.max(1, keepdims=True)) / divisors[:, None])
    return np.asarray(scaled / scaled.sum(1, keepdims=True))


def write_outputs(
    folder: Path,
    dataset: Path,
    validation: Material,
    probabilities: NDArray[float64],
    labels: tuple[str, ...],
) -> None:
    """Write what the trained system says of each validation window, as a submission, and the list of these clips."""
    several = np.bincount(validation.clip_of, minlength=len(validation.clips)) > 1
    number_of = np.concatenate([np.arange(count) for count in np.bincount(validation.clip_of)])
    # Named as evaluation names them.
    names = tuple(
        validation.clips[clip].row.name + (f"#t={number},{number + 1}" if several[clip] else "")
        for clip, number in zip(validation.clip_of.tolist(), number_of.tolist(), strict=True)
    )
    decided = tuple(labels[k] for k in probabilities.argmax(1))
    write_output(folder / "validation.output.csv", SystemOutput(names, probabilities, decided, labels))
    lines = [
        "filename\tscene_label",
        *(f"{n}\t{labels[k]}" for n, k in zip(names, validation.label_index, strict=True)),
    ]
    (folder / "validation.reference.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    listed = ["filename_audio\tfilename_video\tscene_label"]
    for clip in validation.clips:
        # As the dataset's own lists have them: relative to its folder.
        paths = [os.path.relpath(path, dataset) if path else "" for path in (clip.row.audio, clip.row.video)]
        listed.append("\t".join([*paths, str(clip.row.scene_label)]))
    (folder / "validation.csv").write_text("\n".join(listed) + "\n", encoding="utf-8")
