from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edge_avsc.model import SceneModel
from tiny_bundle import write_tiny_bundle

# One core of any speed must get the same verdict twice.
settings.register_profile(
    "steady", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> SceneModel:
    return SceneModel.load(tiny_folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recordings that may not be redistributed; tests that need them are skipped where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recordings of ../shared/data are not here; they may not be redistributed")
    return folder
