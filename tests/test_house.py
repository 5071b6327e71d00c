"""The rules of the house: which file may import which, who reads clocks, and what ruff and mypy say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "edge_avsc"

# Imports point down: a module may import only modules of lower floors. Leaves are imported, never one by another.
FLOORS: list[set[str]] = [
    {"errors", "types", "providers"},
    {"settings"},
    {"clock", "config", "bundle", "machine"},
    {"ring", "resampling", "features", "health", "notify", "parity", "stop_signals"},
    {"inbox", "audio_track", "video_track"},
    {"windows", "model", "smoothing", "skew", "quality", "supervision", "relief"},
    {"stream", "source_thread", "succession"},
    {"pipeline"},
    {"golden", "player", "live", "survey", "building"},
    {"replay", "findings", "sync"},
    {"doctor"},
    {"selftest"},
    {"verbs_about", "arguments"},
    {"verbs", "cli_research"},
    {"cli"},
]
LEAVES = {"sources", "sinks", "backends"}
LEAVES_MAY_IMPORT = {"errors", "types", "clock", "config", "bundle"}
MAY_IMPORT_LEAVES = {
    "sources": {"source_thread", "player", "live", "survey", "doctor", "sync", "verbs", "verbs_about"},
    "sinks": {"doctor", "verbs", "verbs_about"},
    "backends": {"model", "golden", "doctor", "succession", "building", "selftest", "verbs_about"},
}
APART = {"training", "evaluation"}

# Each heavy library has one door; training, which is an extra of its own, may come in by any.
DOORS: dict[str, str | tuple[str, ...]] = {
    "av": "sources/media",
    "cv2": ("features.py", "sources/camera.py", "sources/_raw_pictures.py"),
    "soxr": "resampling.py",
    "onnxruntime": "backends/onnxruntime.py",
    "rich": ("sinks/console.py", "sinks/progress.py", "evaluation/progress.py", "evaluation/comparison_tables.py"),
    "sounddevice": "sources/_portaudio.py",
    "yaml": ("settings.py", "config.py", "bundle.py", "evaluation/submission.py"),
    "matplotlib": "evaluation/figures.py",
    "sklearn": "evaluation/metrics.py",
    "scipy": "evaluation/metrics.py",
    "torch": "training/",
    "onnx": "training/",
    "tqdm": "training/",
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if not {"models", "configs"} & set(path.parts))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            # 'from edge_avsc import x' and 'from edge_avsc.sinks import x' may name a module themselves.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(dotted: str) -> str | None:
    """Return the module or folder right under edge_avsc that a dotted name lies in."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "edge_avsc" and len(parts) > 1 else None


def floor(name: str) -> int:
    return next(n for n, names in enumerate(FLOORS) if name in names)


def test_every_module_has_its_place() -> None:
    placed = set.union(*FLOORS) | LEAVES | APART | {"__init__"}
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert found <= placed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    inside = path.relative_to(PACKAGE).parts
    me = inside[0].removesuffix(".py")
    if me == "__init__" or me in APART:
        return
    known = set.union(*FLOORS) | LEAVES | APART
    for dotted in imports(path):
        other = room(dotted)
        if other is None or other == me or other not in known:
            continue
        if other in APART:
            assert me == "verbs", f"{path} imports {dotted}: the live path knows nothing of it"
            continue
        if me in LEAVES:
            assert other in LEAVES_MAY_IMPORT, f"{path} imports {dotted}: leaves know only the ground floor"
        elif other in LEAVES:
            assert me in MAY_IMPORT_LEAVES[other], f"{path} imports {dotted}"
        else:
            assert floor(other) < floor(me), f"{path} imports {dotted}, which does not lie below it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_have_one_door(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    for dotted in imports(path):
        door = DOORS.get(dotted.split(".")[0])
        if door is not None and not name.startswith("training/"):
            assert name.startswith(door), f"{name} imports {dotted}; its door is {door}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_clock_reads_a_clock(path: Path) -> None:
    if path.name == "clock.py" or "training" in path.parts:
        return
    reads = re.findall(
        r"\btime\.(?:time|monotonic|perf_counter|sleep)(?:_ns)?\(|datetime\.(?:now|utcnow)\(", path.read_text()
    )
    assert not reads


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join
)
def test_checker_is_content(command: list[str]) -> None:
    if command == ["mypy"] and not np.__version__.startswith("2.4."):
        pytest.skip("numpy's types change from version to version; ours are checked against those of 2.4")
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_imports_nothing_heavy() -> None:
    heavy = {"numpy", "av", "cv2", "onnxruntime", "rich", "pydantic"}
    code = f"import sys, edge_avsc.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
