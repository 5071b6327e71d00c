from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge_avsc.bundle import read_bundle, sha256_of
from edge_avsc.errors import ModelError


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))


def change(folder: Path, alter: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "bundle.yaml"
    description = yaml.safe_load(path.read_text())
    alter(description)
    path.write_text(yaml.safe_dump(description, sort_keys=False))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_bundle(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_whole_bundle_is_read(tiny_folder: Path) -> None:
    bundle = read_bundle(tiny_folder)
    assert bundle.name == "tiny"
    assert len(bundle.labels) == 10
    assert bundle.audio.columns == 37
    assert set(bundle.graphs) == {"cpu"}


@pytest.mark.parametrize("name", ["audio.onnx", "image.onnx", "fusion.onnx"])
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert name in refused(folder)


@pytest.mark.parametrize("name", ["audio.onnx", "image.onnx", "fusion.onnx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refused(folder)


def test_a_folder_without_a_description_is_no_bundle(tmp_path: Path) -> None:
    assert "is no model bundle" in refused(tmp_path)


@pytest.mark.parametrize(
    ("alter", "place"),
    [
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["audio"].update(hopp_samples=400), "audio.hopp_samples"),
        (lambda d: d.pop("labels"), "labels"),
        (lambda d: d.update(labels=["park"]), "labels"),
        (lambda d: d.update(labels=["park", "bus", "park"]), "labels"),
        (lambda d: d.update(schema=2), "schema"),
        (lambda d: d.update(window_s=2.0), "window_s"),
        (lambda d: d["audio"].update(hop_samples=0), "audio.hop_samples"),
        (lambda d: d["audio"].update(hop_samples=300), "audio"),
        (lambda d: d["audio"].update(columns=40), "audio"),
        (lambda d: d["audio"].update(fmax_hz=9000.0), "audio"),
        (lambda d: d["audio"]["normalisation"].update(scale=0.0), "audio.normalisation.scale"),
        (lambda d: d["audio"]["normalisation"].update(mean=float("nan")), "audio.normalisation.mean"),
        (lambda d: d["image"].update(frames_per_s=0), "image.frames_per_s"),
        (lambda d: d["temperature"].update(av=0.0), "temperature.av"),
        (lambda d: d["unsure"].update(threshold=1.0), "unsure.threshold"),
        (lambda d: d.update(graphs={}), "graphs"),
        (lambda d: d["graphs"].update(tpu=d["graphs"]["cpu"]), "graphs.tpu"),
        (lambda d: d["graphs"]["cpu"].pop("fusion"), "graphs.cpu.fusion"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, alter: Callable[[dict[str, Any]], None], place: str) -> None:
    change(folder, alter)
    assert f"bundle.yaml: {place}" in refused(folder)


GRAPH_CHANGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda g: g["audio"]["inputs"].update(mel=g["audio"]["inputs"].pop("log_mel")), "log_mel"),
    (lambda g: g["audio"]["outputs"].update(x=g["audio"]["outputs"].pop("audio_embedding")), "audio_embedding"),
    (lambda g: g["image"]["outputs"].update(x=g["image"]["outputs"].pop("image_embedding")), "image_embedding"),
    (lambda g: g["fusion"]["inputs"].pop("present"), "present"),
    (lambda g: g["fusion"]["outputs"].pop("logits"), "logits"),
    (lambda g: g["fusion"]["outputs"].pop("none_logit"), "none_logit"),
    (lambda g: g["fusion"]["outputs"]["logits"].update(shape=["batch", 9]), "logits"),
]


@pytest.mark.parametrize(("alter", "name"), GRAPH_CHANGES)
def test_graphs_that_do_not_fit_the_road_are_refused(
    folder: Path, alter: Callable[[dict[str, Any]], Any], name: str
) -> None:
    change(folder, lambda d: alter(d["graphs"]["cpu"]))
    assert f"'{name}'" in refused(folder)


def test_the_largest_probability_needs_no_logit_for_none(folder: Path) -> None:
    def alter(description: dict[str, Any]) -> None:
        description["unsure"]["score"] = "max_probability"
        description["graphs"]["cpu"]["fusion"]["outputs"].pop("none_logit")

    change(folder, alter)
    assert read_bundle(folder).unsure.score == "max_probability"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "just a word",
        "- 1",
        "a: 2026-13-45",
        "\x00",
        "a: &a [*a]",
        "a: !!python/object:os.system {}",
        "[" * 3000,
    ],
)
def test_what_is_no_description_is_refused(folder: Path, text: str) -> None:
    (folder / "bundle.yaml").write_text(text)
    refused(folder)


def test_what_is_no_text_is_refused(folder: Path) -> None:
    (folder / "bundle.yaml").write_bytes(b"name: \xff\xfe")
    assert "not valid YAML" in refused(folder)


def test_a_description_with_one_changed_byte_is_read_or_refused_in_one_sentence(folder: Path) -> None:
    path = folder / "bundle.yaml"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    sentences: list[str] = []
    for at in rng.choice(len(whole), 150, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[at] = int(rng.choice([0, 9, 10, 35, 45, 58, 91, 123, 200, damaged[at] ^ 1]))
        path.write_bytes(damaged)
        try:
            read_bundle(folder)
        except ModelError as error:
            sentences.append(str(error))
    assert not any("\n" in sentence for sentence in sentences)
    assert len(sentences) > 50


def test_settings_of_a_model_cannot_be_changed(tiny_folder: Path) -> None:
    bundle = read_bundle(tiny_folder)
    with pytest.raises(ValueError, match="frozen"):
        bundle.audio.columns = 3
    assert copy.deepcopy(bundle) == bundle


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
