"""``edge-avsc train``: a recipe and a dataset in, a bundle out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import float64
from numpy.typing import NDArray

from edge_avsc.clock import MonotonicClock
from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import TRAIN_SPLITS, Row, lists_of, read_dataset
from edge_avsc.evaluation.ensembles import best_floor, classwise_weights
from edge_avsc.training.classes import LABELS
from edge_avsc.training.fusion import best_temperature
from edge_avsc.training.recipes.bundle_folder import Trained, write_bundle
from edge_avsc.training.recipes.corpus import Corpus, Views
from edge_avsc.training.recipes.embeddings import embedded
from edge_avsc.training.recipes.listening import hop_of
from edge_avsc.training.recipes.material import Embedded, Material
from edge_avsc.training.recipes.settings import Recipe
from edge_avsc.training.recipes.split import split_by_location
from edge_avsc.training.recipes.system import System, front_ends, parameters_of
from edge_avsc.training.recipes.trainer import Trainer, macro
from edge_avsc.training.recipes.validation import given_probabilities, write_outputs
from edge_avsc.types import NS_PER_S

STATES = ("av", "a", "v")
FALSE_ALARMS = 0.05
FITTED_ON = 512
"""So many windows, drawn at random, give mean and deviation of what goes into the networks."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run reads and writes.

    out: the bundle's folder, with the run's own files in ``training/``. cache: of features. jobs: processes that
    compute these, and threads of the networks. load: whether known weights are loaded, or all begins from scratch.
    """

    dataset: Path
    out: Path
    cache: Path
    jobs: int
    load: bool = True
    train_list: str | None = None

    @property
    def work(self) -> Path:
        """The run's own files."""
        return self.out / "training"


def train(recipe: Recipe, place: Place) -> Iterator[str]:
    """Train, export and check; yield what a person should know. What was done before is taken up again.

    Raises ConfigError for a dataset or folder that cannot be used, and where weights are missing.
    """
    clock = MonotonicClock()
    began_ns = clock.now_ns()
    torch.set_num_threads(place.jobs)
    torch.manual_seed(recipe.training.seed)
    rows = training_rows(place, recipe.labels or LABELS)
    labels = recipe.labels or LABELS
    learned, kept_out = split_by_location(rows, recipe.training.validation_share, recipe.training.seed)
    yield f"{recipe.name}: {len(learned)} clips to train on, {len(kept_out)} of other locations to validate with"
    # Weights that are missing are to be known before an hour of features.
    system = System(recipe, labels, load=place.load)
    corpus = corpus_of(recipe, place)
    yield from corpus.build(rows, place.jobs)
    train_set, validation = _materials(recipe, corpus, learned, kept_out, labels)
    place.work.mkdir(parents=True, exist_ok=True)
    _fit_sound(system, train_set)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    key = _key(recipe, place, train_set, validation)
    sets: tuple[Material | Embedded, Material | Embedded] = (train_set, validation)
    if recipe.frozen_encoders:
        folder = place.work / "embeddings" / key
        sets = (
            embedded(system, train_set, folder / "train", device),
            embedded(system, validation, folder / "validation", device),
        )
        _fit_embeddings(system, sets[0])
    trainer = Trainer(recipe, system, *sets, place.work, device, key)
    yield from trainer.run()
    judged = trainer.judge(sets[1])
    if recipe.fusion.kind == "ensemble":
        _weigh_members(system, judged, validation)
        judged = trainer.judge(sets[1])
    made = _trained(recipe, system, judged, validation, place, learned, train_set)
    write_bundle(made, place.out)
    write_outputs(place.work, place.dataset, validation, given_probabilities(judged, made.temperature), labels)
    seconds = (clock.now_ns() - began_ns) / NS_PER_S
    yield from _summary(recipe, made, judged, validation, corpus, place, seconds)


def training_rows(place: Place, labels: Sequence[str]) -> tuple[Row, ...]:
    """Return the clips of the training list: the one named, else fold1_train.csv, train.csv, or the one there is."""
    chosen = place.train_list
    if chosen is None:
        lists = lists_of(place.dataset)
        chosen = next((name for name in TRAIN_SPLITS if name in lists), None)
        if chosen is None and len(lists) > 1:
            raise ConfigError(f"{place.dataset} has no {TRAIN_SPLITS[0]}; name the list to train on by --train.")
    dataset = read_dataset(place.dataset, chosen, labels_from_names=True)
    if not dataset.labelled:
        raise ConfigError(f"{dataset.split} has clips without a label; name a list with labels by --train.")
    dataset.check_labels(labels)
    missing = [label for label in labels if all(row.scene_label != label for row in dataset.rows)]
    if missing:
        raise ConfigError(f"{dataset.split} has no clip of '{missing[0]}'; add some, or name another list by --train.")
    return dataset.rows


def corpus_of(recipe: Recipe, place: Place) -> Corpus:
    """Return where a recipe's features are."""
    audio, image = front_ends(recipe)
    hop_ns = hop_of(recipe.training.hop_s)
    return Corpus(place.cache, Views(audio, image, recipe.sound is not None, recipe.picture is not None, hop_ns))


