"""``test://demo``: a drawn and synthesised recording with a flash and a beep each second, so that skew can be measured.

It stands in for a recording where none may be shipped. It only resembles real places: what a model says of it means
nothing, but it says it at the right time.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from urllib.parse import parse_qsl

import numpy as np
from numpy import float32, uint8
from numpy.typing import NDArray

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.sources._scenes import HEIGHT_PX, SCENE_S, SCENES, WIDTH_PX, Scene
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, Role, SourceEnded, VideoFrame

RATE_HZ = 48_000
BLOCK_SAMPLES = 960
BEEP_HZ = 1000.0
BEEP_S = 0.06
BEEP_RAMP_S = 0.001
BEEP_PEAK = 0.5
# The beats alternate, so that a beep fits no other flash than its own within 0.9 s.
BEAT_MS = (320, 520)
FLASH_MS = 80

_LIMITS: dict[str, tuple[float, float]] = {"duration": (0.04, 86_400), "skew_ms": (-900, 900), "seed": (0, 2**31)}


@dataclass(frozen=True)
class Demo:
    """The demonstration as a function of time; equal settings give equal bytes.

    duration_s: length of pictures and sound. skew_ms: sound time minus picture time, so that with a positive one the
    beep comes after the flash. seed: of all that is random in it. frames_per_s: of the pictures.
    """

    duration_s: float = 24.0
    skew_ms: float = 0.0
    seed: int = 1
    frames_per_s: int = 25

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds, in whole frames."""
        return self.frame_count * NS_PER_S // self.frames_per_s

    @cached_property
    def frame_count(self) -> int:
        """How many frames there are."""
        return max(1, round(self.duration_s * self.frames_per_s))

    @cached_property
    def sample_count(self) -> int:
        """How many samples there are."""
        return self.frame_count * RATE_HZ // self.frames_per_s

    def frame_time_ns(self, frame: int) -> int:
        """Return when a frame is captured."""
        return frame * NS_PER_S // self.frames_per_s

    def flash_frame(self, second: int) -> int:
        """Return the frame at which the flash of that second begins."""
        return -(-(second * 1000 + BEAT_MS[second % 2]) * self.frames_per_s // 1000)

    def beep_sample(self, second: int) -> int:
        """Return the sample at which the beep of that second begins; it may lie before the first one."""
        beep_ns = self.frame_time_ns(self.flash_frame(second)) + round(self.skew_ms * NS_PER_MS)
        return round(beep_ns * RATE_HZ / NS_PER_S)

    def image(self, frame: int) -> NDArray[uint8]:
        """Return a frame as RGB ``[180, 320, 3]``."""
        second = frame // self.frames_per_s
        if 0 <= frame - self.flash_frame(second) < max(1, FLASH_MS * self.frames_per_s // 1000):
            return np.full((HEIGHT_PX, WIDTH_PX, 3), 255, uint8)
        time_s = frame / self.frames_per_s
        return self._scene(int(time_s // SCENE_S)).image(frame, time_s % SCENE_S)

    def samples(self, start: int, count: int) -> NDArray[float32]:
        """Return samples [start, start + count) as float32 ``[count, 2]``, full scale 1.0."""
        result = np.empty((count, 2), float32)
        length = int(SCENE_S * RATE_HZ)
        done = 0
        while done < count:
            number, offset = divmod(start + done, length)
            taken = min(count - done, length - offset)
            result[done : done + taken] = self._scene(number).sound[offset : offset + taken]
            done += taken
        self._add_beeps(result, start)
        return result

    def _add_beeps(self, samples: NDArray[float32], start: int) -> None:
        reach_s = 2 + abs(self.skew_ms) / 1000
        first = max(0, math.floor(start / RATE_HZ - reach_s))
        last = math.ceil((start + len(samples)) / RATE_HZ + reach_s)
        beep = self._beep
        for second in range(first, last + 1):
            at = self.beep_sample(second) - start
            begin, end = max(0, at), min(len(samples), at + len(beep))
            if begin < end and self.flash_frame(second) < self.frame_count:
                samples[begin:end] += beep[begin - at : end - at, None]

    @cached_property
    def _beep(self) -> NDArray[float32]:
        time_s = np.arange(int(BEEP_S * RATE_HZ)) / RATE_HZ
        ramp = np.minimum(1.0, np.minimum(time_s, BEEP_S - time_s) / BEEP_RAMP_S)
        return (BEEP_PEAK * ramp * np.sin(2 * np.pi * BEEP_HZ * time_s)).astype(float32)

    @cached_property
    def _scenes(self) -> dict[int, Scene]:
        return {}

    def _scene(self, number: int) -> Scene:
        kind = number % len(SCENES)
        if kind not in self._scenes:
            self._scenes[kind] = SCENES[kind](np.random.default_rng((self.seed, kind)), RATE_HZ)
        return self._scenes[kind]


class SyntheticSource:
    """Plays ``test://demo``, with the interface of a recording.

    uri: ``test://demo``, optionally with ``?duration=12&skew_ms=40&seed=1``. The rest is as for a MediaSource; the
    pictures are 320 x 180 and are never scaled. Raises ConfigError for an unknown name or parameter.
    """

    def __init__(
        self,
        uri: str,
        *,
        roles: frozenset[Role] = frozenset({"audio", "video"}),
        wants: Callable[[int], bool],
        picture_px: int,
        block_samples: int | None = None,
    ) -> None:
        self.name = uri
        self.roles = roles
        self.demo = parse_demo(uri)
        self._wants = wants
        self._block_samples = block_samples or BLOCK_SAMPLES

    def __enter__(self) -> SyntheticSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def items(self) -> Iterator[Item]:
        """Yield chunks (in order of their end), frames (in order of their time) and each role's end."""
        ways = []
        if "audio" in self.roles:
            ways.append(self._sound_items())
        if "video" in self.roles:
            ways.append(self._picture_items())
        for _, item in heapq.merge(*ways, key=itemgetter(0)):
            yield item

    def _sound_items(self) -> Iterator[tuple[int, Item]]:
        demo = self.demo
        end_ns = 0
        for start in range(0, demo.sample_count, self._block_samples):
            count = min(self._block_samples, demo.sample_count - start)
            end_ns = (start + count) * NS_PER_S // RATE_HZ
            yield end_ns, AudioChunk(demo.samples(start, count), RATE_HZ, start, start * NS_PER_S // RATE_HZ)
        yield end_ns, SourceEnded("audio", end_ns)

    def _picture_items(self) -> Iterator[tuple[int, Item]]:
        demo = self.demo
        for frame in range(demo.frame_count):
            time_ns = demo.frame_time_ns(frame)
            image = demo.image(frame)
            luma = float(image[2::8, 2::8].mean())
            yield time_ns, VideoFrame(time_ns, luma, image if self._wants(time_ns) else None)
        yield demo.duration_ns, SourceEnded("video", demo.duration_ns)


def parse_demo(uri: str) -> Demo:
    """Return the demonstration that *uri* describes; ConfigError for an unknown name or parameter."""
    address, _, query = uri.partition("?")
    name = address.removeprefix("test://").rstrip("/")
    if not address.startswith("test://") or name != "demo":
        raise ConfigError(f"'{uri}' is no built-in recording; use test://demo.{nearest(name, ['demo'])}")
    settings: dict[str, float] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in _LIMITS:
            known = ", ".join(_LIMITS)
            raise ConfigError(f"'{key}' is no parameter of test://demo; it has {known}.{nearest(key, _LIMITS)}")
        settings[key] = _number(key, text)
    demo = Demo(seed=int(settings.get("seed", 1)))
    return dataclasses.replace(
        demo,
        duration_s=settings.get("duration", demo.duration_s),
        skew_ms=settings.get("skew_ms", demo.skew_ms),
    )


def _number(key: str, text: str) -> float:
    low, high = _LIMITS[key]
    try:
        value = int(text) if key == "seed" else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = "a whole number" if key == "seed" else "a number"
        raise ConfigError(f"test://demo: {key} is '{text}'; it must be {kind} from {low:g} to {high:g}.")
    return value
