from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from edge_avsc.errors import ConfigError
from edge_avsc.settings import checked, keys_and_values, read_text


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["early", "late", "hybrid"] = "late"
    sizes: tuple[int, ...] = Field(default=(1,), min_length=1)


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = Field(default_factory=dict)
    weights: dict[Literal["audio", "video"], Annotated[float, Field(gt=0)]] = Field(default_factory=dict)


WRONG: dict[str, str] = {
    "{}": "name is missing; add it.",
    "{name: a, prat: {}}": "there is no key 'prat'. Did you mean 'part'?",
    "{name: a, part: {knid: late}}": "there is no key 'part.knid'. Did you mean 'kind'?",
    "{name: a, parts: [{}, {size: 1}]}": "there is no key 'parts.1.size'. Did you mean 'sizes'?",
    "{name: a, named: {b: {x: 1}}}": "there is no key 'named.b.x'. The keys there are kind, sizes.",
    "{name: a, part: {kind: erly}}": (
        "part.kind is \"erly\"; it must be 'early', 'late' or 'hybrid'. Did you mean 'early'?"
    ),
    "{name: a, part: {kind: magic}}": "part.kind is \"magic\"; it must be 'early', 'late' or 'hybrid'.",
    "{name: a, part: {kind: 3}}": "part.kind is 3; it must be 'early', 'late' or 'hybrid'.",
    "{name: a, part: {sizes: []}}": "part.sizes is a list; it must have at least 1 item.",
    "{name: a, part: {sizes: 3}}": "part.sizes is 3; it must be a list.",
    "{name: a, part: {sizes: [1, 2.5]}}": "part.sizes.1 is 2.5; it must be a valid integer.",
    "{name: a, part: {sizes: [many]}}": 'part.sizes.0 is "many"; it must be a valid integer.',
    "{name: a, parts: [3]}": "parts.0 is 3; it must be a mapping of keys and values.",
    "{name: a, weights: {audio: 0}}": "weights.audio is 0; it must be greater than 0.",
    "{name: a, weights: {vidoe: 1}}": (
        "weights has the key \"vidoe\"; it must be 'audio' or 'video'. Did you mean 'video'?"
    ),
    "{name: a, 1: 2}": "the key 1 is not text; write it in quotes.",
    "{name: a, name: b}": "is not valid YAML in line 1: the key 'name' is there twice.",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(Whole, keys_and_values(text, "a.yaml"), "a.yaml")
    assert str(caught.value).removeprefix("a.yaml").lstrip(": ") == WRONG[text]


def test_what_is_right_is_taken() -> None:
    text = "{name: a, part: {kind: early}, parts: [{sizes: [1, 2]}], weights: {audio: 1}}"
    found = checked(Whole, keys_and_values(text, "a.yaml"), "a.yaml")
    expected: dict[str, Any] = {"part": Part(kind="early"), "parts": (Part(sizes=(1, 2)),), "weights": {"audio": 1.0}}
    assert found == Whole(name="a", **expected)


def test_a_file_that_is_not_there_is_the_callers_to_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(tmp_path)
