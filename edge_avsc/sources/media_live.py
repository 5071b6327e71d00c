"""Network streams with sound and pictures on one clock (RTSP, HTTP, MPEG-TS over UDP), decoded through PyAV."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from edge_avsc.clock import Clock
from edge_avsc.errors import DeviceError
from edge_avsc.sources import _container
from edge_avsc.sources._address import network_address
from edge_avsc.sources._envelope import EnvelopeClock
from edge_avsc.sources._live_frames import LiveFrames
from edge_avsc.sources._watched import Feed, Watched
from edge_avsc.sources.media_tracks import TRACKS, LivePictures, LiveSound, LiveTrack
from edge_avsc.types import NS_PER_S, Item, Role, SourceEvent

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp")
PROTOCOLS = "rtsp,rtp,srtp,tls,tcp,udp,http,https,crypto"
"""A stream may not name anything else, such as a file of this machine."""

NETWORK_S = 2.0
OPENING_S = 6.0
SILENCE_S = 1.5
BACK_NS = NS_PER_S
"""Timestamps that go back by more than this begin anew."""
SETTLING_S = 3.0
"""A stream that does not become steady so soon is taken as it is."""
FROZEN_S = 20.0
"""Video codecs repeat a picture exactly where nothing moves, until their next key frame."""

# Formats without timestamps of their own: FFmpeg invents some from a frame rate that it assumes.
_TIMELESS = ("mpjpeg", "mjpeg", "h264", "hevc", "m4v")


class LiveMedia:
    """Sound and pictures of a network stream; its timestamps are mapped to the machine's clock by their arrivals.

    uri: ``rtsp[s]://``, ``http[s]://`` or ``udp://``. roles: what is wanted of it. wants: called once for each frame,
    in order, with its time in ns; True means that it must carry its image. picture_px: images are shrunk towards this
    on both sides, never under it. open_container: opens *uri* with PyAV; for tests.
    Raises ConfigError when *uri* is malformed.
    """

    def __init__(
        self,
        uri: str,
        *,
        clock: Clock,
        wants: Callable[[int], bool],
        picture_px: int,
        roles: frozenset[Role] = frozenset({"audio", "video"}),
        open_container: Callable[[str], Any] | None = None,
    ) -> None:
        self.roles = roles
        self.name = (address := network_address(uri, SCHEMES)).name
        self._address = address
        self._wants = wants
        self._picture_px = picture_px
        self._open_container = open_container or _open_container
        self._watched = Watched(self.name, clock, self._read, opening_s=OPENING_S, silence_s=SILENCE_S)

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver items until *stop* is set. Raises DeviceError when the stream cannot be had, ends, or stalls."""
        self._watched.run(put, stop)

    def _read(self, feed: Feed) -> None:
        import av

        asked_ns = feed.now_ns()
        try:
            if self._address.scheme != "udp":
                # FFmpeg does not tell an unknown host from other errors.
                socket.getaddrinfo(self._address.host, self._address.port)
            container = self._open_container(self._address.uri)
        except (av.FFmpegError, OSError, ValueError) as error:
            # To RTSP, no answer and a wrong one are the same error.
            self._refuse(error, waited=feed.now_ns() - asked_ns > 0.9 * NETWORK_S * NS_PER_S)
        try:
            feed.alive()
            feed.opened = True
            self._deliver(feed, container)
        except av.error.ExitError:
            raise self._watched.stalled() from None
        except (av.FFmpegError, OSError) as error:
            what = "has ended" if isinstance(error, av.error.EOFError) else "broke off"
            raise DeviceError(f"{self.name} {what}; check the camera and the network.") from None
        finally:
            container.close()

    def _deliver(self, feed: Feed, container: Any) -> None:
        tracks = self._tracks(feed, container)
        timeless = container.format.name in _TIMELESS
        clock = EnvelopeClock()
        since_ns = feed.now_ns()
        for packet in _packets(container):
            if not feed.wanted:
                return
            track = tracks.get(packet.stream.index)
            if track is None:
                continue
            now_ns = feed.alive() if packet.size else feed.now_ns()
            pts_ns = now_ns if timeless else track.ns(packet.pts)
            if pts_ns is not None:
                if track.newest_ns is not None and pts_ns < track.newest_ns - BACK_NS:
                    clock, since_ns = EnvelopeClock(), now_ns
                    for other in tracks.values():
                        other.newest_ns = None
                track.newest_ns = pts_ns
                clock.observe(pts_ns, now_ns)
            ready = clock.steady or now_ns - since_ns > SETTLING_S * NS_PER_S
            for frame in track.decode(packet, now_ns):
                track.seen(now_ns)
                frame_ns = now_ns if timeless else track.ns(frame.pts, frame.time_base)
                if ready and frame_ns is not None:
                    track.deliver(frame, clock.time_of(frame_ns))
            for other in tracks.values():
                other.tell_quiet(now_ns)
        raise DeviceError(f"{self.name} has ended; check the camera and the network.")

    def _tracks(self, feed: Feed, container: Any) -> dict[int, LiveTrack]:
        """Return the wanted tracks by the index of their stream, and say which is missing."""
        tracks: dict[int, LiveTrack] = {}
        for role in sorted(self.roles):
            stream = _container.main_stream(container, role)
            if stream is None or stream.codec_context is None:
                detail = f"{self.name} holds no {TRACKS[role]} that can be decoded; switch it on in the camera."
                feed.put(SourceEvent(role, "unusable", detail, feed.now_ns()))
            elif role == "audio":
                tracks[stream.index] = LiveSound(self.name, role, stream, feed)
            else:
                frames = LiveFrames(self.name, self._wants, self._picture_px, feed.put, FROZEN_S)
                tracks[stream.index] = LivePictures(self.name, role, stream, feed, frames, self._picture_px)
        if not tracks:
            wanted = " and no ".join(TRACKS[role] for role in sorted(self.roles))
            raise DeviceError(f"{self.name} holds no {wanted}; name another stream of the camera.")
        return tracks

    def _refuse(self, error: Exception, waited: bool) -> NoReturn:
        """Raise the DeviceError for a stream that does not open. FFmpeg's own texts may hold the password."""
        import av

        name = self.name
        if isinstance(error, socket.gaierror):
            sentence = f"The host of {name} is not known; check its name and the network."
        elif isinstance(error, ConnectionRefusedError):
            sentence = f"{name} refuses the connection; check its port, and that it is switched on."
        elif isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            sentence = f"{name} wants another user or password; write them as {self._address.scheme}://user:password@…."
        elif isinstance(error, av.error.HTTPNotFoundError):
            sentence = f"{name} does not exist (404); check the path of the address."
        elif waited or isinstance(error, (av.error.ExitError, TimeoutError)):
            sentence = f"{name} does not answer within {NETWORK_S:g} s; check its address and the network."
        elif isinstance(error, av.error.InvalidDataError):
            sentence = f"{name} sends nothing that can be read; check its address and the network."
        else:
            reason = getattr(error, "strerror", None) or type(error).__name__
            sentence = f"{name} cannot be opened ({reason}); check its address and the network."
        raise DeviceError(sentence) from None


def _packets(container: Any) -> Iterator[Any]:
    """Yield all packets, of unwanted streams too: while only these come, whoever reads must see that he may stop."""
    try:
        yield from container.demux()
    except IndexError:
        # PyAV, where a stream appeared after the others and all of it ends.
        return


def _open_container(uri: str) -> Any:
    import av

    # FFmpeg prints by itself, addresses and all; what matters reaches people as errors and events.
    av.logging.set_level(av.logging.PANIC)
    microseconds = str(round(NETWORK_S * 1_000_000))
    options = {
        "protocol_whitelist": PROTOCOLS,
        # Nobody needs the frame rate; measuring it would take most of a second.
        "analyzeduration": "1000000",
        "fpsprobesize": "0",
        "rtsp_transport": "tcp",
        "timeout": microseconds,
        "rw_timeout": microseconds,
        "overrun_nonfatal": "1",
    }
    return av.open(uri, timeout=(NETWORK_S, NETWORK_S), options=options, metadata_errors="replace")
