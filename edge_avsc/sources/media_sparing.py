"""Leaves H.264 frames undecoded that nobody needs: no other frame refers to them, and no picture of them is wanted."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import av

from edge_avsc.sources import _h264
from edge_avsc.sources._timeline import FAR_NS
from edge_avsc.types import NS_PER_MS, NS_PER_S

Needless: TypeAlias = Callable[[int, int], bool]
"""Tells that no picture is wanted from after one time until another, in nanoseconds from the container's PTS 0."""

UNSEEN_NS = 84 * NS_PER_MS
"""Decoded frames are never further apart because of a spared one, so that a flash this long shows in one of them."""

# Well under what counts as a flash: the brightness, and its rise within the frames that are remembered.
_BRIGHT_LUMA, _RISE = 160.0, 30.0
_REMEMBERED = 4
_AWAKE_NS = 10 * NS_PER_S
# Whether a frame is a flash is judged by the three before it.
_HELD = 3
# Reference frames come at most 16 ahead of their turn.
_NEIGHBOURS = 64
MOST_BYTES = 32 * 2**20
"""How much of a file is kept so that it can be decoded again; where nothing resets the decoder for so long, all is."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame in its turn; a spared one (None) is only told. luma: its mean brightness, where it was measured."""

    time_ns: int
    frame: Any | None = None
    luma: float | None = None


class _SurpriseError(Exception):
    """The stream is not as its packets said."""


class _FlashError(Exception):
    """It became bright, so that each frame near here counts."""


