"""From a container's timestamps to times that never go back: integers only, no library.

Timestamps decide where sound and pictures begin and where something is missing; between that, sound counts samples.
"""

from __future__ import annotations

from edge_avsc.types import NS_PER_MS, NS_PER_S, Role, SourceEvent

# Matroska rounds to 1 ms, and live muxers jitter by some ms more: a deviation within this is no news.
TOLERANCE_NS = 20 * NS_PER_MS
# After a packet that could not be decoded, a hole is expected, and even 2.5 ms of Opus are one.
TOLERANCE_AFTER_LOSS_NS = 2 * NS_PER_MS
# Timestamps that go back by at most this come from clocks that drift apart or from jitter; more is a break.
OVERLAP_NS = 100 * NS_PER_MS
# Nobody records a pause this long as a gap: the timestamps are broken.
FAR_NS = 600 * NS_PER_S
# Still pictures may stand this long without anything being missing.
STILL_NS = 500 * NS_PER_MS

# A header may round, and a last picture may be short; what ends earlier than this was cut short.
SHORT_BY_NS = 500 * NS_PER_MS


class Notes:
    """What a person should know about one role of a source: each kind is told once, and counted."""

    def __init__(self, name: str, role: Role) -> None:
        self.subject = f"the {'sound' if role == 'audio' else 'pictures'} of {name}"
        self._role: Role = role
        self._counts: dict[str, int] = {}
        self._pending: list[SourceEvent] = []

    def add(self, event: str, what: str, time_ns: int) -> None:
        """Count *event*; its first occurrence is told as ``In the sound of a.mp4 <what>.``."""
        self._counts[event] = self._counts.get(event, 0) + 1
        if self._counts[event] == 1:
            self._pending.append(SourceEvent(self._role, event, f"In {self.subject} {what}.", time_ns))

    def take(self) -> list[SourceEvent]:
        """Return the events not yet taken."""
        pending, self._pending = self._pending, []
        return pending

    def ending(self, end_ns: int, stated_ns: int | None, breaks_off: bool, lost: int, damaged: int) -> None:
        """Tell what the end shows: *lost* packets, *damaged* frames, and material that ends before the *stated* end."""
        losses = [f"packets that could not be decoded: {lost}"] if lost else []
        losses += [f"frames that are damaged: {damaged}"] if damaged else []
        if losses:
            self.add("damaged", f"there are {', '.join(losses)}", end_ns)
        ends = f"the material ends at {end_ns / NS_PER_S:.3f} s"
        # Where timestamps broke, the header speaks of another time.
        if stated_ns is not None and end_ns + SHORT_BY_NS < stated_ns and "timestamps" not in self._counts:
            self.add("truncated", f"{ends}, but its header promises {stated_ns / NS_PER_S:.3f} s", end_ns)
        elif breaks_off:
            self.add("truncated", f"{ends}, because the file was cut short", end_ns)

    def summary(self, time_ns: int) -> list[SourceEvent]:
        """Return one event for each kind that occurred more than once."""
        return [
            SourceEvent(self._role, event, f"In {self.subject} this happened {count} times in all: {event}.", time_ns)
            for event, count in self._counts.items()
            if count > 1
        ]


