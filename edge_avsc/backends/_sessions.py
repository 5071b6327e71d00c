"""Sessions of ONNX Runtime as runners of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_avsc.backends.base import check_inputs
from edge_avsc.bundle import GraphSpec


class Session:
    """A session on the CPU's memory."""

    def __init__(self, session: Any, spec: GraphSpec) -> None:
        self._session = session
        self._spec = spec
        self._outputs = list(spec.outputs)

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name."""
        check_inputs(self._spec, inputs)
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


class BoundSession:
    """A session whose inputs and outputs are bound: what goes to a GPU and comes from there is copied once."""

    def __init__(self, session: Any, spec: GraphSpec) -> None:
        self._session = session
        self._spec = spec
        self._binding = session.io_binding()

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name."""
        check_inputs(self._spec, inputs)
        for name, array in inputs.items():
            self._binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in self._spec.outputs:
            self._binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(self._binding)
        return dict(zip(self._spec.outputs, self._binding.copy_outputs_to_cpu(), strict=True))
