"""A recipe's settings, frozen; what may be written into ``configs/recipes/*.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_avsc.bundle import MIXES, AudioFrontEnd, AudioNormalisation, Bank, ImageFrontEnd, ImageNormalisation


class Frozen(BaseModel):
    """Settings that do not change and know no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SoundNetwork(Frozen):
    """One network over a window's columns; its output is (a part of) the sound embedding.

    scse_resnet: residual convolutions with concurrent squeeze and excitation (Naranjo-Alcazar). conv1d: convolutions
    over time, bands as channels (Zhang). cp_mobile: inverted residuals with global response norm. fcnn, resnet: plain
    and residual 2-D convolutions. cnn14, vggish, openl3: trunks as their packages have them. sequence: a transformer
    layer and four convolutions over *of*'s features in time (Hou).
    """

    kind: Literal["scse_resnet", "conv1d", "cp_mobile", "fcnn", "resnet", "cnn14", "vggish", "openl3", "sequence"]
    widths: tuple[int, ...] = ()
    banks: tuple[Bank, ...] = ()
    every: int = Field(default=1, ge=1, description="takes each so many-th column")
    depth: int = Field(default=2, ge=1, description="blocks for each width")
    heads: int = Field(default=8, ge=1)
    of: Literal["openl3", "fcnn"] = "openl3"
    scale: float = Field(default=1.0, gt=0, le=1, description="shrinks a known trunk's widths, for reduced forms")
    weights: str | None = Field(
        default=None, description="a package that brings weights, or a file; none: from scratch"
    )


class Sound(Frozen):
    """The front end, and the networks side by side over its columns."""

    front_end: tuple[Bank, ...] = ("log_mel",)
    mix: Literal["mono", "left_right", "average_difference", "left_right_difference"] = "mono"
    sample_rate_hz: int
    n_fft: int
    hop_samples: int
    n_mels: int
    fmin_hz: float = 20.0
    fmax_hz: float
    floor: float = Field(1e-6, gt=0)
    networks: tuple[SoundNetwork, ...] = Field(min_length=1)

    def front(self) -> AudioFrontEnd:
        """Return the bundle's front end: as many columns as fit into a second at every alignment.

        Its values are plain logarithms; the network normalises them, each signal of each bank by itself.
        """
        columns = (self.sample_rate_hz - self.n_fft - self.hop_samples + 1) // self.hop_samples + 1
        return AudioFrontEnd(
            front_end=self.front_end[0] if len(self.front_end) == 1 else self.front_end,
            sample_rate_hz=self.sample_rate_hz,
            channels=MIXES[self.mix],
            mix=self.mix,
            n_fft=self.n_fft,
            hop_samples=self.hop_samples,
            n_mels=self.n_mels,
            fmin_hz=self.fmin_hz,
            fmax_hz=self.fmax_hz,
            columns=columns,
            normalisation=AudioNormalisation(floor=self.floor, mean=0.0, scale=1.0),
        )


class Backbone(Frozen):
    """A picture's network. timm: *name* as timm has it; openl3: the image trunk; small: a little residual network."""

    kind: Literal["timm", "openl3", "small"]
    name: str = ""
    widths: tuple[int, ...] = (16, 32, 64)
    pretrained: bool = True
    pool: Literal["average", "average_max"] = "average"
    weights: str | None = None
    project: int | None = Field(default=None, gt=0, description="a linear layer behind it, so wide")


class Picture(Frozen):
    """Size and number of pictures, and the backbones side by side over each."""

    size_px: int = Field(gt=0)
    frames_per_s: int = Field(default=2, gt=0)
    backbones: tuple[Backbone, ...] = Field(min_length=1)

    def front(self) -> ImageFrontEnd:
        """Return the bundle's front end, normalised as for ImageNet."""
        return ImageFrontEnd(
            size_px=self.size_px,
            frames_per_s=self.frames_per_s,
            normalisation=ImageNormalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        )


