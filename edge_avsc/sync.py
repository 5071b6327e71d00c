"""``edge-avsc sync``: how far a stream's sound and pictures are apart, and what to write in its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from edge_avsc.clock import Clock
from edge_avsc.config import AppConfig, SourceConfig, StreamConfig
from edge_avsc.errors import ConfigError, DeviceError, nearest, without_secrets
from edge_avsc.skew import AGREED, REMEMBERED, beeps
from edge_avsc.sources import LiveSource, open_live
from edge_avsc.survey import Survey
from edge_avsc.types import NS_PER_S

HEARD_NS = 7 * NS_PER_S
"""So far back a survey's track remembers all samples."""
TELL_S = 5.0

HOW = (
    "Show its camera white flashes of up to 0.3 s that fill the picture, each with a loud beep of 1 kHz of 60 ms, by\n"
    "hand or by a video of them; tools/write_demo.py, in the source code, writes one."
)


def measure(
    config: AppConfig,
    stream: str | None,
    *,
    seconds: float,
    clock: Clock,
    open_source: Callable[..., LiveSource] = open_live,
) -> Iterator[str]:
    """Yield lines for a person: what to do, what was noticed, the result, and the YAML to paste.

    stream: its name; it may be None where only one has sound and pictures. seconds: how long to try; it ends earlier
    once enough flashes agree. Raises ConfigError for a stream that there is not, DeviceError when a source fails or
    fewer than three flashes and beeps agree.
    """
    name = choose(config, stream)
    yield f"Listening to and looking at '{name}' for up to {seconds:g} s."
    yield HOW
    with Survey(name, config.streams[name], clock=clock, open_source=open_source) as survey:
        yield from _progress(survey, seconds)
    if survey.roles != {"audio", "video"}:
        raise ConfigError(
            f"'{name}' delivers only {' and '.join(sorted(survey.roles))}; sync needs sound and pictures."
        )
    if survey.skew.skew_ms is None:
        raise DeviceError(without_secrets(_what_was_missing(survey, seconds)))
    yield from _result(config.streams[name], name, survey.skew.skew_ms, survey.skew.agreed_ms)


def choose(config: AppConfig, stream: str | None) -> str:
    """Return the name of the stream to measure; ConfigError unless it has sound and pictures, and is the only one."""
    whole = [name for name, one in config.streams.items() if one.media or (one.audio and one.video)]
    if stream is None and len(whole) == 1:
        return whole[0]
    if stream in whole:
        return stream
    if not whole:
        raise ConfigError("No stream has both sound and pictures, so there is nothing to measure; add the other one.")
    names = ", ".join(whole)
    if stream is None:
        raise ConfigError(f"Several streams have sound and pictures; choose one with --stream: {names}.")
    if stream in config.streams:
        raise ConfigError(f"'{stream}' has not both sound and pictures; choose another stream: {names}.")
    raise ConfigError(f"There is no stream '{stream}'; choose one of: {names}.{nearest(stream, whole)}")


def configured(stream: StreamConfig, name: str, skew_ms: float) -> list[str]:
    """Return the stream's YAML that takes *skew_ms*, as measured with the present configuration, away.

    A camera that stamps late makes the skew negative: what it is late by is what its latency_ms must grow by. That of
    media moves the sound too; apart, sound and pictures are two connections to one address.
    """
    sound, camera = stream.audio or stream.media, stream.video or stream.media
    assert sound is not None
    assert camera is not None
    return [
        f"{json.dumps(name, ensure_ascii=False)}:",
        f"  audio: {_yaml(sound, sound.latency_ms)}",
        f"  video: {_yaml(camera, camera.latency_ms - skew_ms)}",
    ]


def _yaml(source: SourceConfig, latency_ms: float) -> str:
    # Strings of JSON are strings of YAML, whatever is in them.
    uri = json.dumps(without_secrets(source.uri).replace("${", "$${"), ensure_ascii=False)
    return f"{{uri: {uri}, latency_ms: {round(latency_ms, 1) + 0.0:g}}}" if latency_ms else uri


def _progress(survey: Survey, seconds: float) -> Iterator[str]:
    told, told_s = 0, 0.0
    while not survey.done(seconds) and len(survey.skew.agreed_ms) < REMEMBERED:
        survey.step()
        for loss in survey.losses.values():
            raise DeviceError(loss)
        if survey.skew.flashes != told or survey.elapsed_s - told_s >= TELL_S:
            told, told_s = survey.skew.flashes, survey.elapsed_s
            agreed = len(survey.skew.agreed_ms)
            yield f"{told_s:5.1f} s: {told} flashes, {survey.skew.answered} with a beep near them, {agreed} agree"


def _what_was_missing(survey: Survey, seconds: float) -> str:
    sound, pictures, skew = survey.sound, survey.pictures, survey.skew
    for role, came in (("sound", sound.samples), ("picture", pictures.frames)):
        if not came:
            return f"'{survey.name}' delivered no {role}; run 'edge-avsc doctor'."
    low, _, high = pictures.luma or (0.0, 0.0, 0.0)
    seen = f"the pictures' brightness went from {low:.0f} to {high:.0f} of 255"
    heard = f"the sound's peak was {sound.peak_dbfs:.0f} dBFS"
    if skew.flashes == 0:
        end_ns = survey.track.time_of(survey.track.samples.end or 0)
        if beeps(survey.track, end_ns - HEARD_NS, end_ns):
            return f"Beeps were heard but no flash was seen ({seen}); let the flashes fill the picture, in a dim room."
        return (
            f"Neither a flash was seen ({seen}) nor a beep heard ({heard}); "
            "play the demonstration in front of camera and microphone."
        )
    if skew.answered == 0:
        return f"{skew.flashes} flashes were seen but no beep of 1 kHz was heard ({heard}); play it louder."
    return (
        f"Of {skew.flashes} flashes {skew.answered} had a beep near them, but no {AGREED} of them agree on a lag; "
        f"play it longer than the {seconds:g} s, or in a quieter room."
    )


def _result(stream: StreamConfig, name: str, skew_ms: float, agreed_ms: tuple[float, ...]) -> Iterator[str]:
    spread = f"{len(agreed_ms)} flashes agree, from {min(agreed_ms):+.1f} to {max(agreed_ms):+.1f} ms"
    yield f"av_skew_ms is {skew_ms:+.1f}: sound time minus picture time ({spread})."
    where = "In the configuration, under streams"
    if stream.media:
        where += " (sound and pictures apart, since latency_ms of media moves both)"
    if any(
        source and without_secrets(source.uri) != source.uri for source in (stream.audio, stream.video, stream.media)
    ):
        where += ", with the address as you wrote it"
    yield f"{where}:"
    yield from (f"  {line}" for line in configured(stream, name, skew_ms))
