"""Replay clips on processors that are not here, by emulation, and compare the labels with this machine's.

aarch64 (a Cortex-A76, that of a Raspberry Pi 5) with real aarch64 wheels, and a Haswell (AVX2 without VNNI) with the
packages that run this script. Needs root, Debian's qemu-user-static and debootstrap, and for aarch64 a minute to fetch:

    apt-get install --no-install-recommends qemu-user-static debootstrap
    python tools/compare_processors.py clip.mp4 ...

Emulation is some 20 to 50 times slower than the processor: short clips will do. Exit code 1 when a window's
probabilities differ by more than 0.02, or fewer than 99 % of the labels are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROBABILITY = 0.02
SAME_LABELS = 0.99

# ONNX Runtime asks the kernel what processor it is on, and crashes when a x86-64 kernel answers.
CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
MANYLINUX = ("2_17", "2_24", "2_26", "2_27", "2_28")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clips", nargs="*", default=["test://demo?duration=10"], metavar="CLIP")
    parser.add_argument("--processor", choices=["aarch64", "haswell"], action="append", help="default: both")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "edge-avsc-processors")
    args = parser.parse_args()
    here = [sys.executable]
    good = True
    for processor in args.processor or ["aarch64", "haswell"]:
        command, packages = haswell(args.work) if processor == "haswell" else aarch64(args.work)
        windows = same = near = 0
        worst = 0.0
        for clip in args.clips:
            ours, theirs = replayed(here, "", clip), replayed(command, packages, clip)
            if len(ours) != len(theirs):
                raise SystemExit(f"{clip}: {len(ours)} windows here, {len(theirs)} on {processor}.")
            equal, differences = compare(ours, theirs)
            close = sum(difference <= PROBABILITY for difference in differences)
            windows, same, near = windows + len(ours), same + equal, near + close
            worst = max([worst, *differences])
            print(told(processor, len(ours), equal, close, max(differences, default=0.0), clip), flush=True)
        print(told(processor, windows, same, near, worst, "all"), flush=True)
        good = good and worst <= PROBABILITY and same >= SAME_LABELS * windows
    return 0 if good else 1


def compare(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> tuple[int, list[float]]:
    """Return how many labels are the same, and the largest difference of a probability in each window."""
    pairs = list(zip(ours, theirs, strict=True))
    same = sum(a["scene_label"] == b["scene_label"] for a, b in pairs)
    here, there = ([one["window_probabilities"] for one in side] for side in (ours, theirs))
    worst = [max((abs(p - b[label]) for label, p in a.items()), default=0.0) for a, b in zip(here, there, strict=True)]
    return same, worst


def told(processor: str, windows: int, same: int, near: int, worst: float, what: str) -> str:
    """Return a line of the table."""
    equal = f"{same:4} labels same, {near:4} within {PROBABILITY}, worst {worst:.4f}"
    return f"{processor:8} {windows:4} windows: {equal}  {what}"


def replayed(command: list[str], packages: str, clip: str) -> list[dict[str, Any]]:
    """Return the estimates of a clip."""
    path = os.pathsep.join(filter(None, (str(ROOT), packages)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "labels.jsonl"
        verb = ["-m", "edge_avsc.cli", "replay", clip, "--jsonl", str(lines)]
        done = subprocess.run([*command, *verb], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}", file=sys.stderr)
            raise SystemExit(max(1, done.returncode))
        read = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return [line for line in read if line["type"] == "estimate"]


def haswell(work: Path) -> tuple[list[str], str]:
    """Return a command that runs this very Python as on a processor with AVX2 and without VNNI."""
    work.mkdir(parents=True, exist_ok=True)
    seen = work / "cpuinfo"
    seen.write_text(re.sub(r" avx(512)?_vnni\b", "", Path("/proc/cpuinfo").read_text()))
    # The emulator shows this machine's /proc/cpuinfo, by which the package chooses how bytes are multiplied.
    shown = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /proc/cpuinfo && exec "$@"', str(seen)]
    return [*shown, "qemu-x86_64-static", "-cpu", "Haswell", sys.executable], sysconfig.get_path("purelib")


def aarch64(work: Path) -> tuple[list[str], str]:
    """Return a command that runs Debian's Python for aarch64, and the folder of its packages; both are made once."""
    root, packages = work / "arm64", work / "packages"
    python = root / "usr/bin/python3.11"
    if not python.exists():
        include = "--include=python3.11,libstdc++6,libgomp1,libportaudio2"
        options = ["--foreign", "--arch=arm64", "--variant=minbase", include]
        run(["debootstrap", *options, "bookworm", str(root)])
        # Its second stage would take minutes of emulation; unpacked is enough.
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            run(["dpkg", "-x", str(package), str(root)])
        (root / "proc/cpuinfo").write_text(CPUINFO)
    if not packages.is_dir():
        platforms = [f"--platform=manylinux_{glibc}_aarch64" for glibc in MANYLINUX]
        options = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms]
        run([sys.executable, "-m", "pip", "install", "-q", f"--target={packages}", *options, *requirements()])
    return ["qemu-aarch64-static", "-cpu", "cortex-a76", "-L", str(root), str(python)], str(packages)


def requirements() -> list[str]:
    """Return what the package needs, in the versions that run here."""
    from importlib import metadata

    names = [name.split(">")[0] for name in metadata.requires("edge-avsc") or [] if "extra" not in name]
    return [f"{name}=={metadata.version(name)}" for name in names]


def run(command: list[str]) -> None:
    """Run a step of the preparation; end with what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} … failed: {(done.stderr or done.stdout).strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
