"""What becomes of a live source: a small state machine, told the time by whoever asks."""

from __future__ import annotations

from collections import deque
from enum import Enum

from edge_avsc.types import NS_PER_MS, NS_PER_S, Role, SourceEvent

STALLED_NS = 1_200 * NS_PER_MS
"""A source that delivers nothing for so long has stalled, even if its driver says nothing."""

FLAPS = 3
FLAPPING_NS = 60 * NS_PER_S
STEADY_NS = 30 * NS_PER_S


class State(Enum):
    """Where a source stands."""

    STARTING = "starting"
    LIVE = "live"
    STALLED = "stalled"
    LOST = "lost"
    ENDED = "ended"


class Supervision:
    """Turns what happens to one role of one source into few events that a person should read.

    A source that is lost three times in a minute is said to flap, once; then it is quiet until it has been steady for
    half a minute. Losses are counted all the same.
    """

    def __init__(self, role: Role, began_ns: int) -> None:
        self.role = role
        self.state = State.STARTING
        self.losses = 0
        self._last_ns = began_ns
        self._recent: deque[int] = deque(maxlen=FLAPS)
        self._flapping = False
        self._quiet_losses = 0
        self._live_since_ns = began_ns

    def delivered(self, now_ns: int) -> list[SourceEvent]:
        """Take in that an item came."""
        self._last_ns = now_ns
        if self.state is State.LIVE:
            return self._steady(now_ns)
        was, self.state, self._live_since_ns = self.state, State.LIVE, now_ns
        if was is State.STARTING or self._flapping:
            return []
        return [self._event("recovered", f"The {self.role} is back.", now_ns)]

    def failed(self, now_ns: int, reason: str) -> list[SourceEvent]:
        """Take in that the source was lost, or could not be opened, for *reason*."""
        if self.state is State.LOST:
            return []
        self.state = State.LOST
        self.losses += 1
        self._recent.append(now_ns)
        if self._flapping:
            self._quiet_losses += 1
            return []
        if len(self._recent) == FLAPS and now_ns - self._recent[0] <= FLAPPING_NS:
            self._flapping, self._quiet_losses = True, 0
            detail = f"The {self.role} was lost {FLAPS} times in a minute: {reason}"
            return [self._event("flapping", detail, now_ns)]
        return [self._event("lost", reason, now_ns)]

    def check(self, now_ns: int) -> list[SourceEvent]:
        """Return what is to be said of a source that has gone quiet."""
        if self.state is not State.LIVE or now_ns - self._last_ns < STALLED_NS:
            return []
        self.state = State.STALLED
        if self._flapping:
            return []
        quiet_s = (now_ns - self._last_ns) / NS_PER_S
        return [self._event("stalled", f"The {self.role} has delivered nothing for {quiet_s:.1f} s.", now_ns)]

    def ended(self) -> None:
        """Take in that the source has no more, and is not missed."""
        self.state = State.ENDED

    def gone_quiet(self) -> bool:
        """Take in that the source itself says that it delivers nothing; return whether that is new."""
        new = self.state is not State.STALLED
        if self.state is not State.LOST:
            self.state = State.STALLED
        return new

    def _steady(self, now_ns: int) -> list[SourceEvent]:
        if not self._flapping or now_ns - self._live_since_ns < STEADY_NS:
            return []
        self._flapping = False
        self._recent.clear()
        detail = f"The {self.role} is steady again, after {self._quiet_losses} more losses."
        return [self._event("recovered", detail, now_ns)]

    def _event(self, event: str, detail: str, now_ns: int) -> SourceEvent:
        return SourceEvent(self.role, event, detail, now_ns)


class BackOff:
    """How long to wait before the next attempt: doubling from 0.25 to 1.5 s, with jitter, anew after a success."""

    FIRST_S, LONGEST_S = 0.25, 1.5

    def __init__(self) -> None:
        self._next_s = self.FIRST_S

    def succeeded(self) -> None:
        """Begin anew."""
        self._next_s = self.FIRST_S

    def failed(self, chance: float) -> float:
        """Return the seconds to wait; *chance*, 0..1, spreads them over 80 to 120 %, so that sources do not march."""
        delay_s = self._next_s * (0.8 + 0.4 * chance)
        self._next_s = min(self.LONGEST_S, 2.0 * self._next_s)
        return delay_s
