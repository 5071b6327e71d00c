"""A small virtual machine with a real V4L2 camera and a real ALSA sound card, made of drivers that need no hardware.

It runs Debian's kernel on this machine's own files (what it writes is forgotten), so that the same virtual environment
works inside. On Debian it needs: apt install --no-install-recommends qemu-system-x86 busybox-static kmod cpio v4l-utils
alsa-utils; the kernel is downloaded at the first time, and kept in the user's cache. The processor is emulated, so that
this works in every container; it is at least ten times slower.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edge_avsc" / "virtual_machine"
PROGRAMS = ("qemu-system-x86_64", "busybox", "cpio", "modprobe", "depmod", "dpkg", "v4l2-ctl", "aplay", "setpriv")
TO_REACH_THE_FILES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
BOOT_S = 180.0

INIT = """#!/bin/busybox sh
set -e
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /lower /memory /root
$bb mount -t proc none /proc
$bb mount -t sysfs none /sys
$bb mount -t devtmpfs none /dev
while read -r module; do $bb insmod "/$module"; done </modules
options=trans=virtio,version=9p2000.L,msize=1048576
$bb mount -t 9p -o ro,cache=loose,$options host /lower
$bb mount -t tmpfs none /memory
$bb mkdir /memory/upper /memory/work
$bb mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work none /root
$bb mkdir -p /root/run /root/dev /root/proc /root/sys /root/mnt
$bb mount -t 9p -o cache=none,$options shared /root/mnt
for place in dev proc sys; do $bb mount --move /$place /root/$place; done
$bb mkdir -p /root/dev/shm
$bb mount -t tmpfs none /root/dev/shm
$bb mount -t tmpfs none /root/run
$bb ip link set lo up 2>/dev/null || true
exec $bb switch_root /root BUSYBOX sh /mnt/serve
"""

# Whoever reads the port's end of file has lost the test that started the machine.
SERVE = """export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec 3<>/dev/vport0p1
echo up >&3
while read -r job <&3; do
    (/bin/sh "/mnt/$job" >"/mnt/$job.out" 2>&1 3>&-; echo "$job $?" >&3) &
