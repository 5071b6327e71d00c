from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edge_avsc.backends.onnxruntime import PROVIDERS, OnnxRuntimeBackend
from edge_avsc.bundle import Bundle, GraphSpec, TensorSpec, read_bundle
from edge_avsc.errors import ModelError


@pytest.fixture
def bundle(tiny_folder: Path) -> Bundle:
    return read_bundle(tiny_folder)


@pytest.fixture
def audio(bundle: Bundle) -> GraphSpec:
    return bundle.graphs["cpu"].audio


def absent_provider() -> str:
    """A provider that this build does not have; every build lacks one of them."""
    return next(name for name, known in PROVIDERS.items() if known not in onnxruntime.get_available_providers())


def altered(spec: GraphSpec, **changes: dict[str, TensorSpec]) -> GraphSpec:
    return spec.model_copy(update=changes)


def test_nothing_is_reported_to_anybody(tiny_folder: Path, tmp_path: Path) -> None:
    code = "import sys; from edge_avsc.model import SceneModel; SceneModel.load(sys.argv[1])"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | home
    subprocess.run([sys.executable, "-c", code, str(tiny_folder)], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_a_graph_is_run_as_its_description_says(tiny_folder: Path, audio: GraphSpec) -> None:
    runner = OnnxRuntimeBackend().load(tiny_folder / audio.path, audio)
    columns = np.random.default_rng(0).normal(0, 1, (3, 37, 16)).astype(np.float32)
    outputs = runner.run({"log_mel": columns})
    assert list(outputs) == ["audio_embedding"]
    assert outputs["audio_embedding"].shape == (3, 8)
    for n in range(3):
        alone = runner.run({"log_mel": columns[n : n + 1]})["audio_embedding"]
        np.testing.assert_allclose(alone[0], outputs["audio_embedding"][n], atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"mel": np.zeros((1, 37, 16), np.float32)}, "'mel'"),
        ({}, "log_mel"),
        (
            {"log_mel": np.zeros((1, 37, 16), np.float32), "more": np.zeros(1, np.float32)},
            "'more'",
        ),
        ({"log_mel": np.zeros((1, 36, 16), np.float32)}, "'log_mel' is float32[1, 36, 16], expected float32"),
        ({"log_mel": np.zeros((37, 16), np.float32)}, "'log_mel' is float32[37, 16]"),
        ({"log_mel": np.zeros((1, 37, 16), np.float64)}, "'log_mel' is float64[1, 37, 16]"),
    ],
)
def test_wrong_input_is_refused_at_the_door(
    tiny_folder: Path, audio: GraphSpec, inputs: dict[str, Any], named: str
) -> None:
    runner = OnnxRuntimeBackend().load(tiny_folder / audio.path, audio)
    with pytest.raises(ModelError) as caught:
        runner.run(inputs)
    assert named in str(caught.value)
    assert "audio.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"inputs": {"mel": TensorSpec(shape=("batch", 37, 16))}}, "['mel']"),
        ({"inputs": {"log_mel": TensorSpec(shape=("batch", 38, 16))}}, "'log_mel' is float32['batch', 37, 16]"),
        ({"inputs": {"log_mel": TensorSpec(shape=(1, 37, 16))}}, "'log_mel'"),
        ({"outputs": {"embedding": TensorSpec(shape=("batch", 8))}}, "['embedding']"),
        ({"outputs": {"audio_embedding": TensorSpec(shape=("batch", 9))}}, "'audio_embedding'"),
    ],
)
def test_a_graph_that_is_not_the_described_one_is_refused(
    tiny_folder: Path, audio: GraphSpec, changes: dict[str, dict[str, TensorSpec]], named: str
) -> None:
    with pytest.raises(ModelError) as caught:
        OnnxRuntimeBackend().load(tiny_folder / audio.path, altered(audio, **changes))
    assert named in str(caught.value)
    assert "audio.onnx" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"This is a text.\n", b"\x08\x08" * 500])
def test_a_file_that_is_no_graph_is_refused_in_one_sentence(tmp_path: Path, audio: GraphSpec, content: bytes) -> None:
    path = tmp_path / "audio.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        OnnxRuntimeBackend().load(path, audio)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("restore the bundle.")


def test_a_provider_that_is_not_to_be_had_is_replaced_by_the_cpu_and_said(tiny_folder: Path, audio: GraphSpec) -> None:
    name = absent_provider()
    backend = OnnxRuntimeBackend(name)
    assert backend.provider == "CPUExecutionProvider"
    assert backend.fallback is not None
    assert PROVIDERS[name] in backend.fallback
    assert backend.fallback.endswith(".")
    assert backend.max_batch == 1
    backend.load(tiny_folder / audio.path, audio).run({"log_mel": np.zeros((1, 37, 16), np.float32)})


def test_the_cpu_needs_no_fallback() -> None:
    backend = OnnxRuntimeBackend("cpu")
    assert (backend.provider, backend.fallback, backend.max_batch) == ("CPUExecutionProvider", None, 1)


def test_a_provider_that_nobody_knows_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"'cudo'.*cpu.*Did you mean 'cuda'"):
        OnnxRuntimeBackend("cudo")
