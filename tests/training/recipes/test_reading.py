from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge_avsc.errors import ConfigError
from edge_avsc.training.recipes.reading import laid_over, read_recipe, recipe_files
from edge_avsc.training.recipes.settings import Recipe

ROWS = {
    "baseline-openl3",
    "zhang-ioa-3",
    "du-ustc-4",
    "okazaki-ldsl-vision-4",
    "okazaki-ldsl-vision-1",
    "yang-thu-3",
    "hou-ugent-4",
    "naranjo-alcazar-uv-3",
    "majority-vote",
    "avsc-lite",
}


def test_each_row_of_the_paper_is_a_recipe() -> None:
    assert set(recipe_files()) >= ROWS


@pytest.mark.parametrize("name", sorted(ROWS))
def test_shipped_recipes_are_whole_and_say_what_they_rest_on(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    header = recipe_files()[name].read_text(encoding="utf-8").split("\nname:")[0]
    assert name == "avsc-lite" or "[S]" in header
    if isinstance(recipe, Recipe):
        assert "[I]" in header
        assert read_recipe(name, reduced=True) != recipe


def test_a_misspelt_key_is_named_with_its_nearest(tiny_recipe: Path) -> None:
    raw = yaml.safe_load(tiny_recipe.read_text())
    raw["training"]["patiance"] = 3
    tiny_recipe.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=r"no key 'training\.patiance'.*Did you mean 'patience'"):
        read_recipe(str(tiny_recipe))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fusion": {"kind": "magic"}}, "fusion.kind"),
        ({"sound": None, "picture": None}, "'sound', 'picture' or both"),
        ({"training": {"stages": []}}, "training.stages"),
        ({"fusion": {"kind": "dense_heads", "widths": [8]}}, "dense_heads needs at least 2 widths"),
    ],
)
def test_a_wrong_value_gets_a_sentence(tiny_recipe: Path, change: dict[str, object], sentence: str) -> None:
    raw = laid_over(yaml.safe_load(tiny_recipe.read_text()), change)
    tiny_recipe.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=sentence):
        read_recipe(str(tiny_recipe))


def test_what_is_no_recipe_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'zhang-ioa-3'"):
        read_recipe("zhang_ioa_3")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        read_recipe(str(broken))
    broken.write_text("- a list")
    with pytest.raises(ConfigError, match="is no recipe"):
        read_recipe(str(broken))


def test_reduced_needs_its_section(tiny_recipe: Path) -> None:
    with pytest.raises(ConfigError, match="no section 'reduced'"):
        read_recipe(str(tiny_recipe), reduced=True)


def test_a_mapping_is_laid_over_and_a_list_replaced() -> None:
    assert laid_over({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}
