"""SceneModel: a bundle, its feature functions and a backend, in three parts that each run when their input is whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import float32, float64, uint8
from numpy.typing import NDArray

from edge_avsc.backends import open_backend
from edge_avsc.backends.base import Backend, GraphKind, Watch
from edge_avsc.bundle import Bundle, read_bundle
from edge_avsc.errors import ModelError, nearest
from edge_avsc.features import LogMel, normalised_picture
from edge_avsc.parity import largest_difference
from edge_avsc.types import Modality, Prediction

DEFAULT_MODEL = "avsc-lite"


class SceneModel:
    """A loaded and warmed-up bundle; *graphs* are those that the backend takes, unless others are given."""

    def __init__(self, folder: Path, bundle: Bundle, backend: Backend, graphs: GraphKind | None = None) -> None:
        graphs = graphs or backend.graphs
        if graphs not in bundle.graphs:
            raise ModelError(f"{folder} has no graphs for '{graphs}', only for {sorted(bundle.graphs)}.")
        parts = bundle.graphs[graphs]
        self.folder = folder
        self.bundle = bundle
        self.backend = backend
        self.fallback: str | None = None
        """One sentence when another provider serves than the first that was asked for."""
        self.log_mel = LogMel(bundle.audio)
        self._audio = backend.load(folder / parts.audio.path, parts.audio)
        self._image = backend.load(folder / parts.image.path, parts.image)
        self._fusion = backend.load(folder / parts.fusion.path, parts.fusion)
        self._absent_audio, self._absent_image = self._warm_up()

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        backend: str = "onnxruntime",
        provider: str | Sequence[str] = "cpu",
        threads: int = 1,
        watch: Watch | None = None,
    ) -> SceneModel:
        """Load a shipped bundle by its name, or any bundle by its folder, and check that it computes what it should.

        backend: onnxruntime, tensorrt or tensorrt_rtx. provider: cpu, cuda, tensorrt or openvino, what ONNX Runtime
        computes on; of several the first that serves, and ``model.fallback`` says so when it is not the first of all.
        threads: of the CPU. watch: is told of engines that must be built first.
        Raises ModelError when the bundle is not whole, or what was asked for is not there, does not serve, or differs
        from the float model by more than the bundle's tolerance.
        """
        folder = find_bundle(model)
        bundle = read_bundle(folder)
        refused: list[str] = []
        ladder = (provider,) if isinstance(provider, str) else provider
        # Providers are a matter of ONNX Runtime.
        for rung in ladder if backend == "onnxruntime" else ("cpu",):
            try:
                loaded = cls(folder, bundle, open_backend(backend, rung, threads=threads, watch=watch))
                loaded.check_parity()
            except ModelError as error:
                refused.append(str(error))
                continue
            if refused:
                loaded.fallback = instead(refused, loaded.backend.provider)
            return loaded
        raise ModelError(" ".join(dict.fromkeys(refused)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The scene labels, in the order of all probabilities."""
        return self.bundle.labels

    def check_parity(self) -> float:
        """Score the golden inputs; return the largest difference of a probability from the float model's.

        Raises ModelError, with the numbers, when it is over the bundle's tolerance.
        """
        worst = largest_difference(self, self.folder, self.bundle.golden)
        tolerance = self.bundle.golden.tolerance
        if not worst <= tolerance:
            raise ModelError(
                f"{self.backend.provider} does not compute what {self.bundle.name} should: a probability of the golden "
                f"inputs differs by {worst:.4f} from the float model's, over the tolerance of {tolerance:g}; "
                "restore the bundle, or take another backend."
            )
        return worst

    def embed_pictures(self, pictures: NDArray[uint8]) -> NDArray[float32]:
        """Return the embeddings ``[n, n_features]`` of square RGB pictures ``[n, size_px, size_px, 3]``."""
        return self.encode_pictures(np.stack([normalised_picture(picture, self.bundle.image) for picture in pictures]))

    def encode_pictures(self, prepared: NDArray[float32]) -> NDArray[float32]:
        """Return the embeddings ``[n, n_features]`` of normalised pictures ``[n, 3, size_px, size_px]``."""
        embeddings: NDArray[float32] = self._image.run({"picture": prepared})["image_embedding"]
        return embeddings

    def embed_sound(self, columns: NDArray[float32]) -> NDArray[float32]:
        """Return the embedding ``[n_features]`` of one window's columns ``[n_columns, column_size]``."""
        embedding: NDArray[float32] = self._audio.run({"log_mel": columns[None]})["audio_embedding"][0]
        return embedding

    def fuse(self, sound: NDArray[float32] | None, pictures: NDArray[float32] | None) -> Prediction:
        """Return the prediction from a sound embedding and the window's picture embeddings ``[n, n_features]``.

        Either may be None; at least one must be there. Raises ModelError when what is computed is no number.
        """
        modality: Modality = ("av" if pictures is not None else "a") if sound is not None else "v"
        if sound is None and pictures is None:
            raise ValueError("neither sound nor pictures")
        outputs = self._fusion.run(
            {
                "audio_embedding": (self._absent_audio if sound is None else sound)[None],
                "image_embedding": (self._absent_image if pictures is None else pictures.mean(axis=0))[None],
                "present": np.array([[sound is not None, pictures is not None]], float32),
            }
        )
        if not all(np.isfinite(output).all() for output in outputs.values()):
            raise ModelError(
                f"{self.backend.provider} computed what is no number from {self.bundle.name}; run 'edge-avsc doctor', "
                "and take another provider if it stays so."
            )
        temperature = getattr(self.bundle.temperature, modality)
        probabilities = softmax(outputs["logits"][0].astype(float64) / temperature)
        if self.bundle.unsure.score == "none_of_ours":
            none_of_ours = float(1.0 / (1.0 + np.exp(-float64(outputs["none_logit"][0, 0]))))
        else:
            none_of_ours = 1.0 - float(probabilities.max())
        return Prediction(tuple(probabilities.tolist()), none_of_ours, modality)

    def _warm_up(self) -> tuple[NDArray[float32], NDArray[float32]]:
        """Run each graph once, so that the first window is as fast as the others; return what absence looks like."""
        audio, image = self.bundle.audio, self.bundle.image
        self._absent_audio = np.zeros_like(self.embed_sound(np.zeros((audio.columns, audio.column_size), float32)))
        blank = np.zeros((1, image.size_px, image.size_px, 3), uint8)
        self._absent_image = np.zeros_like(self.embed_pictures(blank)[0])
        self.fuse(self._absent_audio, self._absent_image[None])
        return self._absent_audio, self._absent_image


