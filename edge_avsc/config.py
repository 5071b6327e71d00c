"""YAML <-> typed settings; every key but the streams has a default, an unknown one is refused with the nearest name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge_avsc.errors import ConfigError, nearest
from edge_avsc.providers import Library, Providers
from edge_avsc.settings import checked, keys_and_values, read_text, shown

HOP_STEP_NS = 50_000_000
_REFERENCE = re.compile(r"\$\$\{|\$\{(\w*)(\}?)")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _or_uri(schema: dict[str, Any]) -> None:
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [mapping["properties"]["uri"], mapping]


class SourceConfig(_Settings):
    """A microphone, camera, file or network stream; a URI alone may stand for the mapping."""

    model_config = ConfigDict(json_schema_extra=_or_uri)

    uri: str = Field(
        min_length=1,
        description="Where it is: default, v4l2:///dev/video0, rtsp://…, file://… or a plain path, test://demo; "
        "${NAME} stands for an environment variable, $${ for a literal ${.",
    )
    latency_ms: float = Field(
        default=0.0,
        ge=-10_000,
        le=10_000,
        description="How long after its capture this device stamps an item, in milliseconds.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_uri(cls, value: Any) -> Any:
        if not isinstance(value, (str, dict, SourceConfig)):
            raise PydanticCustomError("uri_or_mapping", "Input should be a URI or a mapping of keys and values")
        return {"uri": value} if isinstance(value, str) else value

    @field_validator("uri")
    @classmethod
    def _fill_in(cls, uri: str, info: ValidationInfo) -> str:
        environ = (info.context or {}).get("environ")
        return uri if environ is None else _REFERENCE.sub(lambda match: _value_of(match, environ), uri)

    @model_serializer(mode="wrap")
    def _to_uri(self, serialise: SerializerFunctionWrapHandler) -> Any:
        mapping = {**serialise(self), "uri": self.uri.replace("${", "$${")}
        return mapping["uri"] if self == SourceConfig(uri=self.uri) else mapping


class StreamConfig(_Settings):
    """What is heard and seen in one place: audio and/or video, or media that holds both."""

    audio: SourceConfig | None = Field(default=None, description="The source of the sound.")
    video: SourceConfig | None = Field(default=None, description="The source of the pictures.")
    media: SourceConfig | None = Field(
        default=None, description="One source of both, such as a file or an RTSP stream."
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> StreamConfig:
        separate = self.audio is not None or self.video is not None
        if separate == (self.media is not None):
            raise ValueError("give audio and/or video, or media alone")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, serialise: SerializerFunctionWrapHandler) -> Any:
        return {role: source for role, source in serialise(self).items() if source is not None}


class SmoothingConfig(_Settings):
    """How predictions become a running label."""

    switches_per_hour: float = Field(
        default=60.0,
        gt=0,
        le=36_000,
        description="How often the scene is expected to change, per hour; less is steadier.",
    )
    min_dwell_s: float = Field(default=2.0, ge=0, le=3600, description="A label stays at least this long, in seconds.")
    unsure_below: float = Field(
        default=0.5, ge=0, le=1, description="The label is 'unsure' while no smoothed probability reaches this, 0..1."
    )


class ConsoleConfig(_Settings):
    """The view for people: live in a terminal, plain lines elsewhere."""

    changes_only: bool = Field(default=False, description="Plain lines, and only where the label changes.")


class JsonlConfig(_Settings):
    """JSON lines, one for each estimate and event."""

    path: str = Field(default="-", min_length=1, description="The file to write, or - for the standard output.")


class SinksConfig(_Settings):
    """Where estimates go; null turns a sink off."""

    console: ConsoleConfig | None = Field(default=ConsoleConfig(), description="The view for people; null: none.")
    jsonl: JsonlConfig | None = Field(default=None, description="JSON lines; null: none.")


class AppConfig(_Settings):
    """The whole configuration of edge-avsc."""

    version: Literal[1] = Field(default=1, description="The version of this file's format.")
    model: str = Field(
        default="avsc-lite", min_length=1, description="A shipped bundle's name, or the folder of a bundle."
    )
    hop_s: float = Field(
        default=0.5, ge=0.05, le=60, description="Time from one window to the next, in seconds; a multiple of 0.05."
    )
    max_lateness_ms: float = Field(
        default=150.0, ge=0, le=10_000, description="How long a live window waits for late items, in milliseconds."
    )
    backend: Library = Field(
        default="onnxruntime", description="The library that runs the model; the others are NVIDIA's, for their GPUs."
    )
    provider: Providers = Field(
        default=("cpu",),
        description="What ONNX Runtime computes on. A single one must serve; of a list the first that does is taken.",
    )
    streams: dict[str, StreamConfig] = Field(
        default_factory=dict, description="The streams by name; replay takes them from its arguments."
    )
    smoothing: SmoothingConfig = Field(default=SmoothingConfig(), description="How predictions become a running label.")
    sinks: SinksConfig = Field(default=SinksConfig(), description="Where estimates go.")

    @field_validator("hop_s")
    @classmethod
    def _is_whole_hop(cls, hop_s: float) -> float:
        return hop_ns(hop_s) / 1e9

    @field_validator("streams")
    @classmethod
    def _have_names(cls, streams: dict[str, StreamConfig]) -> dict[str, StreamConfig]:
        for name in streams:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"{name!r} is no name for a stream; write one of visible characters")
        return streams


def hop_ns(hop_s: float) -> int:
    """Return a hop in nanoseconds; ConfigError unless it is a multiple of 0.05 s from 0.05 to 60."""
    steps = round(hop_s * 1e9 / HOP_STEP_NS) if 0.0 < hop_s < 61.0 else 0
    if not 1 <= steps <= 1200 or abs(hop_s * 1e9 - steps * HOP_STEP_NS) > 1.0:
        raise ConfigError(f"The hop is {hop_s} s; it must be a multiple of 0.05 s from 0.05 to 60.")
    return steps * HOP_STEP_NS


def load_config(path: str | Path, *, environ: Mapping[str, str] = os.environ) -> AppConfig:
    """Read a configuration file; ``${NAME}`` in a URI is filled in from *environ*.

    Raises ConfigError, one sentence with the place, when it cannot be read or says something wrong.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a configuration file.")
    try:
        text = read_text(path)
    except FileNotFoundError as error:
        near = nearest(path.name, (other.name for other in path.parent.glob("*.y*ml")))
        raise ConfigError(f"There is no configuration file {path}.{near}") from error
    return parse_config(text, name=str(path), environ=environ)


def parse_config(text: str, *, name: str = "configuration", environ: Mapping[str, str] = os.environ) -> AppConfig:
    """Turn YAML into settings, as :func:`load_config` does; *name* begins the sentence of an error."""
    raw = keys_and_values(text, name)
    if raw.get("version", 1) != 1:
        raise ConfigError(f"{name}: version is {shown(raw['version'])}; this edge-avsc reads 'version: 1'.")
    # An empty section, such as 'streams:' with all its lines commented out, means its defaults.
    sections = {key: value for key, value in raw.items() if value is not None}
    return checked(AppConfig, sections, name, {"environ": environ})


def dump_config(config: AppConfig) -> str:
    """Return YAML that loads to an equal configuration; variables stay filled in, so it may hold secrets."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)


def config_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a configuration file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **AppConfig.model_json_schema()}


def _value_of(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match.group() == "$${":
        return "${"
    name, end = match.groups()
    if not name or not end:
        raise ValueError("'${' must be followed by a variable's name and '}'; write $${ for a literal ${")
    if name not in environ:
        raise ValueError(f"the environment variable {name} is not set; set it, or write $${{ for a literal ${{")
    return environ[name]
