"""Recipe files: found by name, read, checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.training.recipes import settings
from edge_avsc.training.recipes.settings import OwnScenes, ProjectPlan, Recipe, Vote


def recipe_files() -> dict[str, Path]:
    """Return the shipped recipes by name: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    folders = [package / "configs/recipes", package.parent / "configs/recipes"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def read_recipe(name: str, *, reduced: bool = False) -> Recipe | Vote | ProjectPlan | OwnScenes:
    """Read a shipped recipe by its name, or any recipe by its file.

    reduced: lay its section ``reduced`` over it, which makes it small enough to check the machinery in seconds.
    Raises ConfigError for what is no recipe; a key that is not known is named with its nearest.
    """
    path = Path(name)
    if not path.is_file():
        shipped = recipe_files()
        if name not in shipped:
            raise ConfigError(
                f"There is no recipe '{name}'; give a file, or one of {', '.join(shipped)}.{nearest(name, shipped)}"
            )
        path = shipped[name]
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} is no recipe; it must hold keys and values.")
    smaller = raw.pop("reduced", None)
    if reduced:
        if not isinstance(smaller, dict) and "vote_of" not in raw:
            raise ConfigError(f"{path} has no section 'reduced'; train it as it is, or add one.")
        raw = laid_over(raw, smaller or {})
    try:
        return _kind(raw).model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}") from error


def _kind(raw: dict[str, Any]) -> type[Recipe | Vote | ProjectPlan | OwnScenes]:
    if "built_upon" in raw:
        return OwnScenes
    return Vote if "vote_of" in raw else ProjectPlan if "program" in raw else Recipe


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return *below* with the values of *above*; mappings are laid over one another, all else is replaced."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        result[key] = laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def _sentence(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"there is no key '{where}'; take it out.{nearest(str(problem['loc'][-1]), set(_keys()))}"
    if problem["type"] == "missing":
        return f"{where} is missing; add it."
    return f"{where or 'the recipe'}: {problem['msg'].removeprefix('Value error, ')}."


def _keys() -> Iterator[str]:
    for one in vars(settings).values():
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield from one.model_fields
