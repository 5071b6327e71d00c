from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of real devices a second chance: another program can take the core that a sound server needs."""
    for item in items:
        # One that takes an hour is told of at once.
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("long") is None:
            item.add_marker(pytest.mark.flaky(reruns=2))