class SparingDecoder:
    """Decodes the packets of a video, but for frames that nobody needs, and checks that all others come as foretold.

    At the first surprise (damage, times that are missing or jump) it stops: ``undone`` are then the packets from which
    all frames after ``last_ns`` are to be decoded. When the brightness rises as with a flash, it goes back itself, and
    for the next 10 s spares nothing: the brightness of each frame counts there. What is shown where the file is damaged
    may be made up from other frames than if all were decoded; damage within a spared frame is as if it were not there.
    A spared frame's turn is known by its time alone: a neighbour's time that is wrong by less than a frame stays so.

    codec: the video's codec context. time_ns: turns a packet's ticks into nanoseconds. luma: measures a frame's mean
    brightness, 0..255. most_bytes: how much of the file is kept.
    """

    def __init__(
        self,
        codec: Any,
        *,
        time_ns: Callable[[int], int],
        needless: Needless,
        luma: Callable[[Any], float],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.last_ns: int | None = None
        self.undone: Iterator[Any] = iter(())
        self._codec = codec
        self._length_bytes = _h264.unit_length_bytes(codec.extradata)
        self._time_ns = time_ns
        self._needless = needless
        self._luma = luma
        self._most_bytes = most_bytes
        self._awake_until_ns: int | None = None
        self._begin()

    def shown(self, packets: Iterator[Any]) -> Iterator[Shown]:
        """Yield all frames in order of time, or those before the first surprise; once."""
        while True:
            try:
                yield from self._shown(packets)
                return
            except _FlashError:
                packets = self._back(packets)
            except _SurpriseError:
                self.undone = self._back(packets)
                return

    def _begin(self) -> None:
        self._groups: deque[list[Any]] = deque([[]])
        self._kept_bytes = 0
        self._decoded_ns: list[int] = []
        self._foretold: list[tuple[int, bool]] = []
        self._reached_ns: int | None = None
        self._held: deque[Shown] = deque()
        self._lumas: deque[float] = deque(maxlen=_REMEMBERED)

    def _back(self, rest: Iterator[Any]) -> Iterator[Any]:
        """Return the packets that were read since the last reset before what was not yet shown, and the rest."""
        again = list(chain.from_iterable(self._groups))
        self._codec.flush_buffers()
        self._begin()
        return chain(again, rest)

    def _shown(self, packets: Iterator[Any]) -> Iterator[Shown]:
        for packet in packets:
            if self._spares(packet):
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                raise _SurpriseError from None
            for frame in frames:
                self._take(frame)
                yield from self._ready(_HELD)
        if self._foretold:
            raise _SurpriseError
        yield from self._ready(0)

    def _spares(self, packet: Any) -> bool:
        """Keep a packet and foretell its frame; tell whether it needs no decoding."""
        if packet.is_keyframe and _h264.is_reset(bytes(packet), self._length_bytes):
            self._groups.append([])
        self._groups[-1].append(packet)
        self._kept_bytes += packet.size
        if not packet.size or getattr(packet, "is_discard", False):
            return False
        if packet.pts is None or self._kept_bytes > self._most_bytes:
            raise _SurpriseError
        time_ns = self._time_ns(packet.pts)
        if self._reached_ns is not None and time_ns <= self._reached_ns:
            raise _SurpriseError
        spares = self._may_spare(time_ns) and _h264.is_unreferenced(bytes(packet), self._length_bytes)
        heapq.heappush(self._foretold, (time_ns, spares))
        if not spares:
            insort(self._decoded_ns, time_ns)
            del self._decoded_ns[:-_NEIGHBOURS]
        return spares

    def _may_spare(self, time_ns: int) -> bool:
        if self._awake_until_ns is not None and time_ns <= self._awake_until_ns:
            return False
        place = bisect_left(self._decoded_ns, time_ns)
        if not 0 < place < len(self._decoded_ns):
            return False
        before_ns, after_ns = self._decoded_ns[place - 1], self._decoded_ns[place]
        return time_ns < after_ns <= before_ns + UNSEEN_NS and self._needless(before_ns, time_ns)

    def _take(self, frame: Any) -> None:
        """Put a decoded frame in its turn, after the spared ones before it."""
        if frame.pts is None or frame.is_corrupt:
            raise _SurpriseError
        time_ns = self._time_ns(frame.pts)
        while self._foretold and self._foretold[0] < (time_ns, False):
            spared_ns, spared = heapq.heappop(self._foretold)
            if not spared:
                raise _SurpriseError
            self._hold(Shown(spared_ns))
        if not self._foretold or heapq.heappop(self._foretold) != (time_ns, False):
            raise _SurpriseError
        self._hold(Shown(time_ns, frame, None if self._has_shown(time_ns) else self._measured(frame)))

    def _hold(self, shown: Shown) -> None:
        if self._reached_ns is not None and not 0 < shown.time_ns - self._reached_ns <= FAR_NS:
            raise _SurpriseError
        self._reached_ns = shown.time_ns
        self._held.append(shown)
        if shown.luma is not None:
            self._watch(shown.time_ns, shown.luma)

    def _measured(self, frame: Any) -> float:
        try:
            return self._luma(frame)
        except (av.FFmpegError, ValueError):
            raise _SurpriseError from None

    def _watch(self, time_ns: int, luma: float) -> None:
        rises = luma >= _BRIGHT_LUMA and luma - min(self._lumas, default=luma) >= _RISE
        self._lumas.append(luma)
        if rises:
            self._awake_until_ns = time_ns + _AWAKE_NS
            told = [(shown.time_ns, shown.frame is None) for shown in self._held]
            if any(spared and at_ns <= self._awake_until_ns for at_ns, spared in [*told, *self._foretold]):
                raise _FlashError

    def _has_shown(self, time_ns: int) -> bool:
        return self.last_ns is not None and time_ns <= self.last_ns

    def _ready(self, held: int) -> Iterator[Shown]:
        """Yield what need not be held back, and forget the packets that are done with."""
        while len(self._held) > held:
            shown = self._held.popleft()
            if not self._has_shown(shown.time_ns):
                self.last_ns = shown.time_ns
                yield shown
        while len(self._groups) > 1 and self._is_done(self._groups[1]):
            self._kept_bytes -= sum(packet.size for packet in self._groups.popleft())

    def _is_done(self, group: list[Any]) -> bool:
        """Tell whether the reset with which *group* begins was shown."""
        pts = group[0].pts
        return pts is not None and self._has_shown(self._time_ns(pts))
