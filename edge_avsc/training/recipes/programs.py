"""Recipes that are more than one network: the majority vote of others, and avsc-lite with its own steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

from edge_avsc.bundle import read_bundle
from edge_avsc.errors import ConfigError, nearest
from edge_avsc.evaluation.compare import compare_files
from edge_avsc.evaluation.datasets import read_dataset
from edge_avsc.evaluation.evaluate import evaluate, open_systems
from edge_avsc.training.recipes.reading import read_recipe
from edge_avsc.training.recipes.settings import ProjectPlan, Recipe, Vote
from edge_avsc.training.recipes.train import Place, recipe_key, train


def vote(recipe: Vote, place: Place, *, reduced: bool) -> Iterator[str]:
    """Train the members that are not there yet, evaluate them, and compare: alone, as a vote, as ensembles.

    The dataset's evaluation list must have labels. Yields the tables that ``compare`` prints. A member's bundle that is
    there already must be of its recipe and of that dataset: ConfigError otherwise.
    """
    dataset = read_dataset(place.dataset)
    if not dataset.labelled:
        raise ConfigError(f"{dataset.split} has clips without a label, by which the members could not be compared.")
    place.work.mkdir(parents=True, exist_ok=True)  # by which a later run knows the folder again
    for name in recipe.vote_of:
        folder = place.out / name
        member = read_recipe(name, reduced=reduced)
        if not isinstance(member, Recipe):
            raise ConfigError(f"{recipe.name} votes with {name}, which is no recipe of one network; take it out.")
        if (folder / "bundle.yaml").is_file():
            _check_member(folder, member, place)
            yield f"{name} is trained already: {folder}"
        else:
            yield from train(member, replace(place, out=folder))
    folders = [str(place.out / name) for name in recipe.vote_of]
    systems = open_systems(folders, None)
    scores = place.out / "evaluation"
    yield from evaluate(dataset, systems, scores, place.jobs)
    told = StringIO()
    compare_files(
        [str(scores / f"{system.label}.output.csv") for system in systems],
        str(scores / "reference.csv"),
        out=str(scores / "comparison"),
        stream=told,
    )
    yield told.getvalue().rstrip("\n")


def _check_member(folder: Path, member: Recipe, place: Place) -> None:
    bundle = read_bundle(folder)
    learnt = any(data.startswith(f"{place.dataset.resolve().name}: ") for data in bundle.provenance.data)
    if bundle.measured.get("recipe_key") != recipe_key(member, place.load) or not learnt:
        raise ConfigError(
            f"{folder} holds another {bundle.name} than is wanted, or one of another dataset; remove it, or give "
            "--out another folder."
        )


def avsc_lite(recipe: ProjectPlan, place: Place) -> Iterator[str]:
    """Run the steps that make ``models/avsc-lite``; the dataset is the folder that its card describes."""
    from edge_avsc import __version__
    from edge_avsc.training.avsc_lite import STEPS, Workshop
    from edge_avsc.training.plan import Plan

    usual = Plan()
    for known, given, what in ((vars(usual), recipe.plan, "plan"), (STEPS, recipe.steps, "steps")):
        for name in given:
            if name not in known:
                raise ConfigError(f"{recipe.name}: {what} has '{name}', which there is not.{nearest(name, known)}")
    workshop = Workshop(place.dataset, place.out / "training", replace(usual, **recipe.plan), ())
    for step in recipe.steps:
        yield f"{recipe.name}: {step}"
        getattr(workshop, step)()
    workshop.bundle(place.out, f"edge_avsc {__version__}")
    yield f"{recipe.name}: the bundle is {place.out}"