def _materials(
    recipe: Recipe, corpus: Corpus, learned: list[Row], kept_out: list[Row], labels: tuple[str, ...]
) -> tuple[Material, Material]:
    _, image = front_ends(recipe)
    every = NS_PER_S // hop_of(recipe.training.hop_s)
    return (
        Material(corpus.clips(learned), image, labels),
        Material(corpus.clips(kept_out), image, labels, every),
    )


def recipe_key(recipe: Recipe, load: bool) -> str:
    """Return what tells a recipe's bundle from those of others: the reduced form, other settings, no known weights."""
    return hashlib.sha256(json.dumps([recipe.model_dump_json(), load]).encode()).hexdigest()[:16]


def _key(recipe: Recipe, place: Place, *materials: Material) -> str:
    """Return what a run depends on: one that was begun otherwise is another."""
    stems = [str(clip.stem) for material in materials for clip in material.clips]
    return hashlib.sha256(json.dumps([recipe.model_dump_json(), place.load, stems]).encode()).hexdigest()[:16]


def _some(count: int, most: int = FITTED_ON) -> NDArray[Any]:
    return np.sort(np.random.default_rng(0).choice(count, min(count, most), replace=False))


def _fit_sound(system: System, material: Material) -> None:
    if system.audio:
        batch = material.read(_some(len(material)))
        if batch.heard.any():
            system.audio.fit(batch.columns[batch.heard])


def _fit_embeddings(system: System, material: Material | Embedded) -> None:
    """The z-score of each modality, by the training set, as in the challenge's baseline."""
    batch = material.read(_some(len(material), 16_384))  # as good as all, in memory that does not grow
    if system.audio and batch.heard.any():
        system.fusion.fit("audio", batch.columns[batch.heard].flatten(0, -2))
    if system.image:
        system.fusion.fit("video", batch.pictures[batch.seen.sum(1) > 0])


def _weigh_members(system: System, judged: dict[str, NDArray[float64]], validation: Material) -> None:
    """Weigh an ensemble's members by their precision for each class, then choose the floor: both by validation."""
    members = judged["members"].transpose(1, 0, 2)
    weights = classwise_weights(members.argmax(2), validation.label_index, len(system.labels))
    system.fusion.member_weights.copy_(torch.from_numpy(weights))
    summed = (weights[:, None] * members).sum(0)
    system.fusion.floor.fill_(best_floor(summed / summed.sum(1, keepdims=True), validation.label_index))


def _trained(
    recipe: Recipe,
    system: System,
    judged: dict[str, NDArray[float64]],
    validation: Material,
    place: Place,
    learned: Sequence[Row],
    train_set: Material,
) -> Trained:
    index = validation.label_index
    known = {state: best_temperature(judged[state], index) for state in STATES if state in judged}
    if "av" not in known:
        known["av"] = next(iter(known.values()))
    temperature = {state: round(known.get(state, 1.0), 4) for state in STATES}
    certainty = given_probabilities(judged, temperature).max(1)
    threshold = float(np.clip(np.quantile(1.0 - certainty, 1 - FALSE_ALARMS), 0.05, 0.95))
    places = len({row.location for row in learned})
    counts = {"windows": len(index), "clips": len(validation.clips)}
    measured: dict[str, Any] = {"recipe_key": recipe_key(recipe, place.load), "validation": counts}
    for state in STATES:
        if state in judged:
            loss, accuracy = macro(judged[state] / temperature[state], index)
            measured["validation"][state] = {"accuracy": round(accuracy, 4), "log_loss": round(loss, 4)}
    data = [f"{place.dataset.resolve().name}: {len(train_set.clips)} clips of {places} locations"]
    return Trained(recipe, system, temperature, round(threshold, 4), data, _teachers(recipe, place.load), measured)


def _teachers(recipe: Recipe, load: bool) -> list[str]:
    if not load:
        return []
    sound = (
        [f"{one.kind}, weights of {one.weights}" for one in recipe.sound.networks if one.weights]
        if recipe.sound
        else []
    )
    backbones = recipe.picture.backbones if recipe.picture else ()
    return sound + [
        f"{one.name or one.kind}, known weights" for one in backbones if one.pretrained and one.kind != "small"
    ]


def _summary(
    recipe: Recipe,
    made: Trained,
    judged: dict[str, NDArray[float64]],
    validation: Material,
    corpus: Corpus,
    place: Place,
    seconds: float,
) -> Iterator[str]:
    trained = sum(p.numel() for p in made.system.fusion.parameters()) if recipe.frozen_encoders else None
    deployed = parameters_of(made.system)
    yield f"{recipe.name}: {recipe.note}"
    published = "".join(f", {key} {value}" for key, value in recipe.parameters.items())
    yield f"  parameters  {trained or deployed:,} trained, {deployed:,} deployed (published: {published[2:] or 'none'})"
    for state, name in zip(STATES, ("both", "sound", "pictures"), strict=True):
        if state in judged:
            of = made.measured["validation"][state]
            figures = f"accuracy {of['accuracy']:.1%}, log-loss {of['log_loss']:.3f}"
            yield f"  {name:11} {figures} of {len(validation)} windows"
    yield "  these chose epoch and temperature; evaluate on clips that the training did not see"
    yield f"  features    {corpus.size_bytes() / 1e6:.1f} MB in {corpus.folder}"
    yield f"  time        {seconds:.0f} s"
    yield f"  bundle      {place.out}: edge-avsc evaluate {place.dataset} --model {place.out}"
