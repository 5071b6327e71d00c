from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import edge_avsc
from edge_avsc.config import (
    AppConfig,
    ConsoleConfig,
    JsonlConfig,
    SinksConfig,
    SmoothingConfig,
    SourceConfig,
    StreamConfig,
    config_schema,
    dump_config,
    hop_ns,
    load_config,
    parse_config,
)
from edge_avsc.errors import ConfigError

CONTRACT = """
version: 1
model: avsc-lite                     # a shipped bundle's name, or a folder
hop_s: 0.5
max_lateness_ms: 150
streams:                             # any number; each has audio and/or video, or media that holds both
  lobby: {audio: default, video: "v4l2:///dev/video0"}
  yard: {media: "rtsp://camera.local/stream"}
  bench: {media: "test://demo"}
smoothing: {switches_per_hour: 60, min_dwell_s: 2.0, unsure_below: 0.5}
sinks:
  console: {}
  jsonl: {path: labels.jsonl}
"""


def test_the_contracts_example_is_read() -> None:
    config = parse_config(CONTRACT)
    assert config == AppConfig(
        streams={
            "lobby": StreamConfig(audio=SourceConfig(uri="default"), video=SourceConfig(uri="v4l2:///dev/video0")),
            "yard": StreamConfig(media=SourceConfig(uri="rtsp://camera.local/stream")),
            "bench": StreamConfig(media=SourceConfig(uri="test://demo")),
        },
        sinks=SinksConfig(jsonl=JsonlConfig(path="labels.jsonl")),
    )
    assert list(config.streams) == ["lobby", "yard", "bench"]


def test_every_key_has_its_default() -> None:
    config = parse_config("version: 1")
    assert config == AppConfig()
    assert config.hop_s == 0.5
    assert config.max_lateness_ms == 150.0
    assert config.provider == ("cpu",)
    assert config.streams == {}
    assert config.smoothing == SmoothingConfig(switches_per_hour=60.0, min_dwell_s=2.0, unsure_below=0.5)
    assert config.sinks == SinksConfig(console=ConsoleConfig(changes_only=False), jsonl=None)


def test_the_shipped_example_has_every_key_at_its_default() -> None:
    package = Path(edge_avsc.__file__).parent
    # A checkout has the examples beside the package, an installed wheel inside it.
    path = next(p for p in (package.parent / "configs", package / "configs") if p.is_dir()) / "replay.yaml"
    assert load_config(path) == AppConfig()
    given_keys = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(given_keys) == set(AppConfig.model_fields)
    assert set(given_keys["smoothing"]) == set(SmoothingConfig.model_fields)
    assert set(given_keys["sinks"]) == set(SinksConfig.model_fields)


def test_an_empty_section_means_its_defaults() -> None:
    assert parse_config("streams:\nsmoothing:\nsinks:\nversion: 1") == AppConfig()


def test_null_turns_a_sink_off() -> None:
    assert parse_config("sinks: {console: null}").sinks.console is None


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        AppConfig().hop_s = 1.0


def test_a_source_is_a_uri_or_a_mapping() -> None:
    config = parse_config("streams: {a: {audio: default, video: {uri: x, latency_ms: 12}}}")
    assert config.streams["a"].audio == SourceConfig(uri="default", latency_ms=0.0)
    assert config.streams["a"].video == SourceConfig(uri="x", latency_ms=12.0)


def test_variables_are_filled_into_uris_and_nowhere_else() -> None:
    text = "{model: '${X}', streams: {'${X}': {media: 'rtsp://${USER_1}:${X}@$HOST/$${X}/$'}}}"
    config = parse_config(text, environ={"X": "secret", "USER_1": "me"})
    assert config.model == "${X}"
    assert config.streams["${X}"].media == SourceConfig(uri="rtsp://me:secret@$HOST/${X}/$")


