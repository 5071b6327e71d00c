"""What ``edge-avsc run`` says when there is nothing to run with: one sentence, and exit code 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
import yaml

from real.running import SCRIPT

pytestmark = pytest.mark.real
NOBODY = 65534
needs_portaudio = pytest.mark.skipif(find_library("portaudio") is None, reason="not installed here: portaudio")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may hide a library or make a device")


@pytest.fixture
def refused(tmp_path: Path, tiny_folder: Path) -> Callable[..., str]:
    """Run a stream of this one source; return what is said on stderr once it has ended with code 3."""

    def ran(*before: str, folder: Path = tmp_path, environment: dict[str, str] | None = None, **source: str) -> str:
        config = folder / "config.yaml"
        model = shutil.copytree(tiny_folder, folder / "model", dirs_exist_ok=True)
        settings = {"version": 1, "model": str(model), "sinks": {"console": None}, "streams": {"s": source}}
        config.write_text(yaml.safe_dump(settings))
        done = subprocess.run(
            [*before, SCRIPT, "run", "--config", str(config)],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 3, done
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr

    return ran


@pytest.fixture
def deaf(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine whose only microphone is ALSA's own null device."""
    config = tmp_path / "asound.conf"
    config.write_text("</usr/share/alsa/alsa.conf>\npcm.nothing { type null hint.show on }\n")
    return {"ALSA_CONFIG_PATH": str(config)}


@needs_portaudio
def test_unknown_microphone(refused: Callable[..., str], deaf: dict[str, str]) -> None:
    said = refused(audio="nothink", environment=deaf)
    assert "'nothink'" in said
    assert "nothing" in said


@needs_portaudio
def test_rate_that_is_not_offered(refused: Callable[..., str], deaf: dict[str, str]) -> None:
    said = refused(audio="nothing?rate=500000", environment=deaf)
    assert "does not offer 500000 samples a second" in said
    assert "48000" in said


def test_no_camera(refused: Callable[..., str]) -> None:
    assert "There is no camera /dev/video63; plug it in" in refused(video="v4l2:///dev/video63")


@needs_portaudio
@needs_root
def test_no_portaudio_library(refused: Callable[..., str]) -> None:
    library = next(Path("/usr/lib").rglob(str(find_library("portaudio")))).resolve()
    hide = f'mount --bind /dev/null {library} && exec "$0" "$@"'
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody hide a library")
    assert "PortAudio library is missing; install it" in refused(
        "unshare", "--mount", "sh", "-c", hide, audio="default"
    )


@pytest.fixture
def node() -> Iterator[Path]:
    """A camera's node without a camera, which only root may open."""
    path = Path("/dev/video62")
    try:
        os.mknod(path, 0o020600, os.makedev(81, 62))
    except OSError as error:
        pytest.skip(f"this machine makes no devices: {error.strerror}")
    yield path
    path.unlink()


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed here: setpriv")
def test_no_permission(refused: Callable[..., str], node: Path) -> None:
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if subprocess.run([*as_nobody, SCRIPT, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("other users cannot run this installation")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        said = refused(*as_nobody, video=f"v4l2://{node}", folder=Path(folder), environment={"HOME": folder})
    assert f"The camera {node} may not be used; add this user to its group" in said
