"""Sound for training: recordings at 32 kHz mono, and random views of them as other microphones might hear them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import float32, float64, int16, int64
from numpy.typing import NDArray
from tqdm import tqdm

from edge_avsc.features import mono
from edge_avsc.training.spec import AUDIO

RATE_HZ = AUDIO.sample_rate_hz
MEDIA = {".flac", ".mp3", ".mp4", ".ogg", ".opus", ".wav"}


@dataclass(frozen=True)
class Recordings:
    """Recordings one after the other: int16 ``[t]`` at 32 kHz; recording i is ``[starts[i], starts[i + 1])``."""

    samples: NDArray[int16]
    starts: NDArray[int64]
    names: list[str]

    def recording(self, i: int) -> NDArray[int16]:
        """Return the samples of recording *i*."""
        return self.samples[self.starts[i] : self.starts[i + 1]]

    def only(self, wanted: NDArray[int64]) -> Recordings:
        """Return a set of some of the recordings."""
        parts = [self.recording(int(i)) for i in wanted]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(int64)
        return Recordings(np.concatenate(parts), starts, [self.names[int(i)] for i in wanted])


def read_sound(path: Path) -> NDArray[float32]:
    """Return the whole sound of a media file, mono at 32 kHz, full scale 1.0."""
    import av
    import soxr

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp")
        parts = [out.to_ndarray().T for frame in container.decode(stream) for out in resampler.resample(frame)]
        rate = stream.rate
    samples = mono(np.concatenate(parts).astype(float32, copy=False))
    return np.asarray(soxr.resample(samples, rate, RATE_HZ, "HQ"), float32)


def read_recordings(paths: list[Path], cache: Path) -> Recordings:
    """Decode *paths*, once; *cache* (.npz) keeps them."""
    if not cache.is_file():
        parts = [_as_int16(read_sound(path)) for path in tqdm(paths, desc=cache.stem, mininterval=5.0)]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(int64)
        np.savez(cache, samples=np.concatenate(parts), starts=starts, names=np.array([path.stem for path in paths]))
    stored = np.load(cache)
    return Recordings(stored["samples"], stored["starts"], [str(name) for name in stored["names"]])


def _as_int16(samples: NDArray[float32]) -> NDArray[int16]:
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(int16)


def media_below(folder: Path) -> list[Path]:
    """Return all sound files below *folder*, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MEDIA)


@dataclass(frozen=True)
class Place:
    """How views differ from their recordings: mean and deviation of the level in dB, mean tilt in dB per octave."""

    level_db: float
    spread_db: float
    tilt_db: float


# Ambience is published louder and brighter than a microphone in the field hears it.
PUBLISHED = Place(level_db=-6.0, spread_db=9.0, tilt_db=-0.8)
FIELD = Place(level_db=0.0, spread_db=5.0, tilt_db=0.0)


class Views:
    """Draws random seconds of recordings: mixed, filtered, louder or softer, faster or slower."""

    def __init__(
        self,
        recordings: Recordings,
        responses: Recordings,
        weights: NDArray[float64] | None = None,
        *,
        place: Place = PUBLISHED,
        others: Views | None = None,
    ) -> None:
        """*weights* ``[n]``: how likely a draw starts in each second of *recordings*; all alike where None.

        others: what is mixed in at times, at most as loud; the same recordings where None.
        """
        self._recordings, self._responses, self._place, self._others = recordings, responses, place, others
        self._seconds = seconds_of(recordings)
        chances = np.ones(len(self._seconds)) if weights is None else weights
        self._summed = np.cumsum(chances / chances.sum())

    def draw(self, random: np.random.Generator) -> tuple[int, NDArray[float32]]:
        """Return which second was drawn, its row in ``seconds_of``, and a view of it ``[32000]``."""
        row, sound = self._piece(random)
        if random.random() < 0.4:
            loudest_db = 6.0 if self._others is None else -3.0
            ratio = 10 ** (random.uniform(loudest_db - 26, loudest_db) / 20) * _rms(sound)
            other = (self._others or self)._piece(random)[1]
            sound = sound + other * float32(ratio / (_rms(other) + 1e-6))
        sound = self._filtered(sound, random)
        level_db = 20 * np.log10(_rms(sound) + 1e-6) + random.normal(self._place.level_db, self._place.spread_db)
        sound = sound * float32(10 ** (float(np.clip(level_db, -70, -8)) / 20) / (_rms(sound) + 1e-6))
        return row, np.asarray(np.clip(sound, -1, 1), float32)

    def _piece(self, random: np.random.Generator) -> tuple[int, NDArray[float32]]:
        row = int(np.searchsorted(self._summed, random.random() * self._summed[-1]))
        recording, start = self._seconds[row]
        samples = self._recordings.recording(recording)
        speed = np.exp(random.uniform(-0.15, 0.15)) if random.random() < 0.4 else 1.0
        span = int(RATE_HZ * speed) + 2
        start = int(np.clip(start + random.integers(-RATE_HZ // 2, RATE_HZ // 2), 0, max(0, len(samples) - span)))
        piece = samples[start : start + span].astype(float32) / 32768
        if len(piece) < span:
            piece = np.resize(piece, span)
        if speed == 1.0:
            return row, np.asarray(piece[:RATE_HZ], float32)
        return row, np.asarray(np.interp(np.arange(RATE_HZ) * speed, np.arange(span), piece), float32)

    def _filtered(self, sound: NDArray[float32], random: np.random.Generator) -> NDArray[float32]:
        """Apply a random smooth equalisation, and at times a microphone's impulse response."""
        padded = RATE_HZ + 8000
        spectrum = np.fft.rfft(sound, padded)
        octaves = np.log2(np.linspace(20, RATE_HZ / 2, len(spectrum)) / 20)
        knots = np.linspace(0, octaves[-1], 6)
        tilt_db = random.normal(self._place.tilt_db, 1.0) * knots
        spectrum *= 10 ** (np.interp(octaves, knots, tilt_db + random.normal(0, 3.0, 6)) / 20)
        if random.random() < 0.35:
            response = self._responses.recording(int(random.integers(len(self._responses.names))))[:8000] / 32768
            transfer = np.fft.rfft(response, padded)
            spectrum *= transfer / (np.sqrt(np.mean(np.abs(transfer) ** 2)) + 1e-9)
        return np.asarray(np.fft.irfft(spectrum, padded)[:RATE_HZ], float32)


def seconds_of(recordings: Recordings) -> list[tuple[int, int]]:
    """Return (recording, first sample) of each whole second; a shorter recording counts as one."""
    result = []
    for i in range(len(recordings.names)):
        length = int(recordings.starts[i + 1] - recordings.starts[i])
        result += [(i, start) for start in range(0, max(1, length - RATE_HZ + 1), RATE_HZ)]
    return result


def second(recordings: Recordings, recording: int, start: int) -> NDArray[float32]:
    """Return one second ``[32000]`` from *start* on, repeated where the recording is shorter."""
    piece = recordings.recording(recording)[start : start + RATE_HZ].astype(float32) / 32768
    return np.asarray(np.resize(piece, RATE_HZ), float32)


def _rms(sound: NDArray[float32]) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))
