"""The only reader of clocks, and the map from sample indices to time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from edge_avsc.types import NS_PER_MS, NS_PER_S


class Clock(Protocol):
    """Something that tells the time in nanoseconds and never goes back."""

    def now_ns(self) -> int:
        """Return the time now."""


class MonotonicClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """Return the time now, in nanoseconds since an arbitrary moment."""
        return time.monotonic_ns()


class ReplayClock:
    """Recording time: starts at 0 when made, runs *speed* times as fast as the machine's monotonic clock."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the recording time now, in nanoseconds."""
        return int((time.monotonic_ns() - self._start_ns) * self._speed)

    def wait_until(self, time_ns: int) -> None:
        """Sleep until the recording time *time_ns*; return at once where it has passed."""
        left_ns = (time_ns - self.now_ns()) / self._speed
        if left_ns > 0:
            time.sleep(left_ns / NS_PER_S)


@dataclass(frozen=True, slots=True)
class UtcAnchor:
    """One moment on two clocks; sinks turn a clock's time into UTC with it. *speed*: clock seconds a second."""

    clock_ns: int
    utc_ns: int
    speed: float = 1.0

    @classmethod
    def now(cls, clock: Clock, speed: float = 1.0) -> UtcAnchor:
        """Record what *clock* and the wall clock say now."""
        return cls(clock.now_ns(), time.time_ns(), speed)

    def iso(self, time_ns: int) -> str:
        """Return *time_ns* as ISO 8601 in UTC with milliseconds, e.g. ``2026-01-01T00:00:07.000Z``."""
        since_ns = time_ns - self.clock_ns
        seconds, rest_ns = divmod(
            self.utc_ns + (since_ns if self.speed == 1.0 else int(since_ns / self.speed)), NS_PER_S
        )
        moment = datetime.fromtimestamp(seconds, timezone.utc)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // NS_PER_MS:03d}Z"