class SampleTimeline:
    """Gives blocks of decoded samples their absolute index; the time follows from index and rate alone."""

    def __init__(self, rate_hz: int, notes: Notes) -> None:
        self.rate_hz = rate_hz
        self.index = 0
        self._anchor_ns: int | None = None
        self._offset_ns = 0
        self._overlapped = 0
        self._cuts = True
        self._notes = notes

    def time_ns(self, index: int) -> int:
        """Return when the sample at *index* was captured."""
        return (self._anchor_ns or 0) + index * NS_PER_S // self.rate_hz

    def count_until(self, end_ns: int | None, index: int) -> int:
        """Return how many samples from *index* on lie before *end_ns*; all that are placed, where it is no limit."""
        placed = self.index - index
        if end_ns is None or self._anchor_ns is None:
            return placed
        until = round((end_ns - self._anchor_ns) * self.rate_hz / NS_PER_S) - index
        return until if 0 < until < placed else placed

    def place(self, pts_ns: int | None, count: int, after_loss: bool = False) -> tuple[int, int]:
        """Place *count* samples stamped *pts_ns*; return how many to drop in front, and the index of the rest."""
        if self._anchor_ns is None:
            dropped = self._begin(pts_ns, count)
        elif pts_ns is None:
            dropped = 0
        else:
            tolerance = TOLERANCE_AFTER_LOSS_NS if after_loss else TOLERANCE_NS
            dropped = self._follow(pts_ns + self._offset_ns - self.time_ns(self.index), count, tolerance)
        index = self.index
        self.index += count - dropped
        return dropped, index

    def _begin(self, pts_ns: int | None, count: int) -> int:
        start_ns = pts_ns or 0
        if start_ns >= -TOLERANCE_AFTER_LOSS_NS:
            self._anchor_ns = max(0, start_ns)
            return 0
        # What comes before zero is the decoder's priming.
        dropped = min(count, -(start_ns * self.rate_hz // NS_PER_S))
        if dropped < count:
            self._anchor_ns = max(0, start_ns + dropped * NS_PER_S // self.rate_hz)
        return dropped

    def _follow(self, deviation_ns: int, count: int, tolerance_ns: int) -> int:
        if -tolerance_ns <= deviation_ns <= tolerance_ns:
            self._overlapped = 0
            return 0
        now_ns = self.time_ns(self.index)
        samples = round(deviation_ns * self.rate_hz / NS_PER_S)
        if tolerance_ns < deviation_ns <= FAR_NS:
            self._notes.add("gap", _gap(deviation_ns, now_ns), now_ns)
            self.index += samples
            return 0
        if -OVERLAP_NS <= deviation_ns < 0 and self._cuts:
            dropped = min(count, -samples)
            self._overlapped += dropped
            # Stamps that stand still are broken, and would have everything cut.
            self._cuts = self._overlapped * NS_PER_S < OVERLAP_NS * self.rate_hz
            self._notes.add("timestamps", _overlap(deviation_ns, now_ns, "the overlap is left out"), now_ns)
            return dropped
        self._offset_ns -= deviation_ns
        self._notes.add("timestamps", _jump(deviation_ns, now_ns), now_ns)
        return 0


class FrameTimeline:
    """Gives frames times that only go forward."""

    def __init__(self, step_ns: int, notes: Notes) -> None:
        self.step_ns = step_ns
        self._last_ns: int | None = None
        self._offset_ns = 0
        self._notes = notes

    def place(self, pts_ns: int | None) -> int | None:
        """Return the time of a frame stamped *pts_ns*, or None when it lies before zero."""
        last_ns = self._last_ns
        if last_ns is None:
            start_ns = pts_ns or 0
            if start_ns < -TOLERANCE_AFTER_LOSS_NS:
                return None
            time_ns = max(0, start_ns)
        elif pts_ns is None:
            time_ns = last_ns + self.step_ns
        else:
            time_ns = self._follow(pts_ns + self._offset_ns, last_ns)
        self._last_ns = time_ns
        return time_ns

    def _follow(self, time_ns: int, last_ns: int) -> int:
        ahead_ns = time_ns - last_ns
        if 0 < ahead_ns <= FAR_NS:
            if ahead_ns > max(STILL_NS, 3 * self.step_ns):
                self._notes.add("gap", _gap(ahead_ns, last_ns), last_ns)
            return time_ns
        if -OVERLAP_NS <= ahead_ns <= 0:
            self._notes.add("timestamps", _overlap(ahead_ns, last_ns, "the picture is kept"), last_ns)
            return last_ns + 1000  # as near to its own stamp as order allows; the next stamps hold again
        self._offset_ns += self.step_ns - ahead_ns
        self._notes.add("timestamps", _jump(ahead_ns, last_ns), last_ns)
        return last_ns + self.step_ns


def _gap(by_ns: int, at_ns: int) -> str:
    return f"nothing was recorded for {by_ns / NS_PER_S:.3f} s after {at_ns / NS_PER_S:.3f} s"


def _jump(by_ns: int, at_ns: int) -> str:
    direction = "ahead" if by_ns > 0 else "back"
    return (
        f"the timestamps jump {direction} by {abs(by_ns) / NS_PER_S:.3f} s at {at_ns / NS_PER_S:.3f} s; "
        "it is replayed as if there were no break"
    )


def _overlap(by_ns: int, at_ns: int, mend: str) -> str:
    return f"the timestamps go back by {-by_ns / NS_PER_MS:.1f} ms at {at_ns / NS_PER_S:.3f} s; {mend}"
