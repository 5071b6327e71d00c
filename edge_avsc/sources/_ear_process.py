"""The process of an ear, seen from outside: started, listened to, and ended whatever it does."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from edge_avsc.errors import DeviceError
from edge_avsc.sources._ear_messages import Block, Failed, Message, Started, read

OPEN_S = 10.0
"""It takes 0.2 s, of which Python needs half; twenty times that where the processor is emulated, or has other work."""

CLOSE_S = 0.15
KILLED_S = 0.3
PIPE_BYTES = 1 << 20


class EarProcess:
    """A process that hears, or answers, until it is ended; a thread takes in what it tells.

    program: what to start, with its arguments. take: gets the blocks, in that thread; what it raises is kept in
    *error*, as is what the process says of its own failure. Raises DeviceError when the process cannot be started.
    """

    def __init__(self, program: Sequence[str], take: Callable[[Block], None]) -> None:
        self.started = False
        self.error: Exception | None = None
        self.answer: Any = None
        self._take = take
        self._closed = threading.Event()
        try:
            process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise DeviceError(f"PortAudio's process cannot be started ({error.strerror}); free memory.") from error
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._leash = process, process.stdin
        _widen(process.stdout)
        self._thread = threading.Thread(target=self._listen, args=(process.stdout,), name="ear", daemon=True)
        self._thread.start()

    def gone(self, timeout_s: float = 0.0) -> bool:
        """Tell whether it has ended and all that it told is taken in; wait up to *timeout_s* for that."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Let it close its device, or kill it where that takes long; it tells nothing from now on.

        It may outlive even that, in a driver that hangs; then *gone* says so.
        """
        self._closed.set()
        with contextlib.suppress(OSError):
            self._leash.close()
        if not self.gone(CLOSE_S):
            self._process.kill()
            self.gone(KILLED_S)

    @property
    def death(self) -> str:
        """How it died, in brackets; to be asked when it is gone."""
        code = self._process.returncode
        with contextlib.suppress(ValueError):
            return f"({signal.Signals(-code).name})"
        return f"(code {code})"

    def _listen(self, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                for message in read(pipe):
                    if self._closed.is_set():
                        break
                    self._take_in(message)
        except Exception as error:
            self.error = error
        finally:
            self._process.wait()

    def _take_in(self, message: Message) -> None:
        if isinstance(message, Block):
            self.started = True
            self._take(message)
        elif isinstance(message, Started):
            self.started = True
        elif isinstance(message, Failed):
            raise DeviceError(message.why)
        else:
            self.answer = message.value


def program(*words: str) -> list[str]:
    """Return how an ear is started, which finds the same packages as this process."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from edge_avsc.sources._ear import main; main()"
    return [sys.executable, "-c", code, *words]


def ask(question: Sequence[str]) -> Any:
    """Return what the process of *question* answers; DeviceError when PortAudio is missing, hangs or crashes."""
    ear = EarProcess(question, lambda block: None)
    hangs = not ear.gone(OPEN_S)
    ear.end()
    if ear.error is not None:
        raise ear.error
    if ear.answer is not None:
        return ear.answer
    if hangs:
        raise DeviceError("The sound server does not answer; start it again.")
    raise DeviceError(f"PortAudio has crashed {ear.death}; start the sound server again.")


def _widen(pipe: IO[bytes]) -> None:
    # By default it holds a block or less of the largest devices, and less than this process may be kept from reading.
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
