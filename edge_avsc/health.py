"""Counters and latency histograms: nothing is lost without a number here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edge_avsc.machine import Machine

BUCKETS_MS = tuple(2.0**n for n in range(14))


class Histogram:
    """Durations in buckets of 1, 2, 4 … 8192 ms, with their count and sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.sum_ms = 0.0

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return sum(self.counts)

    def observe(self, duration_ms: float) -> None:
        """Count one duration."""
        bucket = next((n for n, limit in enumerate(BUCKETS_MS) if duration_ms <= limit), len(BUCKETS_MS))
        self.counts[bucket] += 1
        self.sum_ms += duration_ms

    def quantile(self, q: float) -> float | None:
        """Return the upper limit, in ms, of the bucket that holds quantile *q*; None before the first observation."""
        rank = q * self.count
        seen = 0
        for limit, count in zip((*BUCKETS_MS, float("inf")), self.counts, strict=True):
            seen += count
            if count and seen >= rank:
                return limit
        return None


class Health:
    """What was counted and timed, for each stream; *machine*, in a live run, is how the machine itself was last."""

    def __init__(self) -> None:
        self.machine: Machine | None = None
        self._counters: dict[str, Counter[str]] = {}
        self._stages: dict[tuple[str, str], Histogram] = {}

    def count(self, stream: str, counter: str, n: int = 1) -> None:
        """Add *n* to a stream's counter, e.g. ``audio_gap_samples``."""
        if n:
            self._counters.setdefault(stream, Counter())[counter] += n

    def observe(self, stream: str, stage: str, duration_ms: float) -> None:
        """Add one duration to a stream's stage, e.g. ``audio``."""
        self._stages.setdefault((stream, stage), Histogram()).observe(duration_ms)

    def counters(self, stream: str) -> Mapping[str, int]:
        """Return the stream's counters that are not zero."""
        return dict(self._counters.get(stream, {}))

    def histogram(self, stream: str, stage: str) -> Histogram:
        """Return the histogram of a stream's stage (empty where nothing was timed)."""
        return self._stages.get((stream, stage), Histogram())
