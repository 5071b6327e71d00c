from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_avsc.backends._providers import PROVIDERS, options_for, others_that_served
from edge_avsc.backends._sessions import BoundSession
from edge_avsc.backends.onnxruntime import OnnxRuntimeBackend, saturates
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


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("fma avx avx2", True), ("avx2 avx512f avx512_vnni amx_int8", False), ("avx2 avx_vnni", False), ("", True)],
)
def test_products_of_bytes_saturate_on_x86_without_vnni(flags: str, wanted: bool) -> None:
    assert saturates(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: none\n") is wanted


def test_a_processor_that_does_not_tell_is_taken_to_saturate() -> None:
    assert saturates("")
    assert saturates("processor\t: 0\nFeatures\t: fp asimd asimddp\n")


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


def test_a_provider_that_is_not_to_be_had_is_an_error() -> None:
    """ONNX Runtime itself turns to the CPU without a word; whether that is wanted is for the configuration to say."""
    name = absent_provider()
    with pytest.raises(ModelError, match=rf"{PROVIDERS[name]} is not in this build .*; install .*'provider: cpu'\.$"):
        OnnxRuntimeBackend(name)


def test_the_cpu_is_always_ready(tiny_folder: Path, audio: GraphSpec) -> None:
    backend = OnnxRuntimeBackend("cpu")
    assert (backend.provider, backend.graphs, backend.max_batch) == ("CPUExecutionProvider", "cpu", 1)
    assert backend.ready(tiny_folder / audio.path, audio)


def profile_of_a_run(folder: Path, tmp_path: Path, audio: GraphSpec) -> str:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "run")
    session = onnxruntime.InferenceSession(str(folder / audio.path), options, providers=["CPUExecutionProvider"])
    session.run(None, {"log_mel": np.zeros((1, 37, 16), np.float32)})
    return Path(session.end_profiling()).read_text()


def test_a_profile_tells_who_did_the_work(tiny_folder: Path, tmp_path: Path, audio: GraphSpec) -> None:
    profile = profile_of_a_run(tiny_folder, tmp_path, audio)
    assert others_that_served(profile, "CPUExecutionProvider") == []
    assert others_that_served(profile, "CUDAExecutionProvider") == ["CPUExecutionProvider"]


def test_small_things_may_be_done_by_another(tiny_folder: Path, tmp_path: Path, audio: GraphSpec) -> None:
    """A GPU's provider leaves shapes and the like to the CPU; the work are the products of matrices."""
    profile = profile_of_a_run(tiny_folder, tmp_path, audio).replace("MatMul", "Reshape").replace("Gemm", "Reshape")
    assert others_that_served(profile, "CUDAExecutionProvider") == []


def test_products_of_large_bytes_do_not_saturate(tmp_path: Path) -> None:
    """AVX2 without VNNI adds two products of an unsigned and a signed byte in 16 bits, unless that is avoided."""
    depth = 64

    def constant(name: str, values: Any, dtype: Any) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype), name)

    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["xd"]),
            helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"]),
            helper.make_node("MatMul", ["xd", "wd"], ["y"]),
            helper.make_node("QuantizeLinear", ["y", "y_scale", "x_zero"], ["yq"]),
            helper.make_node("DequantizeLinear", ["yq", "y_scale", "x_zero"], ["out"]),
        ],
        "saturates",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", depth])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 16])],
        [
            constant("x_scale", 1 / 255, np.float32),
            constant("x_zero", 0, np.uint8),
            constant("w", np.full((depth, 16), 127), np.int8),
            constant("w_scale", 1 / 127, np.float32),
            constant("w_zero", 0, np.int8),
            constant("y_scale", 1.25 * depth / 255, np.float32),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "saturates.onnx"
    path.write_bytes(model.SerializeToString())
    spec = GraphSpec(
        path=path.name,
        sha256="",
        inputs={"x": TensorSpec(shape=("batch", depth))},
        outputs={"out": TensorSpec(shape=("batch", 16))},
    )
    products = OnnxRuntimeBackend().load(path, spec).run({"x": np.ones((1, depth), np.float32)})["out"]
    np.testing.assert_allclose(products, depth, rtol=0.01)


def test_bound_inputs_and_outputs_compute_the_same(tiny_folder: Path, bundle: Bundle) -> None:
    """Binding is for GPUs; what it does with arrays can be seen on the CPU."""
    fusion = bundle.graphs["cpu"].fusion
    path, chance = tiny_folder / fusion.path, np.random.default_rng(3)
    bound = BoundSession(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), fusion)
    plain = OnnxRuntimeBackend().load(path, fusion)
    for batch in (1, 4, 2):
        inputs = {
            name: chance.random((batch, *map(int, tensor.shape[1:])), np.float32)
            for name, tensor in fusion.inputs.items()
        }
        for name, output in plain.run(inputs).items():
            np.testing.assert_array_equal(bound.run(inputs)[name], output)
    with pytest.raises(ModelError, match="takes the inputs"):
        bound.run({})


def test_tensorrt_is_told_where_engines_are_kept_and_which_shapes_come(audio: GraphSpec) -> None:
    told = options_for("tensorrt", audio, "1.20", threads=1)
    assert told["trt_engine_cache_path"] == told["trt_timing_cache_path"]
    assert told["trt_profile_min_shapes"] == "log_mel:1x37x16"
    assert told["trt_profile_max_shapes"] == "log_mel:16x37x16"
    later = options_for("tensorrt", audio, "1.21", threads=1)
    assert later["trt_engine_cache_path"] != told["trt_engine_cache_path"]
    assert options_for("cpu", audio, "1.20", threads=1) == {}


def test_a_provider_that_nobody_knows_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"'cudo'.*cpu.*Did you mean 'cuda'"):
        OnnxRuntimeBackend("cudo")
