"""Try the steps of a Dockerfile where no Docker engine runs: in a Debian root made by debootstrap.

    sudo python tools/try_dockerfile.py [--file tools/deploy/Dockerfile] [--bind /opt/mirror ...] [-- replay]

Understands what our Dockerfile uses: FROM debian:RELEASE-slim, RUN, COPY, ENV, WORKDIR, USER, VOLUME, HEALTHCHECK,
ENTRYPOINT, CMD. After the steps the entry point runs as the user of the file, with the arguments after ``--``, and then
the health check, whose exit code is told. --bind: folders and files of this machine that the steps need, such as those
of a mirror of packages; they are mounted for the time of a step alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Image:
    """A root folder, and what the steps have set so far."""

    def __init__(self, root: Path, bind: list[str]) -> None:
        self.root = root
        self.environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        self.environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        self.folder, self.user = "/", "0"
        self.entry: list[str] = []
        self.arguments: list[str] = []
        self.check: list[str] = []
        self._bind = bind

    def run(self, command: list[str]) -> int:
        """Run a command inside; what is mounted for it goes with its namespace."""
        script = ["mount -t proc proc {root}/proc", "mount --rbind /dev {root}/dev"]
        for path in self._bind:
            inside = self.root / path.lstrip("/")
            if Path(path).is_dir():
                inside.mkdir(parents=True, exist_ok=True)
            else:
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.touch()
            # Read-only: a step that installs certificates, say, would otherwise write into this machine's own.
            script.append(f"mount --bind -o ro {shlex.quote(path)} {shlex.quote(str(inside))}")
        chroot = f"exec chroot --userspec={self.user}:{self.user} {{root}} sh -c {shlex.quote(self._inside(command))}"
        text = " && ".join([*script, chroot]).replace("{root}", shlex.quote(str(self.root)))
        wrapped = ["unshare", "--mount", "sh", "-c", text]
        return subprocess.run(wrapped, env=self.environment, check=False).returncode

    def _inside(self, command: list[str]) -> str:
        return f"cd {shlex.quote(self.folder)} && {shlex.join(command)}"

    def copy(self, sources: list[str], target: str) -> None:
        """Copy from the checkout, as COPY does."""
        into = self.root / self.folder.lstrip("/") / target
        for source in sources:
            path = ROOT / source
            if path.is_dir():
                shutil.copytree(path, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, into)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction and what follows it."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", plain).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def step(image: Image, word: str, rest: str) -> None:
    """Carry one instruction out. Exits when it fails."""
    if word == "FROM":
        release = re.fullmatch(r"debian:(\w+)-slim", rest)
        if not release:
            raise SystemExit(f"The base {rest} cannot be made by debootstrap.")
        made = ["debootstrap", "--variant=minbase", release[1], str(image.root)]
        if subprocess.run(made, stdout=subprocess.DEVNULL, check=False).returncode:
            raise SystemExit(f"debootstrap of {release[1]} failed.")
        shutil.copy("/etc/resolv.conf", image.root / "etc/resolv.conf")
    elif word == "RUN":
        if image.run(["sh", "-c", rest]):
            raise SystemExit(f"This step failed: {rest}")
    elif word == "COPY":
        *sources, target = rest.split()
        image.copy(sources, target)
    elif word == "ENV":
        for name, value in (pair.split("=", 1) for pair in shlex.split(rest)):
            image.environment[name] = re.sub(r"\$(\w+)", lambda match: image.environment[match[1]], value)
    elif word == "WORKDIR":
        image.folder = rest
        (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif word == "USER":
        image.user = rest
    elif word == "HEALTHCHECK":
        image.check = json.loads(rest.partition("CMD ")[2])
    elif word in ("ENTRYPOINT", "CMD"):
        setattr(image, "entry" if word == "ENTRYPOINT" else "arguments", json.loads(rest))
    elif word != "VOLUME":
        raise SystemExit(f"The instruction {word} is not known here.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--file", type=Path, default=ROOT / "tools/deploy/Dockerfile")
    parser.add_argument("--bind", action="append", default=[], metavar="PATH")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for the entry point, after --")
    args = parser.parse_args()
    if not args.file.is_file():
        parser.error(f"There is no file {args.file}; name a Dockerfile.")
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        image = Image(Path(folder) / "root", args.bind)
        for word, rest in steps(args.file.read_text(encoding="utf-8")):
            print(f"{word} {rest[:100]}", flush=True)
            step(image, word, rest)
        code = image.run([*image.entry, *(args.arguments or image.arguments)])
        print(f"the entry point ended with {code}", flush=True)
        print(f"the health check ended with {image.run(image.check)}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
