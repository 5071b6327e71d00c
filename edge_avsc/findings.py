"""What is found of a stream's sources: one line each, and the mend where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_avsc.errors import DeviceError, EdgeAvscError, without_secrets

if TYPE_CHECKING:
    from edge_avsc.survey import Survey

CLIPPED = 1e-4
QUIET_DBFS = -70.0
RESIDUAL_MS = 10.0
DRIFT_PPM = 1000.0
SKEW_MS = 40.0
GAP_MS = 250.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. mend: what to do where it is not well. exit_code: why nothing can run with it."""

    what: str
    finding: str
    mend: str = ""
    exit_code: int = 0

    def __str__(self) -> str:
        level = "FAIL" if self.exit_code else "warn" if self.mend else "ok"
        line = f"{level:4}  {self.what}: {self.finding}"
        return f"{line}\n      {self.mend}" if self.mend else line

    @classmethod
    def of(cls, what: str, sentence: str, exit_code: int = 0) -> Finding:
        """Make a finding of a sentence that names what is wrong and, after a semicolon, the mend."""
        problem, _, mend = without_secrets(sentence).partition("; ")
        mend = mend[:1].upper() + mend[1:] if mend else "See the README, or 'edge-avsc devices'."
        return cls(what, problem.rstrip(".") + ".", mend, exit_code)

    @classmethod
    def failure(cls, what: str, error: EdgeAvscError) -> Finding:
        """Make a finding of what a run would end with."""
        return cls.of(what, str(error), error.exit_code)


def stream_findings(survey: Survey) -> Iterator[Finding]:
    """Yield what a survey says of its stream."""
    counters = survey.health.counters(survey.name)
    for role in sorted(survey.roles):
        what = f"{survey.name} {role}"
        came = survey.sound.samples if role == "audio" else survey.pictures.frames
        if role in survey.losses:
            yield Finding.failure(what, DeviceError(survey.losses[role]))
        elif not came:
            yield Finding.failure(what, DeviceError("It delivers nothing; check the device, or the address."))
        elif role == "audio":
            yield _level(what, survey)
            yield _times(what, survey)
            yield from _lost(what, "samples", survey.sound.gap_samples, counters.get("audio_dropped_samples", 0))
        else:
            yield _pictures(what, survey)
            yield from _lost(what, "frames", 0, counters.get("video_dropped_frames", 0))
    for event in survey.events:
        if event.event != "recovered":
            yield Finding.of(f"{survey.name} {event.source}", event.detail)
    if survey.skew.skew_ms is not None:
        lag_ms = survey.skew.skew_ms
        finding = f"flashes and beeps say that the sound is {abs(lag_ms):.1f} ms {'late' if lag_ms > 0 else 'early'}"
        mend = "Run 'edge-avsc sync': it says which latency_ms to write." if abs(lag_ms) > SKEW_MS else ""
        yield Finding(f"{survey.name} skew", finding, mend)


def _level(what: str, survey: Survey) -> Finding:
    sound = survey.sound
    channels = f"{sound.channels} channel" + "s" * (sound.channels != 1)
    finding = f"{sound.rate_hz} Hz, {channels}, {sound.rms_dbfs:.1f} dBFS rms, peak {sound.peak_dbfs:.1f} dBFS"
    if sound.silent:
        mend = "Unmute the input, or name another one: see 'edge-avsc devices'."
        return Finding(what, f"{sound.rate_hz} Hz, {channels}, digital silence", mend)
    if sound.clipped > CLIPPED * sound.samples:
        share = 100 * sound.clipped / sound.samples
        return Finding(what, f"{finding}, {share:.2f} % clipped", "Lower the input's level, e.g. with alsamixer.")
    quiet = sound.rms_dbfs < QUIET_DBFS
    return Finding(what, finding, "It is very quiet: raise the input's level, e.g. with alsamixer." if quiet else "")


def _times(what: str, survey: Survey) -> Finding:
    sound = survey.sound
    if sound.residual_ms is None:
        return Finding(f"{what} clock", "heard for too short a time to tell; take more --seconds")
    finding, mend = f"times hold within {sound.residual_ms:.2f} ms", ""
    if sound.drift_ppm:
        drift, error = sound.drift_ppm
        finding += f", drift {round(drift) + 0:+d} ± {2 * error:.0f} ppm"
        if abs(drift) - 5 * error > DRIFT_PPM:
            mend = "The device samples at another rate than it says: write its true one, as ?rate=48000."
    if sound.residual_ms > RESIDUAL_MS and not mend:
        mend = "Name the device itself (alsa://hw:1,0) instead of a sound server's, which hands on its sound in heaps."
    return Finding(f"{what} clock", finding, mend)


def _pictures(what: str, survey: Survey) -> Finding:
    pictures = survey.pictures
    finding = f"{pictures.per_s:.1f} frames a second"
    if pictures.size_px:
        finding += f", {pictures.size_px[0]} x {pictures.size_px[1]}"
    if pictures.luma:
        low, mean, high = pictures.luma
        finding += f", brightness {mean:.0f} ({low:.0f} to {high:.0f} of 255)"
    if pictures.looked_at and pictures.black:
        return Finding(what, f"{finding}, black", "Take the cap off the lens, or name another camera.")
    if pictures.looked_at > 2 and pictures.still:
        return Finding(what, f"{finding}, all of them the same", "Start the camera again: it hangs, or shows a still.")
    if pictures.longest_ms > max(GAP_MS, 3000 / max(pictures.per_s, 0.1)):
        mend = "Ask for a smaller picture (?width=640&height=480), or check the cable or the network."
        return Finding(what, f"{finding}, once none for {pictures.longest_ms:.0f} ms", mend)
    return Finding(what, finding)


def _lost(what: str, unit: str, gaps: int, dropped: int) -> Iterator[Finding]:
    if gaps or dropped:
        finding = f"{gaps} {unit} lost in gaps, {dropped} dropped"
        yield Finding(f"{what} losses", finding, "Close what else keeps this machine busy, or use another USB port.")
