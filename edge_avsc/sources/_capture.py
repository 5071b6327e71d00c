"""Blocks that a device delivers, made into chunks: when each was captured, and what was lost before it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy import float32

from edge_avsc.clock import SampleClock
from edge_avsc.sources._ear_messages import Block
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, SourceEvent

# A block cannot be older: the stall would have ended its stream.
OLDEST_NS = 2 * NS_PER_S
# So many blocks in a row without a usable time say that the device knows none.
HOPELESS = 10
# How much faster than ours the stream's clock may run (it can be the wall clock, which is slewed by up to 500 ppm).
SLEW = 1e-3

NO_TIMES = "The device does not say when it captured its sound; arrival less a block's length is taken instead."


class Stamper:
    """Turns the times that PortAudio gives with a block into the capture time of its first sample.

    They are in a time base of the stream's own. How far that lies from ours is the least that our clock was ever ahead
    of ``currentTime``: what is more is the wait for the interpreter, often longer than a block. Times that stick, are
    0, lie in the future or too far in the past are not used.
    """

    def __init__(self, rate_hz: int) -> None:
        self.hopeless = False
        self._rate_hz = rate_hz
        self._ahead_ns: float = math.inf
        self._now_ns = 0
        self._adc_s = self._current_s = 0.0
        self._unusable = 0

    def stamp(self, now_ns: int, adc_s: float, current_s: float, samples: int) -> int:
        """Return when the first of *samples* was captured, given the clock's time and the callback's own times."""
        arrived_ns = now_ns
        if not (math.isfinite(adc_s) and math.isfinite(current_s)):
            adc_s = current_s = 0.0
        # Several callbacks can share one currentTime; one that goes back is nonsense or a step of the wall clock.
        if current_s > 0.0 and current_s >= self._current_s:
            current_ns = round(current_s * NS_PER_S)
            slewed_ns = self._ahead_ns + SLEW * (now_ns - self._now_ns)
            self._ahead_ns = min(now_ns - current_ns, slewed_ns)
            arrived_ns = current_ns + round(self._ahead_ns)
        else:
            self._ahead_ns = math.inf
        age_ns = round((current_s - adc_s) * NS_PER_S)
        usable = adc_s > self._adc_s and current_s > 0.0 and 0 <= age_ns <= OLDEST_NS
        self._now_ns, self._adc_s, self._current_s = now_ns, adc_s, current_s
        self._unusable = 0 if usable else self._unusable + 1
        self.hopeless = self.hopeless or self._unusable >= HOPELESS
        if usable and not self.hopeless:
            return arrived_ns - age_ns
        return arrived_ns - samples * NS_PER_S // self._rate_hz


class Capture:
    """Makes AudioChunks of a stream's blocks; their index begins at 0 and jumps by what an overflow lost.

    Whoever watches the stream looks at *blocks*; *overflows* says how often the device lost samples.
    """

    def __init__(self, put: Callable[[Item], None]) -> None:
        self.blocks = 0
        self.overflows = 0
        self._put = put
        self._stamper: Stamper | None = None
        self._samples: SampleClock | None = None
        self._index = 0
        self._flagged = False

    def take(self, block: Block) -> None:
        """Take the next block; raise what *put* does."""
        samples = np.frombuffer(block.samples, float32).reshape(-1, block.channels)
        stamper = self._stamper = self._stamper or Stamper(block.rate_hz)
        time_ns = stamper.stamp(block.now_ns, block.adc_s, block.current_s, len(samples))
        if block.overflow:
            self.overflows += 1
            self._index += self._lost(time_ns, len(samples))
        if self._samples is None:
            self._samples = SampleClock(block.rate_hz, self._index, time_ns)
        self._samples.observe(self._index, time_ns)
        self._put(AudioChunk(samples, block.rate_hz, self._index, time_ns))
        self._index += len(samples)
        self.blocks += 1
        if stamper.hopeless and not self._flagged:
            self._flagged = True
            self._put(SourceEvent("audio", "clock", NO_TIMES, block.now_ns))

    def _lost(self, time_ns: int, block: int) -> int:
        """Return how many samples an overflow lost: what the time says, or a block where it says nothing."""
        if self._samples is None:
            return 0
        lost = round(self._samples.index_at(time_ns)) - self._index
        return lost if lost > 0 else block


class Watchdog:
    """Says when no block has come for too long, by times handed in.

    A pause of the watching itself (a machine that slept, a process that was stopped) counts for no more than a moment.
    """

    FIRST_NS = 4 * NS_PER_S  # an idle sound server wakes in blocks of 2 s
    LIMIT_NS = 1 * NS_PER_S
    MOMENT_NS = 250 * NS_PER_MS

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._blocks = 0
        self._silent_ns = 0

    def stalled(self, now_ns: int, blocks: int) -> bool:
        """Take in that *blocks* have come by now; tell whether the source hangs."""
        self._silent_ns += min(now_ns - self._now_ns, self.MOMENT_NS)
        self._now_ns = now_ns
        if blocks != self._blocks:
            self._blocks, self._silent_ns = blocks, 0
        return self._silent_ns >= (self.LIMIT_NS if blocks else self.FIRST_NS)
