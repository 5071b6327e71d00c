from __future__ import annotations

import re
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
        ({"fusion": {"kind": "erly"}}, "or 'ensemble'. Did you mean 'early'?"),
        ({"sound": None, "picture": None}, "yaml: a recipe needs 'sound', 'picture' or both."),
        ({"training": {"stages": []}}, "yaml: training.stages is a list; it must have at least 1 item."),
        ({"training": {"batch": 1}}, "yaml: training.batch is 1; it must be greater than or equal to 2."),
        ({"training": {"batch": "big"}}, 'yaml: training.batch is "big"; it must be a valid integer.'),
        ({"sound": {"networks": [{"kind": "fcnn", "width": [8]}]}}, "key 'sound.networks.0.width'. Did you mean"),
        ({"fusion": {"kind": "dense_heads", "widths": [8]}}, "yaml: fusion: dense_heads needs at least 2 widths."),
    ],
)
def test_a_wrong_value_gets_a_sentence(tiny_recipe: Path, change: dict[str, object], sentence: str) -> None:
    raw = laid_over(yaml.safe_load(tiny_recipe.read_text()), change)
    tiny_recipe.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        read_recipe(str(tiny_recipe))
    assert str(caught.value).startswith(str(tiny_recipe))
    assert "\n" not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused(tiny_recipe: Path) -> None:
    tiny_recipe.write_text(f"{tiny_recipe.read_text()}name: another\n")
    with pytest.raises(ConfigError, match=r"is not valid YAML in line \d+: the key 'name' is there twice\."):
        read_recipe(str(tiny_recipe))


def test_what_is_no_recipe_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'zhang-ioa-3'"):
        read_recipe("zhang_ioa_3")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(ConfigError, match="is not valid YAML in line 1"):
        read_recipe(str(broken))
    broken.write_text("- a list")
    with pytest.raises(ConfigError, match="holds a list, not keys and values"):
        read_recipe(str(broken))


def test_reduced_needs_its_section(tiny_recipe: Path) -> None:
    with pytest.raises(ConfigError, match="no section 'reduced'"):
        read_recipe(str(tiny_recipe), reduced=True)


def test_a_mapping_is_laid_over_and_a_list_replaced() -> None:
    assert laid_over({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}
