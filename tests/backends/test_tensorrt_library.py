"""Each version's differences, against stand-ins with the names that the version has; only RTX's can be run here."""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest

from edge_avsc.backends._tensorrt_library import TensorRtLibrary
from edge_avsc.errors import ModelError


def version(number: str, *, flags: dict[str, int], builder_flags: dict[str, int], **more: Any) -> Any:
    return SimpleNamespace(
        __version__=number,
        NetworkDefinitionCreationFlag=IntEnum("Flag", flags) if flags else SimpleNamespace(),
        BuilderFlag=IntEnum("BuilderFlag", builder_flags) if builder_flags else SimpleNamespace(),
        **more,
    )


PreviewFeature = IntEnum("PreviewFeature", {"PROFILE_SHARING_0806": 3})
EIGHT = version(
    "8.6.2",
    flags={"EXPLICIT_BATCH": 0},
    builder_flags={"FP16": 0, "INT8": 1},
    PreviewFeature=PreviewFeature,
)
TEN = version("10.3.0", flags={"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, builder_flags={"FP16": 0, "INT8": 1})
ELEVEN = version("11.1.0", flags={}, builder_flags={})
ComputeCapability = IntEnum("ComputeCapability", {"NONE": 0, "CURRENT": 1, "SM120": 120, "SM89": 89, "SM80": 80})
RTX = version("1.7.1.116", flags={"STRONGLY_TYPED": 1}, builder_flags={"TF32": 0}, ComputeCapability=ComputeCapability)


class Config:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.num_compute_capabilities = 0

    def set_flag(self, flag: Any) -> None:
        self.told.append(("flag", flag.name))

    def set_preview_feature(self, feature: Any, on: bool) -> None:
        assert on
        self.told.append(("preview", feature.name))

    def set_compute_capability(self, capability: Any, index: int) -> None:
        self.told.append(("capability", capability.name, index))


class Builder:
    def create_network(self, flags: int) -> int:
        return flags


@pytest.mark.parametrize(
    ("name", "module", "network", "told"),
    [
        ("tensorrt", EIGHT, 1 << 0, [("flag", "INT8"), ("preview", "PROFILE_SHARING_0806")]),
        ("tensorrt", TEN, 1 << 1, []),
        ("tensorrt", ELEVEN, 0, []),
        ("tensorrt_rtx", RTX, 1 << 1, [("capability", "SM89", 0)]),
    ],
)
def test_each_version_is_told_what_it_knows(name: str, module: Any, network: int, told: list[Any]) -> None:
    library, config = TensorRtLibrary(name, module), Config()
    assert library.network(Builder()) == network
    library.configure(config, "sm_89")
    assert config.told == told


@pytest.mark.parametrize(("name", "number"), [("tensorrt", "8.5.3"), ("tensorrt", "7.1"), ("tensorrt_rtx", "0.9")])
def test_a_library_that_is_too_old_is_refused_with_its_mend(name: str, number: str) -> None:
    with pytest.raises(ModelError, match=rf"^{name} {number} is too old, .* or newer is needed; .*install"):
        TensorRtLibrary(name, version(number, flags={}, builder_flags={}))


def test_targets_are_those_of_the_library_in_order() -> None:
    assert TensorRtLibrary("tensorrt_rtx", RTX).targets() == ["sm_80", "sm_89", "sm_120"]
    TensorRtLibrary("tensorrt_rtx", RTX).check_target("sm_120")
    with pytest.raises(ModelError, match=r"does not build for sm_87; it builds for sm_80, sm_89, sm_120\.$"):
        TensorRtLibrary("tensorrt_rtx", RTX).check_target("sm_87")
    with pytest.raises(ModelError, match="only for the GPU that it runs on; leave out --target"):
        TensorRtLibrary("tensorrt", TEN).check_target("sm_87")


def test_only_measured_kernels_are_kept() -> None:
    assert TensorRtLibrary("tensorrt", TEN).has_timing_cache()
    assert not TensorRtLibrary("tensorrt_rtx", RTX).has_timing_cache()


def test_what_may_become_a_graph_is_asked_where_that_can_be_asked() -> None:
    library = TensorRtLibrary("tensorrt", TEN)
    assert library.capturable(SimpleNamespace(), 7)
    assert not library.capturable(SimpleNamespace(is_stream_capturable=lambda stream: stream != 7), 7)


def test_a_name_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"There is no 'tensort'.*Did you mean 'tensorrt'"):
        TensorRtLibrary("tensort")
