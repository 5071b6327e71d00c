from __future__ import annotations

import numpy as np
import pytest

from edge_avsc.errors import DeviceError
from edge_avsc.findings import Finding, stream_findings
from edge_avsc.types import NS_PER_S, AudioChunk, Item, VideoFrame
from played import RATE_HZ, event, noise, pictures, sound, surveyed

SOUND, PICTURES = sound(noise(2)), pictures(1)


def told(findings: list[Finding]) -> dict[str, str]:
    """What was found, by what was looked at."""
    return {finding.what: str(finding) for finding in findings}


def test_finding_is_one_line_and_its_mend() -> None:
    assert str(Finding("a", "well")) == "ok    a: well"
    assert str(Finding("a", "ill", "Rest.")) == "warn  a: ill\n      Rest."
    assert str(Finding("a", "dead", "Buy another.", 3)) == "FAIL  a: dead\n      Buy another."


def test_sentence_of_an_error_is_taken_apart() -> None:
    finding = Finding.failure("a", DeviceError("The microphone 'x' is busy; close it, or write 'default'. Hm?"))
    assert (finding.finding, finding.mend) == ("The microphone 'x' is busy.", "Close it, or write 'default'. Hm?")
    assert Finding.failure("a", DeviceError("Gone.")).mend


def of_sound(items: list[Item]) -> dict[str, str]:
    return told(list(stream_findings(surveyed(audio=items))))


def of_pictures(items: list[Item]) -> dict[str, str]:
    return told(list(stream_findings(surveyed(video=items))))


def test_good_sound_is_well() -> None:
    found = of_sound(SOUND)
    assert all(line.startswith("ok") for line in found.values())
    assert set(found) == {"s audio", "s audio clock"}


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((RATE_HZ, 1), np.float32), "digital silence"),
        (np.clip(noise(1, 0.8), -1, 1), "clipped"),
        (noise(1, 1e-4), "very quiet"),
    ],
)
def test_bad_level_is_a_warning(samples: np.ndarray[tuple[int, int], np.dtype[np.float32]], says: str) -> None:
    line = of_sound(sound(samples))["s audio"]
    assert line.startswith("warn")
    assert says in line


def test_wrong_rate_is_a_warning() -> None:
    chunks = [
        AudioChunk(noise(0.01), RATE_HZ, 160 * number, number * NS_PER_S // 100 * 9 // 10) for number in range(300)
    ]
    assert "another rate than it says" in of_sound(list(chunks))["s audio clock"]


def test_rough_times_are_a_warning() -> None:
    jitter = np.random.default_rng(3).normal(0, 0.012, 300)
    chunks = [
        AudioChunk(noise(0.01), RATE_HZ, 160 * number, round((1 + number / 100 + jitter[number]) * NS_PER_S))
        for number in range(300)
    ]
    assert of_sound(list(chunks))["s audio clock"].startswith("warn")


def test_gaps_are_a_warning() -> None:
    found = of_sound([item for number, item in enumerate(SOUND) if number % 10])
    assert "3040 samples lost in gaps" in found["s audio losses"]


def test_nothing_delivered_fails() -> None:
    assert of_sound([])["s audio"].startswith("FAIL  s audio: It delivers nothing.")
    assert of_pictures([])["s video"].startswith("FAIL  s video: It delivers nothing.")


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (pictures(1, value=3), "black"),
        (pictures(1, value=99), "all of them the same"),
        ([*pictures(1), VideoFrame(3 * NS_PER_S)], "once none for 2040 ms"),
    ],
)
def test_bad_pictures_are_a_warning(items: list[Item], says: str) -> None:
    line = of_pictures(items)["s video"]
    assert line.startswith("warn")
    assert says in line


def test_good_pictures_are_well() -> None:
    assert of_pictures(PICTURES)["s video"].startswith(
        "ok    s video: 25.0 frames a second, 64 x 48, brightness 99 (99 to"
    )


def test_what_a_source_tells_is_a_warning() -> None:
    findings = stream_findings(surveyed(audio=[*SOUND, event("audio", "clock", "The device has no times.")]))
    assert [str(one)[:38] for one in findings if one.mend] == ["warn  s audio: The device has no times"]