WRONG = {
    "": "holds nothing, not keys and values; begin it with 'version: 1'",
    "# only a comment": "holds nothing, not keys and values",
    "- a": "holds a list, not keys and values",
    "plain": 'holds "plain", not keys and values',
    "version: 2": "version is 2; this edge-avsc reads 'version: 1'",
    "version: '1'": "version is \"1\"; this edge-avsc reads 'version: 1'",
    "a: [": "is not valid YAML in line 1: while parsing a flow node",
    "a: 1\n\tb: 2": "is not valid YAML in line 2: ",
    "a: 1\n---\nb: 1": "is not valid YAML in line 2: expected a single document",
    "hop_s: 1\nmodel: x\nhop_s: 2": "is not valid YAML in line 3: the key 'hop_s' is there twice",
    "streams:\n  a: {media: x}\n  'a': {media: y}": "is not valid YAML in line 3: the key 'a' is there twice",
    "model: 2026-13-45": "is not valid YAML: month must be in 1..12",
    "model: \x00": "is not valid YAML: unacceptable character",
    "model: !!python/object:os.x {}": "is not valid YAML in line 1: could not determine a constructor",
    "hop: 1": "there is no key 'hop'. Did you mean 'hop_s'?",
    "smoothing: {min_dwell: 1}": "there is no key 'smoothing.min_dwell'. Did you mean 'min_dwell_s'?",
    "streams: {lobby: {audoi: x}}": "there is no key 'streams.lobby.audoi'. Did you mean 'audio'?",
    "streams: {lobby: {audio: {url: x}}}": "there is no key 'streams.lobby.audio.url'. Did you mean 'uri'?",
    "sinks: {jsonl: {pth: x}}": "there is no key 'sinks.jsonl.pth'. Did you mean 'path'?",
    "sinks: {mqtt: {}}": "there is no key 'sinks.mqtt'. The keys there are console, jsonl.",
    "1: 2": "the key 1 is not text; write it in quotes",
    "streams: {on: {media: x}}": "streams has the key true; write it in quotes",
    "streams: {'': {media: x}}": "streams: '' is no name for a stream",
    "streams: {' ': {media: x}}": "streams: ' ' is no name for a stream",
    'streams: {"a\\nb": {media: x}}': r"streams: 'a\nb' is no name for a stream",
    "streams: [a]": "streams is a list; it must be a mapping of keys and values",
    "streams: {a: {}}": "streams.a: give audio and/or video, or media alone",
    "streams: {a: {media: x, audio: y}}": "streams.a: give audio and/or video, or media alone",
    "streams: {a: {audio: {latency_ms: 3}}}": "streams.a.audio.uri is missing; add it",
    "streams: {a: {audio: ''}}": 'streams.a.audio.uri is ""; it must have at least 1 character',
    "streams: {a: {audio: 3}}": "streams.a.audio is 3; it must be a URI or a mapping of keys and values",
    "streams: {a: {audio: '${CAM}'}}": "streams.a.audio.uri: the environment variable CAM is not set; set it",
    "streams: {a: {audio: 'x${'}}": "streams.a.audio.uri: '${' must be followed by a variable's name and '}'",
    "streams: {a: {audio: '${A-B}'}}": "streams.a.audio.uri: '${' must be followed by a variable's name and '}'",
    "hop_s: fast": 'hop_s is "fast"; it must be a valid number',
    "hop_s: true": "hop_s is true; it must be a valid number",
    "hop_s: .nan": "hop_s is NaN; it must be a finite number",
    "hop_s: 0.01": "hop_s is 0.01; it must be greater than or equal to 0.05",
    "hop_s: 61": "hop_s is 61; it must be less than or equal to 60",
    "hop_s: 0.07": "The hop is 0.07 s; it must be a multiple of 0.05 s from 0.05 to 60",
    "hop_s: 0.5000001": "The hop is 0.5000001 s; it must be",
    "provider: gpu": "provider.0 is \"gpu\"; it must be 'cpu', 'cuda', 'tensorrt' or 'openvino'",
    "provider: [tensorrt, gpu]": "provider.1 is \"gpu\"; it must be 'cpu', 'cuda', 'tensorrt' or 'openvino'",
    "provider: [tensort, cpu]": "'tensorrt' or 'openvino'. Did you mean 'tensorrt'?",
    "provider: []": "provider: write the name of a provider, or a list of such names",
    "provider: 3": "provider: write the name of a provider, or a list of such names",
    "backend: tensorflow": "backend is \"tensorflow\"; it must be 'onnxruntime', 'tensorrt' or 'tensorrt_rtx'",
    "backend: onnx-runtime": "'onnxruntime', 'tensorrt' or 'tensorrt_rtx'. Did you mean 'onnxruntime'?",
    "smoothing: 3": "smoothing is 3; it must be a mapping of keys and values",
    "smoothing: {unsure_below: 2}": "smoothing.unsure_below is 2; it must be less than or equal to 1",
    "sinks: {jsonl: {path: 3}}": "sinks.jsonl.path is 3; it must be a valid string",
    "sinks: {console: {changes_only: 1}}": "sinks.console.changes_only is 1; it must be a valid boolean",
    f"model: [{'x' * 90}]": "model is a list; it must be a valid string",
    f"hop_s: {'x' * 90}": f'hop_s is "{"x" * 56}…; it must be a valid number',
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="live.yaml", environ={})
    message = str(caught.value)
    assert WRONG[text] in message
    assert message.startswith("live.yaml")
    assert message.endswith((".", "?"))
    assert "\n" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["provider: gpu", "backend: tensorflow"])
