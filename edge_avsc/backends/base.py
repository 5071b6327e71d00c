"""What a backend must do: run one graph of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_avsc.bundle import GraphSpec
from edge_avsc.errors import ModelError

GraphKind: TypeAlias = Literal["cpu", "trt"]
"""Which of a bundle's exports."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while something is built, which may take minutes.

    progress: is told what is built and how far it is, 0..1. say: is told a sentence that people should read.
    cancelled: is asked now and then; true ends the build.
    """

    progress: Callable[[str, float], None] = lambda what, share: None
    say: Callable[[str], None] = lambda sentence: None
    cancelled: Callable[[], bool] = lambda: False


class GraphRunner(Protocol):
    """A loaded graph."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the graph's outputs by name."""


class Backend(Protocol):
    """Loads graphs on one device."""

    provider: str
    """What serves, in the library's own words."""

    graphs: GraphKind
    """Which of a bundle's exports it takes."""

    max_batch: int
    """How many items are worth one call; 1 where a batch saves nothing."""

    def ready(self, path: Path, spec: GraphSpec) -> bool:
        """Tell whether loading a graph takes but a moment, since nothing has to be built first."""

    def load(self, path: Path, spec: GraphSpec) -> GraphRunner:
        """Load a graph and check that it is as *spec* says."""


def check_inputs(spec: GraphSpec, inputs: Mapping[str, NDArray[np.float32]]) -> None:
    """Raise ModelError unless names, shapes and element types of *inputs* are as *spec* says."""
    if set(inputs) != set(spec.inputs):
        raise ModelError(f"{spec.path} takes the inputs {sorted(spec.inputs)}, not {sorted(inputs)}.")
    for name, expected in spec.inputs.items():
        check_tensor(spec.path, name, inputs[name].shape, str(inputs[name].dtype), expected.shape, expected.dtype)


def check_tensor(
    path: str,
    name: str,
    shape: tuple[int | str | None, ...],
    dtype: str,
    expected_shape: tuple[int | str, ...],
    expected_dtype: str,
) -> None:
    """Raise ModelError unless a tensor's shape and type are the expected ones; a string is a free dimension."""
    fits = len(shape) == len(expected_shape) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, expected_shape, strict=True)
    )
    if not fits or dtype != expected_dtype:
        raise ModelError(
            f"{path}: '{name}' is {dtype}{list(shape)}, expected {expected_dtype}{list(expected_shape)}; "
            "restore the bundle, or feed what bundle.yaml describes."
        )
