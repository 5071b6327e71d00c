"""Figures of a run for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Logs:
    """Scalars by step in a folder that TensorBoard reads; without tensorboardX nothing is written."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder))

    def write(self, values: dict[str, float], step: int) -> None:
        """Write *values* of a step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
