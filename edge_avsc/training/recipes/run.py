"""The verb ``train``: which program a recipe asks for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_avsc.errors import ConfigError, installing

if TYPE_CHECKING:
    from edge_avsc.training.recipes.settings import OwnScenes


def run(args: argparse.Namespace) -> Iterator[str]:
    """Do what the command line asks for; yield what a person should know."""
    from edge_avsc.training.recipes.reading import read_recipe, recipe_files
    from edge_avsc.training.recipes.settings import OwnScenes, ProjectPlan

    if args.recipe == "list":
        for name, path in recipe_files().items():
            yield f"{name}: {read_recipe(str(path)).note}"
        return
    recipe = read_recipe(args.recipe, reduced=args.reduced)
    if args.dataset is None:
        raise ConfigError(f"What {recipe.name} is to be trained on is missing; name a dataset's folder.")
    if isinstance(recipe, OwnScenes):
        yield from _own_scenes(recipe, args)
        return
    if args.keep_labels or args.model:
        raise ConfigError(
            "--keep-labels and --model are for own scenes; name the recipe own-scenes, or leave them out."
        )
    if not Path(args.dataset).is_dir():
        raise ConfigError(
            f"There is no dataset folder {args.dataset}; name the one that {recipe.name} is to be trained on."
        )
    own_data = isinstance(recipe, ProjectPlan)
    if own_data and (args.train or args.cache or args.from_scratch):
        raise ConfigError(f"--train, --cache and --from-scratch are not for {recipe.name}; leave them out.")
    _need_torch()
    from edge_avsc.evaluation.evaluate import default_jobs
    from edge_avsc.training.recipes.programs import avsc_lite, vote
    from edge_avsc.training.recipes.settings import Recipe, Vote
    from edge_avsc.training.recipes.train import Place, train

    out = _out(args.out, recipe.name)
    place = Place(
        dataset=Path(args.dataset),
        out=out,
        cache=Path(args.cache) if args.cache else out / "training/features",
        jobs=args.jobs or default_jobs(),
        load=not (args.from_scratch or args.reduced),
        train_list=args.train,
    )
    try:
        if isinstance(recipe, Recipe):
            yield from train(recipe, place)
        elif isinstance(recipe, Vote):
            yield from vote(recipe, place, reduced=args.reduced)
        else:
            yield from avsc_lite(recipe, place)
    except OSError as error:
        raise ConfigError(_trouble(error, out)) from error


def _trouble(error: OSError, out: Path) -> str:
    if error.filename is not None and not Path(error.filename).is_relative_to(out):
        return f"{error.filename} cannot be used ({error.strerror}); check its name and permissions."
    return f"{out} cannot be written ({error.strerror or error}); give --out another folder."


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"PyTorch is not installed; {installing('train')}.") from error


def _own_scenes(recipe: OwnScenes, args: argparse.Namespace) -> Iterator[str]:
    from edge_avsc.evaluation.evaluate import default_jobs
    from edge_avsc.training.own_scenes.train import Plan, train

    if args.train or args.cache or args.from_scratch:
        raise ConfigError("--train, --cache and --from-scratch are for datasets in TAU layout; leave them out.")
    plan = Plan(
        folder=Path(args.dataset),
        out=_out(args.out, recipe.name),
        upon=args.model or recipe.built_upon,
        keep_labels=args.keep_labels or recipe.keep_labels,
        seed=recipe.seed,
        jobs=args.jobs or default_jobs(),
    )
    yield from train(plan)


def _out(given: str | None, name: str) -> Path:
    """Return where the bundle goes; ConfigError where something else lies there that would be overwritten."""
    out = Path(given or f"trained/{name}")
    ours = any((out / part).exists() for part in ("bundle.yaml", "training"))
    if out.is_dir() and not ours and any(out.iterdir()):
        raise ConfigError(f"{out} holds something else already; give --out a new folder.")
    return out
