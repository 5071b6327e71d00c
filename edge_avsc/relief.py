"""What is left out, and in which order, when the machine cannot keep up."""

from __future__ import annotations

from edge_avsc.types import NS_PER_MS, NS_PER_S

TOO_LATE_NS = 400 * NS_PER_MS
IN_TIME_NS = 250 * NS_PER_MS
UP_NS = NS_PER_S
DOWN_NS = 10 * NS_PER_S

STEPS = (
    "Nothing is left out any more.",
    "The machine cannot keep up: only every second wanted frame is looked at.",
    "The machine cannot keep up: the hop is doubled, too.",
    "The machine cannot keep up: windows are skipped, too; the newest are kept.",
)


class Relief:
    """Climbs a step when labels come 0.4 s too late, and goes down after 10 s of labels in time.

    Steps: 1 half of the wanted frames, 2 twice the hop as well, 3 only the newest due window as well. A step down that
    had to be taken back makes the next one wait twice as long, up to five minutes.
    """

    def __init__(self) -> None:
        self.level = 0
        self._since_ns: int | None = None
        self._in_time_since_ns: int | None = None
        self._patience_ns = DOWN_NS
        self._went_down_ns: int | None = None

    def observe(self, late_ns: int, now_ns: int) -> bool:
        """Take in that a label came *late_ns* after it could have come; return whether the step changed."""
        if late_ns > TOO_LATE_NS:
            self._in_time_since_ns = None
            return self._climb(now_ns)
        if late_ns > IN_TIME_NS or self.level == 0:
            self._in_time_since_ns = None
            return False
        if self._in_time_since_ns is None:
            self._in_time_since_ns = now_ns
        if now_ns - self._in_time_since_ns < self._patience_ns:
            return False
        self.level -= 1
        self._in_time_since_ns, self._went_down_ns, self._since_ns = None, now_ns, now_ns
        return True

    def _climb(self, now_ns: int) -> bool:
        if self.level == len(STEPS) - 1 or (self._since_ns is not None and now_ns - self._since_ns < UP_NS):
            return False
        if self._went_down_ns is not None and now_ns - self._went_down_ns < 2 * DOWN_NS:
            self._patience_ns = min(2 * self._patience_ns, 300 * NS_PER_S)
        self.level += 1
        self._since_ns = now_ns
        return True