class Fusion(Frozen):
    """How embeddings become logits.

    dense_heads: a head for each modality, and one over both (the challenge's baseline). early: one head over both
    embeddings. late: the heads' log-probabilities, averaged. hybrid: the mean of early and late. transformer: a layer
    over the sequence of sound, the picture beside each step. tokens: a transformer over one token for each network.
    ensemble: a member for each picture backbone, weighted by class, then a floor.
    """

    kind: Literal["dense_heads", "early", "late", "hybrid", "transformer", "tokens", "ensemble"]
    widths: tuple[int, ...] = ()
    heads: int = Field(default=8, ge=1)
    layers: int = Field(default=1, ge=1)
    feed_forward: int = Field(default=512, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_widths(self) -> Fusion:
        needed = {"dense_heads": 2, "tokens": 1}.get(self.kind, 0)
        if len(self.widths) < needed:
            raise ValueError(f"{self.kind} needs at least {needed} widths")
        return self


class Augmentation(Frozen):
    """What training does to its material; 0 is off, shares are of the windows.

    mixup: the Beta distribution's parameter, each modality by a draw of its own unless *joint*. spec_augment: masks of
    time and bands. channel_confusion: share with left and right exchanged. pitch_shift: in bands, up to so many.
    """

    mixup: float = Field(default=0.0, ge=0)
    joint: bool = True
    spec_augment: bool = False
    channel_confusion: float = Field(default=0.0, ge=0, le=1)
    pitch_shift: int = Field(default=0, ge=0)
    colour_jitter: float = Field(default=0.0, ge=0, le=1)
    random_resized_crop: float = Field(
        default=0.0, ge=0, lt=1, description="the least share of a side that is kept; 0: off"
    )
    flip: bool = False


class Stage(Frozen):
    """A part of a run: which losses, for how many epochs; *only* the fusion's layers whose names begin so learn."""

    epochs: int = Field(ge=1)
    losses: dict[Literal["both", "audio", "video", "members"], Annotated[float, Field(gt=0)]]
    only: tuple[str, ...] = ()


class Training(Frozen):
    """The run. hop_s: from window to window in training; validation takes 1 s, as the challenge scores."""

    batch: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    stages: tuple[Stage, ...] = Field(min_length=1)
    patience: int = Field(
        default=20, ge=1, description="epochs without a better validation log-loss, then a stage ends"
    )
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    hop_s: float = Field(default=1.0, gt=0)
    seed: int = 1


class Recipe(Frozen):
    """The whole of a recipe file, but its section ``reduced``, which was laid over it or left out."""

    version: Literal[1] = 1
    name: str
    note: str = Field(description="one sentence: what is sourced, inferred, unknown")
    labels: tuple[str, ...] = ()
    sound: Sound | None = None
    picture: Picture | None = None
    fusion: Fusion
    frozen_encoders: bool = Field(False, description="encoders stay as they are; their embeddings are kept on disk")
    augmentation: Augmentation = Augmentation()
    training: Training
    weights: Literal["float32", "float16"] = "float32"
    parameters: dict[str, Any] = Field(default_factory=dict, description="as published; the summary shows them")

    @model_validator(mode="after")
    def _has_something(self) -> Recipe:
        if self.sound is None and self.picture is None:
            raise ValueError("a recipe needs 'sound', 'picture' or both")
        return self


class Vote(Frozen):
    """A recipe that trains nothing itself: the majority vote of others."""

    version: Literal[1] = 1
    name: str
    note: str
    vote_of: tuple[str, ...] = Field(min_length=2)


class ProjectPlan(Frozen):
    """A recipe with a program of its own: ``avsc-lite``, whose data is no TAU dataset."""

    version: Literal[1] = 1
    name: str
    note: str
    program: Literal["avsc-lite"]
    steps: tuple[str, ...] = Field(min_length=1, description="of edge_avsc.training.avsc_lite.Workshop, in order")
    plan: dict[str, Any] = Field(default_factory=dict, description="values of its Plan other than the usual")


class OwnScenes(Frozen):
    """A recipe for a folder of ``<label>/<recordings>``, without PyTorch.

    built_upon: a bundle's folder or shipped name, whose encoders stay as they are. keep_labels: whether its labels
    stay.
    """

    version: Literal[1] = 1
    name: str
    note: str
    built_upon: str = Field(min_length=1)
    keep_labels: bool = False
    seed: int = Field(default=1, ge=0)
