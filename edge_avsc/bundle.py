"""A bundle's description, ``bundle.yaml``: all that belongs to a model and is never a user's setting."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge_avsc.errors import ModelError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AudioNormalisation(_Frozen):
    """A log-mel value is ``(log(power + floor) - mean) / scale``."""

    floor: float = Field(gt=0)
    mean: float
    scale: float = Field(gt=0)


Bank: TypeAlias = Literal["log_mel", "log_gammatone", "log_bark", "log_wavelet"]

MIXES = {"mono": 1, "left_right": 2, "average_difference": 2, "left_right_difference": 3}
"""What may be made of a sound's channels, and how many signals that gives."""


class AudioFrontEnd(_Frozen):
    """How sound becomes columns; column c covers samples [c * hop_samples, c * hop_samples + n_fft).

    A column holds, signal by signal of the *mix* and bank by bank of the *front_end*, the *n_mels* bands of each.
    """

    front_end: Bank | tuple[Bank, ...]
    sample_rate_hz: int = Field(gt=0)
    channels: int = Field(ge=1, le=3, description="how many signals the mix gives")
    mix: Literal["mono", "left_right", "average_difference", "left_right_difference"] = "mono"
    n_fft: int = Field(gt=0)
    hop_samples: int = Field(gt=0)
    n_mels: int = Field(gt=0)
    fmin_hz: float = Field(ge=0)
    fmax_hz: float = Field(gt=0)
    columns: int = Field(gt=0, description="columns in one window, always")
    normalisation: AudioNormalisation

    @model_validator(mode="after")
    def _fits_a_window(self) -> AudioFrontEnd:
        if self.sample_rate_hz % (20 * self.hop_samples):
            raise ValueError("hop_samples must divide 50 ms")
        if (self.columns - 1) * self.hop_samples + self.n_fft + self.hop_samples - 1 > self.sample_rate_hz:
            raise ValueError("the columns do not fit into one second at every alignment")
        if self.fmax_hz * 2 > self.sample_rate_hz or self.fmin_hz >= self.fmax_hz:
            raise ValueError("fmin_hz < fmax_hz <= sample_rate_hz / 2 must hold")
        if self.channels != MIXES[self.mix]:
            raise ValueError(f"channels must be {MIXES[self.mix]}, which the mix '{self.mix}' gives")
        if not self.banks:
            raise ValueError("front_end must name at least one bank of filters")
        return self

    @property
    def banks(self) -> tuple[Bank, ...]:
        """The banks of filters, in their order within a column."""
        return (self.front_end,) if isinstance(self.front_end, str) else self.front_end

    @property
    def column_size(self) -> int:
        """How many values a column has."""
        return self.channels * len(self.banks) * self.n_mels


class ImageNormalisation(_Frozen):
    """RGB in 0..1 becomes ``(value - mean) / std`` per channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ImageFrontEnd(_Frozen):
    """How a picture becomes the image encoder's input: the whole frame, squashed to a square."""

    size_px: int = Field(gt=0)
    frames_per_s: int = Field(gt=0)
    normalisation: ImageNormalisation


class TensorSpec(_Frozen):
    """Shape (a string is a free dimension) and element type of a graph's input or output."""

    shape: tuple[int | str, ...]
    dtype: Literal["float32"] = "float32"


class GraphSpec(_Frozen):
    """One ONNX file of the bundle."""

    path: str
    sha256: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class Graphs(_Frozen):
    """The three parts of the model, for one kind of device.

    audio: log_mel -> audio_embedding. image: picture -> image_embedding. fusion: both and ``present`` -> logits
    (and ``none_logit``, whose sigmoid is the probability of "none of ours", when the bundle knows that).
    """

    audio: GraphSpec
    image: GraphSpec
    fusion: GraphSpec

    @model_validator(mode="after")
    def _have_what_is_fed_and_read(self) -> Graphs:
        for graph, inputs, outputs in (
            (self.audio, ("log_mel",), ("audio_embedding",)),
            (self.image, ("picture",), ("image_embedding",)),
            (self.fusion, ("audio_embedding", "image_embedding", "present"), ("logits",)),
        ):
            for name in inputs:
                if name not in graph.inputs:
                    raise ValueError(f"{graph.path} must have an input '{name}'")
            for name in outputs:
                if name not in graph.outputs:
                    raise ValueError(f"{graph.path} must have an output '{name}'")
        return self


