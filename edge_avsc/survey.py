"""What the sources of one stream deliver, measured for a while through the very sources that a live run opens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from edge_avsc.audio_track import AudioTrack
from edge_avsc.bundle import AudioFrontEnd, AudioNormalisation
from edge_avsc.clock import Clock
from edge_avsc.config import StreamConfig
from edge_avsc.errors import EdgeAvscError, without_secrets
from edge_avsc.features import LogMel
from edge_avsc.health import Health
from edge_avsc.inbox import Inbox
from edge_avsc.quality import PictureQuality, SoundQuality
from edge_avsc.skew import FlashBeepDetector
from edge_avsc.source_thread import Epoch, SharedWanted, SourceThread
from edge_avsc.sources import LiveSource, open_live, parts
from edge_avsc.types import NS_PER_S, AudioChunk, Item, Role, SourceEnded, SourceEvent, VideoFrame

STEP_S = 0.02
JOIN_S = 0.5
INBOX_ITEMS = 4096
PATIENCE_NS = 10 * NS_PER_S
"""So long a source may take to open before it counts as one that delivers nothing."""

PICTURES_PER_S = 4
WHOLE_PX = 1 << 14
"""Larger than any picture: none is shrunk, so that its size shows."""

# A flash and a beep are found without a model: only the rate matters, of the columns there are as few as can be.
_FRONT_END = AudioFrontEnd(
    front_end="log_mel",
    sample_rate_hz=16_000,
    channels=1,
    n_fft=800,
    hop_samples=800,
    n_mels=1,
    fmin_hz=0,
    fmax_hz=8_000,
    columns=19,
    normalisation=AudioNormalisation(floor=1e-6, mean=0.0, scale=1.0),
)


class Survey:
    """Opens the sources of a stream and takes in what they deliver; a context, which lets them go.

    open_source: see :func:`edge_avsc.sources.open_live`. Raises ConfigError when a URI names no source.
    """

    def __init__(
        self, name: str, config: StreamConfig, *, clock: Clock, open_source: Callable[..., LiveSource] = open_live
    ) -> None:
        self.name = name
        self.health = Health()
        self.sound = SoundQuality()
        self.pictures = PictureQuality()
        self.skew = FlashBeepDetector()
        self.track = AudioTrack(_FRONT_END, LogMel(_FRONT_END), lambda counter, n: None)
        self.losses: dict[Role, str] = {}
        self.events: list[SourceEvent] = []
        self._clock = clock
        self._stop = threading.Event()
        self._inbox = Inbox(INBOX_ITEMS, clock, self.health)
        self._ended: set[Role] = set()
        self._first_ns: dict[Role, int] = {}
        self._epoch = Epoch()
        self._threads = [
            self._thread(open_source, source.uri, roles, latency_ns) for source, roles, latency_ns in parts(config)
        ]
        self.roles: frozenset[Role] = frozenset(role for thread in self._threads for role in thread.roles)

    def __enter__(self) -> Survey:
        self.began_ns = self._clock.now_ns()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def step(self) -> None:
        """Take in what has arrived; wait a moment where nothing has."""
        for arrival in self._inbox.take(STEP_S):
            self._take_in(arrival.item, arrival.arrived_ns)
        if self.track.samples.end is not None:
            self.skew.listen(self.track, self.track.time_of(self.track.samples.end))
        for thread in self._threads:
            if thread.failure is not None:
                why = thread.failure if isinstance(thread.failure, EdgeAvscError) else _fault(thread.failure)
                self.losses.update({role: without_secrets(str(why)) for role in thread.roles})

    def done(self, seconds: float) -> bool:
        """Tell whether each role has delivered for so long, or will not: lost, at its end, or not to be waited for."""
        now_ns = self._clock.now_ns()
        return all(
            role in self.losses
            or role in self._ended
            or now_ns - self._first_ns.get(role, self.began_ns + PATIENCE_NS) >= seconds * NS_PER_S
            for role in self.roles
        )

    @property
    def elapsed_s(self) -> float:
        """How long it has been running."""
        return (self._clock.now_ns() - self.began_ns) / NS_PER_S

    def _thread(
        self, open_source: Callable[..., LiveSource], uri: str, roles: frozenset[Role], latency_ns: int
    ) -> SourceThread:
        wants = SharedWanted(self._epoch, PICTURES_PER_S, latency_ns).wants
        return SourceThread(
            f"{self.name} {'+'.join(sorted(roles))}",
            open_source(uri, roles, clock=self._clock, wants=wants, picture_px=WHOLE_PX),
            put=lambda item: self._inbox.put(self.name, item),
            stop=self._stop,
            epoch=self._epoch,
            latency_ns=latency_ns,
            now_ns=self._clock.now_ns,
        )

    def _take_in(self, item: Item, arrived_ns: int) -> None:
        if isinstance(item, AudioChunk):
            self._first_ns.setdefault("audio", arrived_ns)
            self.sound.add(item)
            self.track.add(item, arrived_ns)
        elif isinstance(item, VideoFrame):
            self._first_ns.setdefault("video", arrived_ns)
            self.pictures.add(item)
            if item.luma is not None:
                self.skew.frame(item.time_ns, item.luma)
        elif isinstance(item, SourceEnded):
            self._ended.add(item.role)
        elif item.event == "lost":
            self.losses.setdefault("audio" if item.source == "audio" else "video", without_secrets(item.detail))
        else:
            self.events.append(replace(item, detail=without_secrets(item.detail)))


def _fault(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}; install what is missing."
    return f"{type(error).__name__}: {error}."
