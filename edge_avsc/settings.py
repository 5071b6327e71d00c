"""YAML text -> checked settings; whatever is wrong with either becomes one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from edge_avsc.errors import ConfigError, nearest

_Settings = TypeVar("_Settings", bound=BaseModel)


def read_text(path: Path) -> str:
    """Return a file's text; ConfigError where it cannot be read as UTF-8, FileNotFoundError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8 (byte {error.start + 1}); save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check the name and its permissions.") from error


def keys_and_values(text: str, name: str) -> dict[Any, Any]:
    """Turn YAML into a mapping, each key once; *name* begins the sentence of the ConfigError where it is none."""
    try:
        raw = yaml.load(text, _OneOfEachKey)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{name} is not valid YAML{line}: {problem}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{name} holds {shown(raw)}, not keys and values; begin it with 'version: 1'.")
    return raw


def checked(kind: type[_Settings], values: Any, name: str, context: Any = None) -> _Settings:
    """Return *values* as settings of one *kind*; *name* begins the sentence of the ConfigError where they are none.

    context: what the validators of *kind* are given.
    """
    try:
        return kind.model_validate(values, context=context)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_sentence(kind, error)}") from error
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def shown(value: Any) -> str:
    """Return a value as YAML or JSON would write it, cut after 60 characters."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = "nothing" if value is None else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


class _OneOfEachKey(yaml.SafeLoader):
    """SafeLoader, but a key that is written twice is an error instead of a silent loss."""

    def compose_mapping_node(self, anchor: dict[Any, Any]) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key '{key.value}' is there twice"
                    raise yaml.composer.ComposerError(problem=problem, problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _sentence(kind: type[BaseModel], error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    # A misspelt key can also make a required one missing: the misspelling is the cause.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    place, given = problem["loc"], problem["input"]
    where = ".".join(map(str, place))
    if problem["type"] == "extra_forbidden":
        known = _keys_at(kind, place[:-1])
        near = nearest(str(place[-1]), known) or f" The keys there are {', '.join(known)}."
        return f"there is no key '{where}'.{near}"
    if problem["type"] == "missing":
        return f"{where} is missing; add it."
    if problem["type"] == "value_error":
        return f"{where}{': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}."
    if problem["type"] == "invalid_key":
        return f"the key {where} is not text; write it in quotes."
    if place[-1:] != ("[key]",):
        return f"{where} is {shown(given)}; {_must(problem['msg'])}.{_near(problem)}"
    mend = "write it in quotes" if problem["type"] == "string_type" else _must(problem["msg"])
    return f"{'.'.join(map(str, place[:-2]))} has the key {shown(given)}; {mend}.{_near(problem)}"


def _must(message: str) -> str:
    """Return what is asked for in the house's words, not in those of Python's types."""
    must = re.sub(r"^\w+ should", "it must", message)
    must = re.sub(r",? (unable to parse|got a number|after validation).*", "", must)
    must = re.sub(r"a valid dictionary.*", "a mapping of keys and values", must)
    return must.replace("a valid tuple", "a list")


def _near(problem: Any) -> str:
    """Return the nearest of the values that may be; 'gpu' is nearer to cpu than to cuda, so near is nearer here."""
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return ""
    return nearest(problem["input"], re.findall(r"'([^']*)'", problem["ctx"]["expected"]), cutoff=0.7)


def _keys_at(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    for part in place:
        if get_origin(kind) is None:
            kind = kind.model_fields[part].annotation
        else:
            kind = get_args(kind)[get_origin(kind) is dict]
        # What may be absent is 'X | None'.
        if NoneType in get_args(kind):
            kind = next(one for one in get_args(kind) if one is not NoneType)
    return list(kind.model_fields)
