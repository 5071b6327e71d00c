"""Built engines on disk: each under a key of all that matters to it, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_avsc.errors import ModelError

MAGIC = b"edge_avsc engine 1\n"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine depends on; where one of these differs, it is another engine.

    graph: the SHA-256 of the ONNX file. library: name and version. device: the GPU, or the target of an ahead-of-time
    build. platform: of the machine it was built on. options: all that was set for the build, such as the batches.
    """

    graph: str
    library: str
    device: str
    platform: str
    options: str

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class EngineCache:
    """A folder of engines. Reading finds what is broken; what cannot be written is an error that names the mend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, key: EngineKey) -> Path:
        """Return where the engine of *key* is; *name*, e.g. ``audio``, is for people who look into the folder."""
        return self.folder / f"{name}.{_plain(key.device)}.{key.digest[:16]}.engine"

    def read(self, name: str, key: EngineKey) -> bytes | None:
        """Return the engine of *key*, or None where there is none yet.

        Raises BrokenEngineError when the file is cut off, changed, or of something else.
        """
        path = self.path(name, key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BrokenEngineError(f"{path} cannot be read ({error.strerror})") from error
        head, _, plan = content.removeprefix(MAGIC).partition(b"\n")
        if not content.startswith(MAGIC):
            raise BrokenEngineError(f"{path} is no engine of edge-avsc")
        try:
            said = json.loads(head)
        except ValueError:
            raise BrokenEngineError(f"{path} is cut off") from None
        if not isinstance(said, dict) or said.get("key") != asdict(key):
            raise BrokenEngineError(f"{path} is the engine of something else")
        if said.get("sha256") != hashlib.sha256(plan).hexdigest():
            raise BrokenEngineError(f"{path} is cut off or changed")
        return plan

    def write(self, name: str, key: EngineKey, plan: bytes) -> Path:
        """Keep an engine; return its path. Raises ModelError when the folder cannot be written."""
        head = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest()}
        path = self.path(name, key)
        self._write(path, MAGIC + json.dumps(head, sort_keys=True).encode() + b"\n" + plan)
        return path

    def timing(self, library: str, device: str) -> bytes:
        """Return what was measured of kernels before, or nothing."""
        try:
            return self._timing_path(library, device).read_bytes()
        except OSError:
            return b""

    def write_timing(self, library: str, device: str, measured: bytes) -> None:
        """Keep what was measured of kernels."""
        self._write(self._timing_path(library, device), measured)

    def check(self) -> None:
        """Raise ModelError unless the folder can be written: better before a build of minutes than after it."""
        self._write(self.folder / ".writable", b"")
        with contextlib.suppress(OSError):
            (self.folder / ".writable").unlink()

    def _timing_path(self, library: str, device: str) -> Path:
        return self.folder / f"timing.{_plain(device)}.{_plain(library)}.cache"

    def _write(self, path: Path, content: bytes) -> None:
        """Write beside it and put it in place: a power cut or a second process must not leave half an engine."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, beside = tempfile.mkstemp(dir=self.folder, prefix=".writing-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                # Built by an administrator, read by a service.
                os.chmod(beside, 0o644)
                os.replace(beside, path)
            except BaseException:
                os.unlink(beside)
                raise
        except OSError as error:
            raise ModelError(
                f"The engine cache {self.folder} cannot be written ({error.strerror or error}); make room there and "
                "let this user write to it, or name another folder in EDGE_AVSC_CACHE."
            ) from error


class BrokenEngineError(Exception):
    """A file in the cache is not what it should be; its words say which and why. It is built anew."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where engines are kept: EDGE_AVSC_CACHE, or edge_avsc in the user's cache folder."""
    if environ.get("EDGE_AVSC_CACHE"):
        return Path(environ["EDGE_AVSC_CACHE"])
    home = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "edge_avsc"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")
