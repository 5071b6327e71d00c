"""From a sender's timestamps to the machine's clock, and from times to the index of samples: no clock, no library."""

from __future__ import annotations

from collections import deque

from edge_avsc.types import NS_PER_MS, NS_PER_S


class EnvelopeClock:
    """Maps timestamps to the clock that arrivals are measured by: the lower envelope of (arrival - timestamp).

    What is on the way can only be late, so the earliest arrivals are the true ones. The envelope falls at once. It
    rises by 500 ppm, which follows any drift of two quartz clocks and next to nothing of a burst. Only when nothing in
    20 s came within 10 ms of it, the way itself has become longer, and it rises by 1 %.
    """

    RISE_PPM = 500
    CATCH_UP_PPM = 10_000
    AWAY_NS = 10 * NS_PER_MS
    REACH_S = 20
    FALL_NS = 5 * NS_PER_MS
    STEADY_NS = 300 * NS_PER_MS

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._arrival_ns = 0
        self._fallen_to_ns = 0
        self._fell_ns = 0
        self._minima: deque[tuple[int, int]] = deque()  # (second, least offset in it)

    def observe(self, pts_ns: int, arrival_ns: int) -> None:
        """Take in that what is stamped *pts_ns* arrived at *arrival_ns*; arrivals must not go back."""
        offset_ns = arrival_ns - pts_ns
        if self._offset_ns is None:
            self._offset_ns, self._arrival_ns = offset_ns, arrival_ns
            self._fallen_to_ns, self._fell_ns = offset_ns, arrival_ns
        rate_ppm = self.CATCH_UP_PPM if self._is_away(offset_ns, arrival_ns) else self.RISE_PPM
        risen_ns = self._offset_ns + (arrival_ns - self._arrival_ns) * rate_ppm // 1_000_000
        self._offset_ns, self._arrival_ns = min(offset_ns, risen_ns), arrival_ns
        if self._offset_ns < self._fallen_to_ns - self.FALL_NS:
            self._fallen_to_ns, self._fell_ns = self._offset_ns, arrival_ns

    @property
    def steady(self) -> bool:
        """True once the envelope has not fallen for 0.3 s: what a server sends first may have waited there."""
        return self._offset_ns is not None and self._arrival_ns - self._fell_ns >= self.STEADY_NS

    def time_of(self, pts_ns: int) -> int:
        """Return when what is stamped *pts_ns* was sent, as nearly as the arrivals tell; observe something before."""
        if self._offset_ns is None:
            raise ValueError("nothing was observed yet")
        return pts_ns + self._offset_ns

    def _is_away(self, offset_ns: int, arrival_ns: int) -> bool:
        second = arrival_ns // NS_PER_S
        if self._minima and self._minima[-1][0] == second:
            offset_ns = min(offset_ns, self._minima.pop()[1])
        self._minima.append((second, offset_ns))
        while self._minima[0][0] < second - self.REACH_S:
            self._minima.popleft()
        # Only what reaches back far enough can say so.
        if self._offset_ns is None or self._minima[0][0] > second - self.REACH_S:
            return False
        return min(least_ns for _, least_ns in self._minima) - self._offset_ns > self.AWAY_NS


class LiveSamples:
    """Gives blocks of decoded samples their absolute index: they are counted, and times tell where some are missing.

    Times may jitter and drift against the count; only a block that comes later than its predecessor's end by more than
    three quarters of its own length (and 15 ms) shows a gap.
    """

    SMOOTHING = 16
    LEAST_GAP_NS = 15 * NS_PER_MS

    def __init__(self) -> None:
        self._index = 0
        self._expected_ns: int | None = None

    def place(self, time_ns: int, count: int, rate_hz: int) -> tuple[int, int]:
        """Return index and time of the first of *count* samples that were stamped *time_ns*."""
        expected_ns = self._expected_ns
        start_ns = time_ns if expected_ns is None else self._follow(time_ns, expected_ns, count, rate_hz)
        index = self._index
        self._index += count
        self._expected_ns = start_ns + count * NS_PER_S // rate_hz
        return index, start_ns

    def _follow(self, time_ns: int, expected_ns: int, count: int, rate_hz: int) -> int:
        ahead_ns = time_ns - expected_ns
        if abs(ahead_ns) <= max(self.LEAST_GAP_NS, 3 * count * NS_PER_S // (4 * rate_hz)):
            return expected_ns + ahead_ns // self.SMOOTHING
        if ahead_ns > 0:
            self._index += round(ahead_ns * rate_hz / NS_PER_S)
        return time_ns
