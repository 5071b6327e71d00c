"""Recipe files: found by name, read, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.settings import checked, keys_and_values, read_text
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
    raw = keys_and_values(read_text(path), str(path))
    smaller = raw.pop("reduced", None)
    if reduced:
        if not isinstance(smaller, dict) and "vote_of" not in raw:
            raise ConfigError(f"{path} has no section 'reduced'; train it as it is, or add one.")
        raw = laid_over(raw, smaller or {})
    return checked(_kind(raw), raw, str(path))


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
