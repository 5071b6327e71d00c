"""What is left out, and in which order, when the machine cannot keep up."""

from __future__ import annotations

from edge_avsc.types import NS_PER_MS, NS_PER_S

TOO_LATE_NS = 250 * NS_PER_MS
FAR_TOO_LATE_NS = 500 * NS_PER_MS
IN_TIME_NS = 100 * NS_PER_MS
UP_NS = 300 * NS_PER_MS
DOWN_NS = 5 * NS_PER_S
LONGEST_NS = 300 * NS_PER_S

STEPS = (
    "Nothing is left out.",
    "The machine cannot keep up: only every second wanted frame is looked at.",
    "The machine cannot keep up: the hop is doubled, too.",
    "The machine cannot keep up: windows are skipped, too; the newest are kept.",
)
EASED = (
    "The machine keeps up again: nothing is left out any more.",
    "The machine keeps up: the hop is as configured again.",
    "The machine keeps up: windows are no longer skipped.",
)


class Relief:
    """Climbs a step while labels keep coming 0.25 s too late, and goes down after 5 s of labels in time.

    Steps: 1 half of the wanted frames, 2 twice the hop as well, 3 only the newest due window as well. Labels that are
    half a second too late take all steps at once; one late moment, after which the backlog is gone, takes none. Where
    the window's own inference took longer than a hop, no lull will mend that: the first such label counts. A step down
    that had to be taken back makes the next one wait twice as long, up to five minutes; one that held for five minutes
    makes the wait short again.
    """

    def __init__(self) -> None:
        self.level = 0
        self._late_since_ns: int | None = None
        self._in_time_since_ns: int | None = None
        self._patience_ns = DOWN_NS
        self._went_down_ns: int | None = None

    def observe(self, late_ns: int, now_ns: int, *, outpaced: bool = False) -> list[str]:
        """Take in that a label came *late_ns* after the latest moment for it; return a sentence for each step taken.

        outpaced: the inference for its window took longer than a hop.
        """
        if late_ns > TOO_LATE_NS:
            self._in_time_since_ns = None
            return self._climb(late_ns, now_ns, 0 if outpaced else UP_NS)
        self._late_since_ns = None
        if late_ns > IN_TIME_NS or self.level == 0:
            self._in_time_since_ns = None
            return []
        if self._in_time_since_ns is None:
            self._in_time_since_ns = now_ns
        if now_ns - self._in_time_since_ns < self._patience_ns:
            return []
        self.level -= 1
        self._in_time_since_ns, self._went_down_ns = None, now_ns
        return [EASED[self.level]]

    def _climb(self, late_ns: int, now_ns: int, wait_ns: int) -> list[str]:
        if self._late_since_ns is None:
            self._late_since_ns = now_ns
        top = len(STEPS) - 1
        if self.level == top or now_ns - self._late_since_ns < wait_ns:
            return []
        if self._went_down_ns is not None:
            held_ns = now_ns - self._went_down_ns
            if held_ns < 2 * DOWN_NS:
                self._patience_ns = min(2 * self._patience_ns, LONGEST_NS)
            elif held_ns >= LONGEST_NS:
                self._patience_ns = DOWN_NS
        was, self.level = self.level, top if late_ns > FAR_TOO_LATE_NS else self.level + 1
        self._late_since_ns = now_ns
        return list(STEPS[was + 1 : self.level + 1])
