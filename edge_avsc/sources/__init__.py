"""Where items come from, and how to open it by a URI: files, devices, network streams, the built-in demonstration."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from edge_avsc.clock import Clock
from edge_avsc.errors import ConfigError, DeviceError, nearest, without_secrets
from edge_avsc.types import NS_PER_MS, Item, Role

if TYPE_CHECKING:  # an ear, which is a process of its own, need not wait for pydantic
    from edge_avsc.config import SourceConfig, StreamConfig

SOUND: frozenset[Role] = frozenset({"audio"})
PICTURES: frozenset[Role] = frozenset({"video"})
DEMO = "test://demo"
SCHEMES = ("alsa", "v4l2", "csi", "gst", "rtsp", "rtsps", "http", "https", "udp", "file", "test")
RECORDED = frozenset(
    [".aac", ".avi", ".flac", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".mpg", ".ogg", ".opus", ".ts", ".wav", ".webm"]
)


class Recording(Protocol):
    """Material that is all there; times count from its own zero."""

    @property
    def roles(self) -> frozenset[Role]:
        """What it has, of what was wanted."""

    def items(self) -> Iterator[Item]:
        """Yield its items in order of time, and SourceEnded for each role."""

    def close(self) -> None:
        """Let it go."""


class LiveSource(Protocol):
    """A device or a network stream; times are those of the machine's monotonic clock."""

    @property
    def roles(self) -> frozenset[Role]:
        """What it delivers."""

    def run(self, put: Callable[[Item], None], stop: threading.Event) -> None:
        """Deliver items until *stop* is set or nothing more comes; raise DeviceError when it is lost."""


def parts(stream: StreamConfig) -> Iterator[tuple[SourceConfig, frozenset[Role], int]]:
    """Yield a stream's sources, what is wanted of each, and its latency in nanoseconds."""
    for source, roles in ((stream.media, SOUND | PICTURES), (stream.audio, SOUND), (stream.video, PICTURES)):
        if source is not None:
            yield source, roles, round(source.latency_ms * NS_PER_MS)


def open_recording(
    uri: str,
    roles: frozenset[Role],
    *,
    wants: Callable[[int], bool],
    picture_px: int,
    block_samples: int | None = None,
    needless: Callable[[int, int], bool] | None = None,
) -> Recording:
    """Open a file, by path or ``file://``, or ``test://demo``; ConfigError when it cannot be read.

    wants: is asked once for each frame whether it must carry its image. picture_px: images are not shrunk under it.
    needless: tells, as *wants* will, that no image is wanted from after one time until another; such frames may then
    come without their brightness, too.
    """
    if uri.startswith("test:"):
        from edge_avsc.sources.synthetic import SyntheticSource

        return SyntheticSource(uri, roles=roles, wants=wants, picture_px=picture_px, block_samples=block_samples)
    from edge_avsc.sources.media import MediaSource

    return MediaSource(
        _path(uri),
        roles=roles,
        wants=wants,
        picture_px=picture_px,
        block_samples=block_samples,
        needless=needless,
    )


def is_remote(uri: str) -> bool:
    """Tell whether a live source is far away: it may answer later, however often it has not."""
    scheme = _scheme(uri)
    # A pipeline may read from an address, too.
    return scheme in ("rtsp", "rtsps", "http", "https", "udp") or (scheme == "gst" and uri.count("://") > 1)


def open_live(
    uri: str, roles: frozenset[Role], *, clock: Clock, wants: Callable[[int], bool], picture_px: int
) -> LiveSource:
    """Return the live source that a URI names, not yet opened; ConfigError when the URI names none.

    A recording or ``test://demo`` plays at its own pace, once. Sound alone comes from a microphone, or from a network
    stream that has sound; an ``http://`` camera sends MJPEG, while ``media: http://…`` is any stream that FFmpeg reads.
    """
    scheme = _scheme(uri)
    if scheme in ("csi", "gst"):
        from edge_avsc.sources.gstreamer import GstreamerCamera

        if roles != PICTURES:
            raise ConfigError(
                f"'{without_secrets(uri)}' gives pictures alone; name it as video, and a microphone as audio."
            )
        return GstreamerCamera(uri, clock=clock, wants=wants, picture_px=picture_px)
    if is_remote(uri) and not (roles == PICTURES and scheme.startswith("http")):
        from edge_avsc.sources.media_live import LiveMedia

        return LiveMedia(uri, roles=roles, clock=clock, wants=wants, picture_px=picture_px)
    if is_remote(uri):
        from edge_avsc.sources.mjpeg import MjpegCamera

        return MjpegCamera(uri, clock=clock, wants=wants, picture_px=picture_px)
    if scheme in ("test", "file") or (os.path.exists(uri) and not _is_device(uri)):
        from edge_avsc.sources.paced import PacedRecording

        def opened(wanted: Callable[[int], bool]) -> Recording:
            return open_recording(uri, roles, wants=wanted, picture_px=picture_px)

        return PacedRecording(opened, clock, wants)
    if fault := _mistake(uri, roles):
        raise ConfigError(fault)
    if roles == SOUND:
        from edge_avsc.sources.microphone import Microphone

        return Microphone(uri, clock=clock)
    from edge_avsc.sources.camera import Camera

    return Camera(uri, clock=clock, wants=wants, picture_px=picture_px)


def list_devices() -> Iterator[str]:
    """Yield, for people, what can be heard and seen with, each with the URI to paste."""
    from edge_avsc.sources.camera import cameras
    from edge_avsc.sources.microphone import microphones

    for kind, devices in (("microphones", microphones), ("cameras", cameras)):
        try:
            found = devices()
        except DeviceError as error:
            yield f"{kind}: {error}"
            continue
        yield f"{kind}:" if found else f"{kind}: none"
        yield from (f"  {uri:40} {description}" for uri, description in found)


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme
    except ValueError:  # what follows is no address; whoever opens it says so
        return uri.partition(":")[0].lower()


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _mistake(uri: str, roles: frozenset[Role]) -> str | None:
    """Return what is wrong with a *uri* that can be neither a device nor a recording, if that can be told from it."""
    scheme, separator, _ = uri.partition("://")
    if separator and scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        return f"'{without_secrets(uri)}' begins with none of {known}.{nearest(scheme.lower(), SCHEMES)}"
    if uri.startswith("/dev/video") or _is_device(uri):
        return f"'{uri}' is a device; write it like v4l2:///dev/video0 as video, like alsa://hw:1,0 as audio."
    if not separator and (uri.startswith(("/", "./", "../")) or os.path.splitext(uri)[1].lower() in RECORDED):
        return f"There is no file '{uri}'; check the name, or see 'edge-avsc devices' for what else can be named."
    if roles == SOUND | PICTURES:
        return f"'{uri}' does not hold both sound and pictures; name them apart, as audio and video."
    return None


def _path(uri: str) -> str:
    if uri.startswith("file://"):
        try:
            return unquote(urlsplit(uri).path)
        except ValueError:
            raise ConfigError(f"'{uri}' is no address of a file; write it like file:///recordings/clip.mp4.") from None
    if "://" in uri or uri == "default":
        raise ConfigError(f"'{uri}' is no recording, so it cannot be replayed; name a file, or test://demo.")
    return uri
