from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.sources.media_live import LiveMedia
from edge_avsc.types import NS_PER_MS, NS_PER_S, Role
from sources.live import START_NS, Delivered, SetClock, run_until_lost

URI = "rtsp://user:hunter2@127.0.0.1:1/live"
RATE_HZ, BLOCK = 48_000, 960
BLOCK_NS = BLOCK * NS_PER_S // RATE_HZ
NO_PTS = -1


@dataclass
class Packet:
    """What arrives at *arrival_ns*: a block of sound or a picture stamped *pts_ns*, or something undecodable."""

    stream: Any
    pts_ns: int
    arrival_ns: int
    damaged: bool = False
    size: int = 1

    @property
    def pts(self) -> int | None:
        return None if self.pts_ns == NO_PTS else self.pts_ns // 1000

    def decode(self) -> list[Any]:
        if self.damaged:
            raise av.error.InvalidDataError(1094995529, "damaged")
        frame: Any
        if self.stream.type == "audio":
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * BLOCK), np.int16), format="s16", layout="stereo")
            frame.sample_rate = RATE_HZ
        else:
            value = 40 + self.pts_ns // (40 * NS_PER_MS) % 150
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), format="rgb24")
        frame.pts, frame.time_base = self.pts, Fraction(1, 1_000_000)
        return [frame]


def stream(role: str, index: int) -> Any:
    codec = SimpleNamespace(thread_count=0, thread_type="", name="h264")
    return SimpleNamespace(
        type=role, index=index, codec_context=codec, time_base=Fraction(1, 1_000_000), disposition=None
    )


SOUND, PICTURES = stream("audio", 0), stream("video", 1)


@dataclass
class Container:
    """A container whose packets arrive when they say; *end* is raised after the last."""

    clock: SetClock
    packets: list[Packet]
    streams: list[Any] = field(default_factory=lambda: [SOUND, PICTURES])
    format: Any = field(default_factory=lambda: SimpleNamespace(name="rtsp"))
    end: Exception | None = None
    closed: bool = False

    def demux(self) -> Iterator[Packet]:
        for packet in self.packets:
            self.clock.time_ns = packet.arrival_ns
            yield packet
        if self.end:
            raise self.end

    def close(self) -> None:
        self.closed = True


