from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tiny_recipe import TINY

pytest.importorskip("torch", reason="PyTorch is not installed; 'pip install torch' lets these tests run")


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


def _declare_torchvisions_operators() -> None:
    """Let torchvision of PyPI, which is built for CUDA, be imported beside a PyTorch that is not.

    Its operators cannot be loaded then, and it complains that they are not declared. Nothing here calls one.
    """
    import importlib.util
    import re

    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or torch.version.cuda is not None:
        return
    registered = Path(found.origin).with_name("_meta_registrations.py")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted(set(re.findall(r'"torchvision::(\w+)"', registered.read_text()))):
        library.define(f"{name}(Tensor x) -> Tensor")
    _kept.append(library)


_kept: list[Any] = []
_declare_torchvisions_operators()
