"""A private PulseAudio whose microphones hear what a test plays to them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import numpy as np
from numpy import float32
from numpy.typing import NDArray

RATE_HZ = 48_000


def missing() -> str | None:
    """Return what is not installed here, or None."""
    programs = [name for name in ("pulseaudio", "pacat") if shutil.which(name) is None]
    libraries = [name for name in ("portaudio",) if find_library(name) is None]
    plugin = [] if any(Path("/usr/lib").rglob("libasound_module_pcm_pulse.so")) else ["ALSA's Pulse plug-in"]
    return ", ".join([*programs, *libraries, *plugin]) or None


class Pulse:
    """A sound server with a null sink for each of *names*; ALSA's device of that name hears what is played to it.

    ``default`` hears the first. *environment* must be that of the process that records.
    """

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.names = names
        self._folder = folder
        self._socket = folder / "native"
        self._server: subprocess.Popen[bytes] | None = None
        self._awake: list[subprocess.Popen[bytes]] = []
        lines = [f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._socket}"]
        lines += [f"load-module module-null-sink sink_name={name} rate={RATE_HZ} channels=2" for name in names]
        lines += [f"set-default-sink {names[0]}", f"set-default-source {names[0]}.monitor", ""]
        (folder / "pulse.pa").write_text("\n".join(lines))
        self.alsa_devices = [_alsa_device(name, self._socket, f"{name}.monitor") for name in names]
        devices = [*self.alsa_devices, _alsa_device("!default", self._socket, f"{names[0]}.monitor")]
        (folder / "asound.conf").write_text("</usr/share/alsa/alsa.conf>\n" + "\n".join(devices))

    @property
    def environment(self) -> dict[str, str]:
        """What makes ALSA and Pulse's programs talk to this server."""
        folder = str(self._folder)
        return {
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": folder,
            "PULSE_STATE_PATH": folder,
            "XDG_RUNTIME_DIR": folder,
            "XDG_CONFIG_HOME": folder,
        }

    def __enter__(self) -> Pulse:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server and keep its sinks awake; return when it answers."""
        self._socket.unlink(missing_ok=True)
        self._server = self._spawn(
            "pulseaudio", "-n", "-F", str(self._folder / "pulse.pa"), "--exit-idle-time=-1", "--use-pid-file=no",
            "--daemonize=no", "--high-priority=no",
        )  # fmt: skip
        deadline = time.monotonic() + 10.0
        while not self._answers():
            assert time.monotonic() < deadline, "pulseaudio does not start"
            time.sleep(0.02)
        # A small latency here is what makes the sinks deliver in small blocks.
        self._awake = [self._play(name, "/dev/zero", 20) for name in self.names]

    def kill(self) -> None:
        """End the server as if its process had crashed."""
        for process in [*self._awake, self._server]:
            if process is not None:
                process.kill()
                process.wait()
        self._server, self._awake = None, []

    def stop(self) -> None:
        """Make the server hang."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the hanging."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def play(self, name: str, samples: NDArray[float32]) -> subprocess.Popen[bytes]:
        """Begin to play float32 ``[n, 2]`` of 48 kHz to the sink *name*; the process ends when it was heard."""
        return self.play_file(name, self.write(name, samples))

    def write(self, name: str, samples: NDArray[float32]) -> Path:
        """Write float32 ``[n, 2]`` to where play_file can read it; of ten minutes, that takes a second."""
        path = self._folder / f"{name}.f32"
        samples.astype("<f4").tofile(path)
        return path

    def play_file(self, name: str, path: Path) -> subprocess.Popen[bytes]:
        """Begin to play what write wrote to the sink *name*."""
        # With a large one a busy machine does not tear the sound.
        return self._play(name, str(path), 500)

    @contextmanager
    def playing_since(self, name: str, path: Path) -> Iterator[int]:
        """Play what write wrote to the sink *name*, again and again; yield when its first sample is heard, in ns."""
        player = Path(__file__).with_name("player.py")
        process = self._spawn(sys.executable, str(player), name, str(path), stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    def _play(self, name: str, path: str, latency_ms: int) -> subprocess.Popen[bytes]:
        return self._spawn(
            "pacat", "--playback", f"--device={name}", f"--latency-msec={latency_ms}", "--raw", "--format=float32le",
            f"--rate={RATE_HZ}", "--channels=2", path,
        )  # fmt: skip

    def _spawn(self, *command: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env={**os.environ, **self.environment, "HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0


def clicks_and_noise(seconds: float, seed: int = 1) -> NDArray[float32]:
    """Return sound that fits itself at one place only: float32 ``[n, 2]`` at 48 kHz."""
    noise = np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * RATE_HZ))
    # Nothing near the edge of hearing: what resamples on the way may take that away.
    smooth = np.convolve(noise, np.hanning(9) / np.hanning(9).sum(), "same")
    return np.repeat(smooth[:, None], 2, axis=1).astype(float32)


def _alsa_device(name: str, server: Path, source: str) -> str:
    return f'pcm.{name} {{ type pulse server "unix:{server}" device "{source}" hint.show on }}'