class WallClock:
    """Tells the UTC of a clock's times, and follows when the machine's is set, as by NTP after a start, or it slept."""

    MOVED_NS = NS_PER_S // 2

    def __init__(self, clock: Clock, utc_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._utc_ns = utc_ns
        self._anchor = UtcAnchor(clock.now_ns(), utc_ns())

    def iso(self, time_ns: int) -> str:
        """Return *time_ns* as ISO 8601 in UTC, by the machine's time as it was when it was last followed."""
        return self._anchor.iso(time_ns)

    def follow(self) -> int:
        """Return by how many nanoseconds the machine's time has moved against the clock; 0 if by less than 0.5 s.

        What is told from here on is by the new one.
        """
        now = UtcAnchor(self._clock.now_ns(), self._utc_ns())
        moved_ns = (now.utc_ns - self._anchor.utc_ns) - (now.clock_ns - self._anchor.clock_ns)
        if abs(moved_ns) < self.MOVED_NS:
            return 0
        self._anchor = now
        return moved_ns


class SampleClock:
    """Maps sample indices to capture times: a second-order delay-locked loop.

    After F. Adriaensen, "Using a DLL to filter time" (Linux Audio Conference 2005). The bandwidth begins wide and
    narrows to 0.05 Hz. Times that agree with the nominal rate to a microsecond leave the map untouched, so that a
    recording, whose times are made of its sample indices, is mapped exactly. An observation more than 50 ms off is not
    followed; when such observations agree with their mean for 0.3 s, the map is anchored anew there. A backlog (samples
    that come faster than they were taken) does neither. No crystal is off by a thousandth: the period stays within
    that, whatever the first stamps say.
    """

    BANDWIDTH_HZ = 0.05
    EXACT_NS = 1_000
    JUMP_NS = 50 * NS_PER_MS
    MOST_DRIFT = 1e-3
    SETTLED_NS = 300 * NS_PER_MS

    def __init__(self, rate_hz: int, index: int, time_ns: int) -> None:
        self.rate_hz = rate_hz
        self.jumps = 0
        self._nominal_ns = NS_PER_S / rate_hz
        self._jump: _Jump | None = None
        self._anchor(index, time_ns, self._nominal_ns)

    @property
    def drift_ppm(self) -> float:
        """How much faster than nominal the device samples, in parts per million (negative: slower)."""
        return (self._nominal_ns / self._period_ns - 1.0) * 1e6

    def time_of(self, index: float) -> int:
        """Return the capture time of sample *index* in nanoseconds."""
        return self._time_ns + round((index - self._index) * self._period_ns)

    def index_at(self, time_ns: int) -> float:
        """Return the (fractional) index of the sample captured at *time_ns*."""
        return self._index + (time_ns - self._time_ns) / self._period_ns

    def observe(self, index: int, time_ns: int) -> None:
        """Take in that sample *index* was captured at *time_ns*; indices must grow from call to call."""
        error_ns = time_ns - self.time_of(index)
        if abs(error_ns) <= self.EXACT_NS:
            self._jump = None
        elif abs(error_ns) <= self.JUMP_NS:
            self._follow(index, error_ns)
            self._jump = None
        else:
            self._weigh_jump(index, time_ns, error_ns)
        # A block that was not followed counts too: the first one after a burst must not weigh as much as all of it.
        self._last_index = index

    def _anchor(self, index: int, time_ns: int, period_ns: float) -> None:
        self._index = self._first_index = self._last_index = index
        self._time_ns = time_ns
        self._period_ns = period_ns
        self._jump = None

    def _follow(self, index: int, error_ns: int) -> None:
        block = max(1, index - self._last_index)
        heard_s = (index - self._first_index) / self.rate_hz
        bandwidth_hz = max(self.BANDWIDTH_HZ, 0.5 / max(heard_s, 1.0))
        omega = min(2.0 * math.pi * bandwidth_hz * block / self.rate_hz, 0.7)
        self._time_ns = self.time_of(index) + round(math.sqrt(2.0) * omega * error_ns)
        self._index = index
        period_ns = self._period_ns + omega * omega * error_ns / block
        self._period_ns = min(
            max(period_ns, self._nominal_ns * (1 - self.MOST_DRIFT)), self._nominal_ns * (1 + self.MOST_DRIFT)
        )

    def _weigh_jump(self, index: int, time_ns: int, error_ns: int) -> None:
        if self._jump is None or abs(error_ns - self._jump.mean_ns) > self.JUMP_NS:
            self._jump = _Jump()
        self._jump.add(time_ns, error_ns)
        if self._jump.lasted_ns < self.SETTLED_NS:
            return
        level_ns = self._jump.level_ns()
        self._jump = None
        if level_ns is not None:
            self.jumps += 1
            self._anchor(index, self.time_of(index) + round(level_ns), self._period_ns)


class _Jump:
    """Observations in a row that agree on how far off the map is."""

    STEADY = 0.02

    def __init__(self) -> None:
        self._seen: list[tuple[int, int]] = []

    def add(self, time_ns: int, error_ns: int) -> None:
        """Take in one more."""
        self._seen.append((time_ns, error_ns))

    @property
    def lasted_ns(self) -> int:
        """From the first to the last of them."""
        return self._seen[-1][0] - self._seen[0][0]

    @property
    def mean_ns(self) -> float:
        """Their mean error."""
        return sum(error for _, error in self._seen) / len(self._seen)

    def level_ns(self) -> float | None:
        """Return the mean error of the last two thirds of their time, or None where the error does not stay there.

        That of a backlog shrinks, since it is delivered faster than it arose. The slope of a least-squares line, less
        twice its standard error, must be under 2 %. The first third may still be of the jump itself.
        """
        settled = [one for one in self._seen if 3 * (one[0] - self._seen[0][0]) >= self.lasted_ns]
        began_ns, before_ns = settled[0]
        times, errors = [time - began_ns for time, _ in settled], [error - before_ns for _, error in settled]
        middle, mean = sum(times) / len(times), sum(errors) / len(errors)
        spread = sum((time - middle) ** 2 for time in times)
        if spread == 0.0:
            return None
        slope = sum((t - middle) * (e - mean) for t, e in zip(times, errors, strict=True)) / spread
        rest = sum((e - mean - slope * (t - middle)) ** 2 for t, e in zip(times, errors, strict=True))
        doubt = math.sqrt(rest / max(1, len(times) - 2) / spread)
        return before_ns + mean if abs(slope) - 2.0 * doubt < self.STEADY else None
