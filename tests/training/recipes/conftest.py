from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from tiny_recipe import TINY

torch = pytest.importorskip("torch", reason="PyTorch is not installed; 'pip install torch' lets these tests run")
pytest.importorskip("tqdm", reason="tqdm is not installed; 'pip install tqdm' lets these tests run")


@pytest.fixture(scope="session")
def ten_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten labels, told by sound, by picture, or only by both; four locations of each, two clips each."""
    from write_dataset import write_ten

    folder = tmp_path_factory.mktemp("ten") / "scenes"
    write_ten(folder, 4, seconds=1.2)
    return folder


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def _make_torchvision_importable() -> None:
    """Let PyPI's torchvision, which is built for CUDA, be imported beside a PyTorch that is not; timm needs it.

    Its operators cannot be loaded then, and it complains that they are not declared. Nothing here calls one.
    """
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return
    except RuntimeError:
        found = importlib.util.find_spec("torchvision")
        assert found
        assert found.origin
        registered = Path(found.origin).with_name("_meta_registrations.py").read_text()
        for name in sorted(set(re.findall(r'"torchvision::(\w+)"', registered))):
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")


_make_torchvision_importable()
