"""Recordings down the live road: the Python door to :class:`edge_avsc.player.Player`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_avsc.config import SmoothingConfig, StreamConfig
    from edge_avsc.health import Health
    from edge_avsc.model import SceneModel
    from edge_avsc.player import Player
    from edge_avsc.types import SceneEstimate, StreamEvent

# The package imports this file at once, and ``edge-avsc --help`` must not wait for numpy: hence imports inside.


def replay(
    *files: str | Path,
    audio: str | Path | None = None,
    video: str | Path | None = None,
    model: SceneModel | str | Path = "avsc-lite",
    hop_s: float = 0.5,
    speed: float | None = None,
    smoothing: SmoothingConfig | None = None,
    block_samples: int | None = None,
    health: Health | None = None,
    on_event: Callable[[StreamEvent], None] | None = None,
) -> Iterator[SceneEstimate]:
    """Yield the estimates of recordings, one file after the other, each a stream named by its path as given.

    files: media files or ``test://demo``; audio, video: sound and pictures of one recording in separate files.
    hop_s: a multiple of 0.05. speed: recording seconds a second; None is as fast as possible, and then estimates carry
    no latency. block_samples: feeds sound in blocks of that many samples (the estimates do not depend on it).
    health: takes the counters. on_event: is called with what happened to the sources and the model.
    Raises ConfigError for what cannot be read, ModelError for what cannot be loaded.
    """
    from edge_avsc.config import hop_ns
    from edge_avsc.errors import ConfigError
    from edge_avsc.model import SceneModel
    from edge_avsc.player import Player

    streams = recordings(*files, audio=audio, video=video)
    if not streams:
        raise ConfigError("There is nothing to replay; name a file, or test://demo.")
    loaded = model if isinstance(model, SceneModel) else SceneModel.load(model)
    player = Player(loaded, hop_ns(hop_s), speed=speed, smoothing=smoothing, block_samples=block_samples, health=health)
    return _estimates(player, streams, on_event)


def recordings(
    *files: str | Path, audio: str | Path | None = None, video: str | Path | None = None
) -> list[tuple[str, StreamConfig]]:
    """Return the streams, each with its name, that *files* are, and *audio* and *video* together."""
    from edge_avsc.config import SourceConfig, StreamConfig
    from edge_avsc.errors import ConfigError

    if "" in map(str, files):
        raise ConfigError("The name of a recording is empty; name a file, or test://demo.")
    # Not validated, since a file's name may be any bytes, not only text in UTF-8.
    streams = [(str(file), StreamConfig(media=SourceConfig.model_construct(uri=str(file)))) for file in files]
    if audio or video:
        named = (("audio", audio), ("video", video))
        parts = {role: SourceConfig.model_construct(uri=str(file)) for role, file in named if file}
        streams.append(("+".join(part.uri for part in parts.values()), StreamConfig(**parts)))
    return streams


def _estimates(
    player: Player, streams: list[tuple[str, StreamConfig]], on_event: Callable[[StreamEvent], None] | None
) -> Iterator[SceneEstimate]:
    from edge_avsc.types import SceneEstimate

    for name, stream in streams:
        for output in player.play(name, stream):
            if isinstance(output, SceneEstimate):
                yield output
            elif on_event:
                on_event(output)
