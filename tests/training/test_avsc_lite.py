from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm")

from edge_avsc.errors import ConfigError
from edge_avsc.training.avsc_lite import FOLDERS, STEPS, Workshop
from edge_avsc.training.plan import SHORT


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in FOLDERS:
        (tmp_path / "data" / name).mkdir(parents=True)
    return tmp_path / "data"


def test_a_work_folder_is_gone_on_with_by_the_same_run_alone(data: Path, tmp_path: Path) -> None:
    """What was drawn with another seed, or of other sound, would pass for this run's."""
    work = tmp_path / "work"
    Workshop(data, work, SHORT)
    Workshop(data, work, SHORT.within(sound_minutes=1.0))
    with pytest.raises(
        ConfigError, match=r"holds what was made with seed 1, data .*; name another folder for this run"
    ):
        Workshop(data, work, SHORT.within(seed=2))
    with pytest.raises(ConfigError, match="name another folder for this run"):
        Workshop(data, work, SHORT, (tmp_path,))


def test_a_folder_that_is_missing_is_named(data: Path, tmp_path: Path) -> None:
    (data / "clips").rmdir()
    with pytest.raises(ConfigError, match="has no folder 'clips'"):
        Workshop(data, tmp_path / "work", SHORT)


def test_steps_are_what_the_workshop_can_do() -> None:
    assert all(callable(getattr(Workshop, step)) for step in STEPS)
