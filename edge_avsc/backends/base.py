"""What a backend must do: run one graph of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_avsc.bundle import GraphSpec
from edge_avsc.errors import ModelError


class GraphRunner(Protocol):
    """A loaded graph."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the graph's outputs by name."""


class Backend(Protocol):
    """Loads graphs on one device."""

    provider: str
    """What serves, in the library's own words."""

    fallback: str | None
    """One sentence when something else than was asked for serves; None when all is as asked."""

    max_batch: int
    """How many items are worth one call; 1 where a batch saves nothing."""

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