def instead(refused: Sequence[str], provider: str) -> str:
    """Return the sentence that says why what was asked for does not serve, and what does."""
    whys = [why.partition("; ")[0].rstrip(".") for why in refused]
    return f"{'; '.join(whys)}; {provider} serves instead."


def softmax(logits: NDArray[float64]) -> NDArray[float64]:
    """Return probabilities that sum to 1."""
    scaled = np.exp(logits - logits.max())
    normalised: NDArray[float64] = scaled / scaled.sum()
    return normalised


def bundle_folders() -> list[Path]:
    """Return the folders that hold shipped bundles: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return [folder for folder in (package / "models", package.parent / "models") if folder.is_dir()]


def find_bundle(model: str | Path) -> Path:
    """Return the folder of a bundle given by a shipped name, a folder, or ``models/<shipped name>``.

    Raises ModelError when there is none.
    """
    given = Path(model)
    if given.is_dir():
        return given
    shipped = {path.name: path for folder in bundle_folders() for path in folder.iterdir() if path.is_dir()}
    is_name = given.parts in ((given.name,), ("models", given.name))
    if is_name and given.name in shipped:
        return shipped[given.name]
    raise ModelError(
        f"There is no model '{model}'; give one of {sorted(shipped)} or the folder of a bundle."
        + nearest(given.name, shipped)
    )
