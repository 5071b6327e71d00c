"""The finished head: experts that learnt from all of a folder, read as held-out windows taught."""

from __future__ import annotations

from dataclasses import dataclass

from edge_avsc.training.own_scenes.calibration import HeldOut, fit_reading
from edge_avsc.training.own_scenes.experts import Expert, fit_experts
from edge_avsc.training.own_scenes.judging import Reading, Scene
from edge_avsc.training.own_scenes.windows import Windows, thinned, weights


@dataclass(frozen=True, slots=True)
class Head:
    """What becomes the fusion graph. sound, pictures: None where the folder teaches too little of the modality."""

    scene: Scene
    reading: Reading
    sound: Expert | None
    pictures: Expert | None


def fit_head(windows: Windows, held_out: HeldOut, scene: Scene) -> Head:
    """Fit both experts on all windows, with what was found best on held-out ones."""
    reading = fit_reading(windows, held_out, scene, windows.label_index >= 0)
    experts = []
    for letter, embeddings, read in (("a", windows.sound, reading.sound), ("v", windows.pictures, reading.pictures)):
        learnt = thinned(windows, windows.has(letter))
        fitted: dict[float, Expert] = {}
        if read.learnt:
            weight = weights(windows, learnt)[learnt]
            fitted = fit_experts(
                embeddings[learnt], windows.label_index[learnt], weight, len(windows.classes), [read.strength]
            )
        experts.append(fitted.get(read.strength))
    return Head(scene, reading, *experts)
