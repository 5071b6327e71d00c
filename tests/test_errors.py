from __future__ import annotations

import pytest

import edge_avsc
from edge_avsc.errors import ConfigError, DeviceError, EdgeAvscError, ModelError, nearest


@pytest.mark.parametrize(("error", "code"), [(EdgeAvscError, 1), (ConfigError, 2), (DeviceError, 3), (ModelError, 4)])
def test_exit_codes_are_those_of_the_contract(error: type[EdgeAvscError], code: int) -> None:
    assert error("It is so; do this.").exit_code == code
    assert issubclass(error, EdgeAvscError)
    assert getattr(edge_avsc, error.__name__) is error


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("hop", " Did you mean 'hop_s'?"), ("sreams", " Did you mean 'streams'?"), ("xyz", ""), ("", "")],
)
def test_the_nearest_name_is_offered_where_one_is_near(name: str, sentence: str) -> None:
    assert nearest(name, ["hop_s", "streams", "model"]) == sentence


def test_nothing_known_nothing_offered() -> None:
    assert nearest("anything", []) == ""
