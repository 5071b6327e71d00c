"""The finished graphs, run as the product runs them: ONNX Runtime on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import float32, float64
from numpy.typing import NDArray

from edge_avsc.backends.onnxruntime import cpu_options, library
from edge_avsc.clock import MonotonicClock


class Graph:
    """One ONNX file on one CPU thread."""

    def __init__(self, path: Path) -> None:
        self._session = library().InferenceSession(str(path), cpu_options(1), providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, *inputs: NDArray[float32]) -> list[Any]:
        """Return the outputs for *inputs*, in the graph's order."""
        return list(self._session.run(None, dict(zip(self.inputs, inputs, strict=True))))

    def rows(self, inputs: NDArray[float32], batch: int = 64) -> NDArray[float32]:
        """Return the first output for many rows, in batches."""
        parts = [self(inputs[i : i + batch])[0] for i in range(0, len(inputs), batch)]
        return np.concatenate(parts)

    def median_ms(self, *inputs: NDArray[float32], runs: int = 300) -> float:
        """Return the median time of one run in milliseconds."""
        clock = MonotonicClock()
        times = []
        for _ in range(runs):
            start = clock.now_ns()
            self(*inputs)
            times.append(clock.now_ns() - start)
        return float(np.median(times)) / 1e6


@dataclass(frozen=True)
class Trio:
    """The three graphs of one export."""

    audio: Graph
    image: Graph
    fusion: Graph

    def fused(
        self, audio: NDArray[float32] | None, image: NDArray[float32] | None
    ) -> tuple[NDArray[float64], NDArray[float64]]:
        """Return logits ``[n, 10]`` and none-logits ``[n]`` of embeddings ``[n, 128]``, either of which may be None."""
        known = audio if audio is not None else image
        assert known is not None
        absent = np.full_like(known, np.nan)
        present = np.tile(np.array([audio is not None, image is not None], float32), (len(known), 1))
        logits, none = self.fusion(absent if audio is None else audio, absent if image is None else image, present)
        return logits.astype(float64), none.astype(float64)[:, 0]


def softmax(logits: NDArray[float64]) -> NDArray[float64]:
    """Return the softmax over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), float64)
