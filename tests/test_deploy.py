"""What is installed beside the program: a systemd unit and Dockerfiles, looked at by those who read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "tools" / "deploy"
HADOLINT = Path(sys.executable).with_name("hadolint")
DOCKERFILES = ["Dockerfile", "Dockerfile.jetson"]

pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="tools/deploy is not part of an installation")


def verified(folder: Path, unit: str, *, drop_in: bool) -> str:
    """Return what systemd says of a unit; nothing, when all is well."""
    # The program is not installed here; any other will do for a look at the unit.
    (folder / "edge-avsc.service").write_text(unit.replace("/opt/edge_avsc/bin/edge-avsc", "/bin/true"))
    if drop_in:
        (folder / "edge-avsc.service.d").mkdir()
        shutil.copy(DEPLOY / "jetson.conf", folder / "edge-avsc.service.d")
    command = ["systemd-analyze", "verify", str(folder / "edge-avsc.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "edge-avsc.service").read_text()
    for name, text, drop_in in (("plain", unit, False), ("jetson", unit, True)):
        (tmp_path / name).mkdir()
        assert verified(tmp_path / name, text, drop_in=drop_in) == ""
    (tmp_path / "broken").mkdir()
    broken = unit.replace("ProtectHostname=yes", "ProtectHostnames=yes")
    assert "ProtectHostnames" in verified(tmp_path / "broken", broken, drop_in=False)


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not installed")
@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = subprocess.run([str(HADOLINT), str(DEPLOY / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_nobody_special_and_keeps_labels_and_engines(name: str) -> None:
    text = (DEPLOY / name).read_text()
    user = re.search(r"^USER (\d+)$", text, re.MULTILINE)
    assert user is not None
    assert f"--uid {user[1]} " in text
    volumes = re.search(r"^VOLUME (\[.+\])$", text, re.MULTILINE)
    assert volumes is not None
    assert json.loads(volumes[1]) == ["/var/lib/edge_avsc", "/var/cache/edge_avsc"]
    assert "EDGE_AVSC_CACHE=/var/cache/edge_avsc" in text
    assert "HEALTHCHECK --start-period=15m" in text
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in copied.split())


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_health_check_asks_for_a_fresh_line(name: str, tmp_path: Path) -> None:
    said = re.search(r"HEALTHCHECK .*?CMD (\[.+?\])\n", (DEPLOY / name).read_text(), re.DOTALL)
    assert said is not None
    shell, option, script = json.loads(said[1])
    command = [shell, option, script.replace("/var/lib/edge_avsc", str(tmp_path))]

    def healthy() -> bool:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    assert not healthy()
    lines = tmp_path / "labels.jsonl"
    lines.write_text("{}\n")
    assert healthy()
    subprocess.run(["touch", "-d", "-90 seconds", str(lines)], check=True)
    assert not healthy()
