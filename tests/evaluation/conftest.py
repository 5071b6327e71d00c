from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.tau_folder import write_tau


@pytest.fixture(scope="session")
def tau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tau(tmp_path_factory.mktemp("tau") / "tau")