class Temperature(_Frozen):
    """Divides the logits, one for each state of the modalities (Guo et al. 2017, arXiv 1706.04599)."""

    av: float = Field(gt=0)
    a: float = Field(gt=0)
    v: float = Field(gt=0)


class Unsure(_Frozen):
    """Which score says "none of ours", and from where on: the graph's own ``none_logit``, or 1 - max probability."""

    score: Literal["none_of_ours", "max_probability"]
    threshold: float = Field(gt=0, lt=1)


class Golden(_Frozen):
    """Generated inputs and what the float model makes of them; *tolerance* bounds a probability's difference."""

    inputs: str
    outputs: str
    tolerance: float = Field(gt=0)


class Provenance(_Frozen):
    """Where the weights come from."""

    data: list[str]
    teachers: list[str]
    licences: dict[str, str]
    commit: str


class Bundle(_Frozen):
    """The whole of ``bundle.yaml``."""

    schema_: Literal[1] = Field(alias="schema")
    name: str
    labels: tuple[str, ...] = Field(min_length=2)
    window_s: float = Field(ge=1, le=1, description="the length of a window; one second, always")
    audio: AudioFrontEnd
    image: ImageFrontEnd
    graphs: dict[Literal["cpu", "trt"], Graphs] = Field(min_length=1)
    missing_modality: Literal["present_input"]
    temperature: Temperature
    unsure: Unsure
    golden: Golden
    provenance: Provenance
    measured: dict[str, Any] = Field(default_factory=dict)

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("each label must be there once")
        return labels

    @model_validator(mode="after")
    def _scores_its_labels(self) -> Bundle:
        for graphs in self.graphs.values():
            path, outputs = graphs.fusion.path, graphs.fusion.outputs
            if outputs["logits"].shape[-1:] != (len(self.labels),):
                raise ValueError(f"'logits' of {path} must be as many as the labels, {len(self.labels)}")
            if self.unsure.score == "none_of_ours" and "none_logit" not in outputs:
                raise ValueError(f"{path} must have an output 'none_logit', which 'unsure' asks for")
        return self


def read_bundle(folder: Path) -> Bundle:
    """Read and check ``folder/bundle.yaml`` and the hashes of all files that it names.

    Raises ModelError when the folder is no bundle, a field is wrong, or a file is missing or changed.
    """
    path = folder / "bundle.yaml"
    if not path.is_file():
        raise ModelError(
            f"{folder} is no model bundle: it has no bundle.yaml; give a shipped name or a bundle's folder."
        )
    try:
        bundle = Bundle.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        problem = f"{where}: {first['msg'].removeprefix('Value error, ')}"
        if first["type"] == "model_type" and not first["loc"]:
            problem = "it holds no keys and values"
        raise ModelError(f"{path}: {problem}; restore the bundle.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A date such as 2026-13-45 is a bare ValueError.
        raise ModelError(f"{path} is not valid YAML ({' '.join(str(error).split())}); restore the bundle.") from error
    for graphs in bundle.graphs.values():
        for graph in (graphs.audio, graphs.image, graphs.fusion):
            _check_hash(folder / graph.path, graph.sha256)
    return bundle


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in lower-case hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelError(f"{path} is missing from its bundle; restore the bundle.")
    if sha256_of(path) != expected:
        raise ModelError(f"{path} is not the file that bundle.yaml names (its SHA-256 differs); restore the bundle.")