done
busybox poweroff -f
"""


def missing() -> str | None:
    """Return why there can be no such machine here, or None."""
    if platform.machine() != "x86_64":
        return f"the machine would be an x86-64 one, and these files are for {platform.machine()}"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if lacking:
        return "not installed here: " + ", ".join(lacking)
    if _unpacked() is None and _newest() is None:
        return f"there is no kernel in {CACHE}, and no Debian to download one from"
    return None


@dataclass(frozen=True, slots=True)
class Result:
    """How a script ended in the machine: its exit code, and what it wrote to both of its outputs."""

    code: int
    text: str


class Job:
    """A script that runs in the machine."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._done = threading.Event()
        self._code = 0

    def text(self) -> str:
        """Return what it has written so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def ended(self, code: int) -> None:
        self._code = code
        self._done.set()

    def wait(self, timeout_s: float = 120.0) -> Result:
        assert self._done.wait(timeout_s), f"it runs longer than {timeout_s} s; so far it wrote:\n{self.text()}"
        return Result(self._code, self.text())


class Machine:
    """A machine that is up. *shared* here is ``/mnt`` there, and the only place that both write to."""

    def __init__(self, shared: Path, port: socket.socket, modules: Path, release: str) -> None:
        self.shared = shared
        self._port = port
        self._modprobe = f"modprobe -d {shlex.quote(str(modules))} -S {release}"
        self._jobs: dict[str, Job] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, script: str) -> Job:
        """Begin to run lines of shell; ``modprobe`` in them is that of the machine's kernel."""
        name = f"job{len(self._jobs)}"
        job = self._jobs[name] = Job(self.shared / f"{name}.out")
        (self.shared / name).write_text(f'modprobe() {{ command {self._modprobe} "$@"; }}\n{script}\n')
        self._port.sendall(f"{name}\n".encode())
        return job

    def run(self, script: str, timeout_s: float = 120.0) -> Result:
        """Run lines of shell to their end."""
        return self.start(script).wait(timeout_s)

    def do(self, script: str) -> str:
        """Run what must succeed; return what it wrote, without the last line feed."""
        result = self.run(script)
        assert result.code == 0, result.text
        return result.text.rstrip("\n")

    def _read(self) -> None:
        with self._port.makefile() as lines:
            for line in lines:
                name, _, code = line.partition(" ")
                self._jobs[name].ended(int(code))


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Make a machine in *folder*, and boot it."""
    kernel = _kernel()
    (modules,) = (kernel / "lib/modules").iterdir()
    image = _first_files(folder, kernel, modules.name)
    shared = folder / "shared"
    shared.mkdir()
    (shared / "serve").write_text(SERVE)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "port"))
        listener.listen()
        listener.settimeout(10.0)
        command = _qemu(kernel / f"boot/vmlinuz-{modules.name}", image, shared, folder)
        with (folder / "qemu.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                port, _ = listener.accept()
                with port:
                    _wait_until_up(port, process, folder)
                    yield Machine(shared, port, kernel, modules.name)
            finally:
                process.kill()


def _qemu(kernel: Path, image: Path, shared: Path, folder: Path) -> list[str]:
    files = "local,multidevs=remap,security_model=none"
    return [
        "nice", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-m", "2048", "-smp", "2",
        "-accel", "tcg,thread=multi", "-cpu", "max",
        "-kernel", str(kernel), "-initrd", str(image), "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
        "-serial", f"file:{folder / 'console.log'}", "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=port,path={folder / 'port'}", "-device", "virtserialport,chardev=port,nr=1",
        "-virtfs", f"{files},path=/,mount_tag=host,readonly=on",
        "-virtfs", f"{files},path={shared},mount_tag=shared",
    ]  # fmt: skip


def _wait_until_up(port: socket.socket, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + BOOT_S
    port.settimeout(1.0)
    while True:
        try:
            if port.recv(3) == b"up\n":
                break
        except TimeoutError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            logs = (folder / name for name in ("qemu.log", "console.log"))
            raise AssertionError("it does not boot:\n" + "\n".join(log.read_text(errors="replace") for log in logs))
    port.settimeout(None)


def _kernel() -> Path:
    """Return the folder with Debian's newest kernel unpacked (400 MB), which is downloaded at the first time."""
    if unpacked := _unpacked():
        return unpacked
    name, partial = _newest(), CACHE / "partial"
    assert name
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    _run("apt-get", "-q", "download", name, cwd=CACHE)
    (package,) = CACHE.glob(f"{name}_*.deb")
    _run("dpkg", "-x", str(package), str(partial))
    package.unlink()
    (modules,) = (partial / "lib/modules").iterdir()
    _run("depmod", "-b", str(partial), modules.name)
    return partial.rename(CACHE / name)


def _unpacked() -> Path | None:
    return max((path for path in CACHE.glob("linux-image-*") if path.is_dir()), default=None)


def _newest() -> str | None:
    """Return the package of Debian's newest kernel; None where the system is not Debian."""
    if shutil.which("apt-cache") is None:
        return None
    words = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], text=True, capture_output=True, check=False
    ).stdout.split()
    return next((word for word in words if re.match(r"linux-image-\d", word)), None)


def _first_files(folder: Path, kernel: Path, release: str) -> Path:
    """Return an archive of what the kernel needs before it can reach this machine's files."""
    root = folder / "first"
    (root / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox", path=_path())
    assert busybox
    shutil.copy(busybox, root / "bin/busybox")
    listed = _run("modprobe", "-d", str(kernel), "-S", release, "--show-depends", "-a", *TO_REACH_THE_FILES)
    needed = dict.fromkeys(line.split()[1] for line in listed.splitlines() if line.startswith("insmod"))
    for path in needed:
        shutil.copy(path, root)
    (root / "modules").write_text("".join(f"{Path(path).name}\n" for path in needed))
    (root / "init").write_text(INIT.replace("BUSYBOX", os.path.realpath(busybox)))
    (root / "init").chmod(0o755)
    image = folder / "first.cpio"
    image.write_bytes(
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"],
            input="\n".join(str(path.relative_to(root)) for path in root.rglob("*")).encode(),
            cwd=root,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return image


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PATH": _path(), "LC_ALL": "C"}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout
