"""A path that takes down the process that reads it, as a decoder may that meets a broken file; only a child of ours."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import PosixPath


class DeadlyPath(PosixPath):
    def __str__(self) -> str:
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return super().__str__()