def both(seconds: float, delay_ns: int = 0) -> list[Packet]:
    """Sound each 20 ms and pictures each 40 ms, that arrive when they end, *delay_ns* later."""
    sound = [Packet(SOUND, n * BLOCK_NS, START_NS + (n + 1) * BLOCK_NS + delay_ns) for n in range(round(seconds * 50))]
    pictures = [
        Packet(PICTURES, packet.pts_ns, packet.arrival_ns + 5 * NS_PER_MS)
        for packet in sound[:: 40 * NS_PER_MS // BLOCK_NS]
    ]
    return sorted(sound + pictures, key=lambda packet: packet.arrival_ns)


def run(
    packets: list[Packet], roles: tuple[Role, ...] = ("audio", "video"), every: int = 5, **options: Any
) -> tuple[Delivered, Container]:
    clock = SetClock()
    container = Container(clock, packets, **options)
    asked: list[int] = []

    def wants(time_ns: int) -> bool:
        asked.append(time_ns)
        return len(asked) % every == 0

    source = LiveMedia(
        URI, clock=clock, wants=wants, picture_px=32, roles=frozenset(roles), open_container=lambda uri: container
    )
    return run_until_lost(source), container


def test_sound_and_pictures_share_one_clock() -> None:
    delivered, container = run(both(3.0))
    assert delivered.sentence == "rtsp://127.0.0.1:1/live has ended; check the camera and the network."
    assert delivered.events == []
    assert container.closed
    assert PICTURES.codec_context.thread_count == 1
    # What is sent when it is complete is captured 20 ms before it arrives, and that is all the envelope knows.
    assert [chunk.index for chunk in delivered.chunks] == [n * BLOCK for n in range(len(delivered.chunks))]
    first_ns = delivered.chunks[0].time_ns
    assert [chunk.time_ns - first_ns for chunk in delivered.chunks] == pytest.approx(
        [n * BLOCK_NS for n in range(len(delivered.chunks))], abs=NS_PER_MS
    )
    frames_ns = [frame.time_ns for frame in delivered.frames]
    assert [(time_ns - first_ns) / NS_PER_MS % 20 for time_ns in frames_ns] == pytest.approx(
        [0] * len(frames_ns), abs=1
    )
    assert [frame.image is not None for frame in delivered.frames[:10]] == ([False] * 4 + [True]) * 2
    image = delivered.frames[4].image
    assert image is not None
    assert image.shape[0] == 32


def test_what_had_waited_in_the_server_is_not_delivered() -> None:
    packets = both(4.0)
    for number, packet in enumerate(packets):
        packet.arrival_ns = max(packet.arrival_ns, START_NS + NS_PER_S + number * NS_PER_MS)
    delivered, _ = run(packets)
    oldest = min(delivered.chunks[0].time_ns, delivered.frames[0].time_ns)
    assert oldest >= START_NS + NS_PER_S
    assert delivered.frames[0].time_ns <= START_NS + 1_600 * NS_PER_MS


def test_a_stream_that_never_becomes_steady_is_taken_as_it_is() -> None:
    packets = [Packet(SOUND, n * BLOCK_NS, START_NS + n * (BLOCK_NS - NS_PER_MS)) for n in range(500)]
    delivered, _ = run(packets, ("audio",))
    assert delivered.chunks[0].time_ns <= START_NS + 3_200 * NS_PER_MS


def test_frames_without_a_time_are_left_out_and_cost_nothing_else() -> None:
    packets = both(2.0)
    for packet in packets[::7]:
        packet.pts_ns = NO_PTS
    delivered, _ = run(packets)
    assert len(delivered.frames) > 30
    # A block without its time is a gap of its length: nobody knows where it belongs.
    assert {
        later.index - sooner.index for sooner, later in zip(delivered.chunks, delivered.chunks[1:], strict=False)
    } == {
        BLOCK,
        2 * BLOCK,
    }


def test_lost_sound_is_a_gap() -> None:
    packets = [packet for packet in both(4.0) if not 2 * NS_PER_S <= packet.pts_ns < 3 * NS_PER_S]
    delivered, _ = run(packets)
    jumps = [b.index - a.index for a, b in zip(delivered.chunks, delivered.chunks[1:], strict=False)]
    assert sorted(set(jumps)) == [BLOCK, pytest.approx(BLOCK + RATE_HZ, abs=100)]


def test_timestamps_that_begin_anew_are_mapped_anew() -> None:
    packets = both(3.0)
    for packet in both(3.0, delay_ns=3 * NS_PER_S):
        packets.append(packet)
    delivered, _ = run(packets)
    times = [frame.time_ns for frame in delivered.frames]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(START_NS + 6 * NS_PER_S, abs=NS_PER_S // 10)


def test_damage_is_told_once() -> None:
    packets = both(2.0)
    for packet in packets[60:]:
        packet.damaged = True
    delivered, _ = run(packets)
    assert sorted(delivered.events) == [("audio", "damaged"), ("video", "damaged")]


def test_one_that_falls_quiet_while_the_other_goes_on_is_told_each_way() -> None:
    packets = [packet for packet in both(8.0) if packet.stream is PICTURES or not 2 <= packet.pts_ns / NS_PER_S < 6]
    delivered, _ = run(packets)
    assert delivered.events == [("audio", "stalled"), ("audio", "recovered")]


@pytest.mark.parametrize(
    ("has", "role", "thing"), [(PICTURES, "audio", "sound"), (SOUND, "video", "pictures")], ids=["pictures", "sound"]
)
def test_what_it_does_not_hold_is_told(has: Any, role: str, thing: str) -> None:
    delivered, _ = run(both(1.0), streams=[has])
    assert delivered.events == [(role, "unusable")]
    assert bool(delivered.frames) == (has is PICTURES)
    assert bool(delivered.chunks) == (has is SOUND)
    nothing, container = run([], streams=[has], roles=("audio",) if role == "audio" else ("video",))
    assert nothing.sentence == f"rtsp://127.0.0.1:1/live holds no {thing}; name another stream of the camera."
    assert container.closed


def test_while_only_what_is_not_wanted_goes_on_it_can_be_stopped() -> None:
    """Otherwise nobody would look whether it is still wanted, and the camera would never be called again."""
    clock, stop, seen = SetClock(), threading.Event(), threading.Event()

    class Endless(Container):
        def demux(self) -> Iterator[Packet]:
            yield from self.packets
            while not self.closed:
                seen.set()
                yield Packet(PICTURES, START_NS, START_NS)

    container = Endless(clock, both(0.5)[:1])
    source = LiveMedia(
        URI,
        clock=clock,
        wants=lambda time_ns: False,
        picture_px=32,
        roles=frozenset({"audio"}),
        open_container=lambda uri: container,
    )
    thread = threading.Thread(target=source.run, args=(lambda item: None, stop))
    thread.start()
    assert seen.wait(5)
    stop.set()
    thread.join(5)
    assert container.closed


def test_a_track_that_came_late_ends_with_the_rest() -> None:
    """PyAV raises IndexError at the end of such a stream."""
    delivered, container = run(both(1), end=IndexError("list index out of range"))
    assert delivered.sentence == "rtsp://127.0.0.1:1/live has ended; check the camera and the network."
    assert container.closed


def test_formats_without_times_are_stamped_by_their_arrival() -> None:
    packets = [Packet(PICTURES, n * 40 * NS_PER_MS, START_NS + n * 100 * NS_PER_MS) for n in range(20)]
    delivered, _ = run(packets, ("video",), format=SimpleNamespace(name="mpjpeg"))
    assert [frame.time_ns for frame in delivered.frames] == [
        packet.arrival_ns for packet in packets[-len(delivered.frames) :]
    ]
    assert len(delivered.frames) >= 15


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (av.error.ExitError(1414092869, "exit"), "has sent nothing for 1.5 s; check its power and its cable."),
        (av.error.EOFError(541478725, "end"), "has ended; check the camera and the network."),
        (av.error.ConnectionResetError(104, "reset", URI), "broke off; check the camera and the network."),
    ],
)
def test_a_loss_is_one_sentence(error: Exception, sentence: str) -> None:
    delivered, _ = run(both(1.0), end=error)
    assert delivered.sentence == f"rtsp://127.0.0.1:1/live {sentence}"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (av.error.HTTPUnauthorizedError(1, "401", URI), "wants another user or password; write them as rtsp://user"),
        (av.error.HTTPNotFoundError(1, "404", URI), "does not exist (404); check the path of the address."),
        (av.error.ConnectionRefusedError(111, "refused", URI), "refuses the connection; check its port, and that"),
        (av.error.InvalidDataError(1, "invalid", URI), "sends nothing that can be read; check its address"),
        (av.error.ExitError(1, "exit", URI), "does not answer within 2 s; check its address and the network."),
        (av.error.OSError(113, "No route to host", URI), "cannot be opened (No route to host); check its address"),
    ],
)
def test_a_refusal_is_one_sentence_without_the_password(error: Exception, sentence: str) -> None:
    def refuse(uri: str) -> Any:
        raise error

    source = LiveMedia(URI, clock=SetClock(), wants=lambda time_ns: False, picture_px=8, open_container=refuse)
    said = run_until_lost(source).sentence
    assert said.startswith(f"rtsp://127.0.0.1:1/live {sentence}")
    assert "hunter2" not in said


def test_a_slow_refusal_is_no_answer() -> None:
    clock = SetClock()

    def refuse(uri: str) -> Any:
        clock.time_ns += 2 * NS_PER_S
        raise av.error.InvalidDataError(1, "invalid", URI)

    source = LiveMedia(URI, clock=clock, wants=lambda time_ns: False, picture_px=8, open_container=refuse)
    assert "does not answer within 2 s" in run_until_lost(source).sentence


def test_no_address_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="write it like rtsp://"):
        LiveMedia("rtmp://cam/live", clock=SetClock(), wants=lambda time_ns: False, picture_px=8)