def test_another_word_is_not_taken_for_a_misspelt_one(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert "Did you mean" not in str(caught.value)


def test_an_unknown_key_comes_before_what_it_made_missing() -> None:
    with pytest.raises(ConfigError, match=r"no key 'streams\.a\.audio\.uir'\. Did you mean 'uri'"):
        parse_config("streams: {a: {audio: {uir: x}}}")


def test_a_file_that_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text("version: 1")
    with pytest.raises(ConfigError, match=r"There is no configuration file .*lvie\.yaml\. Did you mean 'live\.yaml'\?"):
        load_config(tmp_path / "lvie.yaml")


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a configuration file"):
        load_config(tmp_path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"version: \xff")
    with pytest.raises(ConfigError, match=r"a\.yaml is no text in UTF-8 \(byte 10\)"):
        load_config(tmp_path / "a.yaml")


def test_a_path_through_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "a.yaml" / "b.yaml")


@pytest.mark.parametrize("hop_s", [0.05, 0.1, 0.1 + 0.2, 0.5, 1.0, 59.95, 60.0])
def test_a_hop_is_whole_steps(hop_s: float) -> None:
    assert hop_ns(hop_s) == round(hop_s * 20) * 50_000_000
    assert AppConfig(hop_s=hop_s).hop_s == hop_ns(hop_s) / 1e9


@pytest.mark.parametrize("hop_s", [0.0, -0.5, 0.04, 0.07, 0.500001, 60.05, 1e9, float("inf"), float("nan")])
def test_other_hops_are_refused(hop_s: float) -> None:
    with pytest.raises(ConfigError, match="it must be a multiple of"):
        hop_ns(hop_s)


def test_the_schema_knows_every_field_and_says_what_it_is() -> None:
    schema = config_schema()
    json.dumps(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    assert schema["properties"]["hop_s"]["default"] == 0.5
    text, mapping = schema["$defs"]["SourceConfig"]["anyOf"]
    assert text["type"] == "string"
    assert mapping["required"] == ["uri"]
    for settings in (schema, mapping, *(one for one in schema["$defs"].values() if "properties" in one)):
        for name, field in settings["properties"].items():
            # Where a field says the same as its section, only the section says it.
            assert field.get("description", "$ref" in field and ".").endswith("."), name


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
names = st.text(min_size=1).filter(lambda name: name.isprintable() and bool(name.strip()))
sources = st.builds(SourceConfig, uri=printable | st.text("${}A", min_size=1), latency_ms=st.floats(-10_000, 10_000))
absent: st.SearchStrategy[Any] = st.none()
streams = st.one_of(
    st.builds(StreamConfig, media=sources),
    st.builds(StreamConfig, audio=sources, video=absent | sources),
    st.builds(StreamConfig, video=sources),
)
configs = st.builds(
    AppConfig,
    model=printable,
    hop_s=st.integers(1, 1200).map(lambda steps: steps * 0.05),
    max_lateness_ms=st.floats(0, 10_000),
    backend=st.sampled_from(["onnxruntime", "tensorrt", "tensorrt_rtx"]),
    provider=st.lists(st.sampled_from(["cpu", "cuda", "tensorrt", "openvino"]), min_size=1, max_size=3).map(tuple),
    streams=st.dictionaries(names, streams, max_size=3),
    smoothing=st.builds(
        SmoothingConfig,
        switches_per_hour=st.floats(0, 36_000, exclude_min=True),
        min_dwell_s=st.floats(0, 3600),
        unsure_below=st.floats(0, 1),
    ),
    sinks=st.builds(
        SinksConfig,
        console=absent | st.builds(ConsoleConfig, changes_only=st.booleans()),
        jsonl=absent | st.builds(JsonlConfig, path=printable),
    ),
)


@given(configs)
def test_what_is_dumped_loads_to_the_same(config: AppConfig) -> None:
    assert parse_config(dump_config(config), environ={}) == config


def test_a_dumped_source_without_options_is_a_uri() -> None:
    config = parse_config("streams: {a: {audio: default, video: {uri: x, latency_ms: 5}}}")
    assert "    audio: default\n    video:\n      uri: x\n      latency_ms: 5.0\n" in dump_config(config)
