from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_avsc.backends._engines import MAGIC, BrokenEngineError, EngineCache, EngineKey, cache_folder
from edge_avsc.errors import ModelError

KEY = EngineKey("a" * 64, "tensorrt 10.3.0", "sm_87 Orin", "linux aarch64", "batch 1 1 16")
PLAN = bytes(range(256)) * 20


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "not there yet" / "engines")


def test_what_is_written_is_read_again(cache: EngineCache) -> None:
    assert cache.read("audio", KEY) is None
    path = cache.write("audio", KEY, PLAN)
    assert cache.read("audio", KEY) == PLAN
    assert path == cache.path("audio", KEY)
    assert path.name.startswith("audio.sm_87_Orin.")
    assert [one.name for one in cache.folder.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("field", ["graph", "library", "device", "platform", "options"])
def test_the_key_changes_with_all_that_matters(cache: EngineCache, field: str) -> None:
    changed = replace(KEY, **{field: "something else"})
    cache.write("audio", KEY, PLAN)
    assert changed.digest != KEY.digest
    assert cache.read("audio", changed) is None


@pytest.mark.parametrize("length", [0, 1, len(MAGIC) - 1, len(MAGIC), len(MAGIC) + 9, 400, -1])
def test_a_truncated_engine_is_found(cache: EngineCache, length: int) -> None:
    path = cache.write("audio", KEY, PLAN)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BrokenEngineError, match=r"audio\.sm_87_Orin\.\w+\.engine is (cut off|no engine of edge-avsc)"):
        cache.read("audio", KEY)


def test_a_changed_engine_is_found(cache: EngineCache) -> None:
    path = cache.write("audio", KEY, PLAN)
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    with pytest.raises(BrokenEngineError, match="cut off or changed"):
        cache.read("audio", KEY)


def test_the_engine_of_something_else_is_found(cache: EngineCache) -> None:
    other = replace(KEY, library="tensorrt 8.6.2")
    cache.write("audio", other, PLAN).rename(cache.path("audio", KEY))
    with pytest.raises(BrokenEngineError, match="the engine of something else"):
        cache.read("audio", KEY)


@pytest.mark.parametrize("content", [b"ftrt" + PLAN, MAGIC + b"[]\n" + PLAN, MAGIC + b"\xff\n"])
def test_a_foreign_file_is_found(cache: EngineCache, content: bytes) -> None:
    path = cache.write("audio", KEY, PLAN)
    path.write_bytes(content)
    with pytest.raises(BrokenEngineError):
        cache.read("audio", KEY)


def test_a_folder_in_its_place_is_found(cache: EngineCache) -> None:
    cache.path("audio", KEY).mkdir(parents=True)
    with pytest.raises(BrokenEngineError, match="cannot be read"):
        cache.read("audio", KEY)


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for refuses in (EngineCache(tmp_path / "file" / "engines"), EngineCache(Path("/proc/engines"))):
        for attempt in (refuses.check, lambda refuses=refuses: refuses.write("audio", KEY, PLAN)):
            with pytest.raises(ModelError, match=r"cannot be written \(.*make room there .*EDGE_AVSC_CACHE\.$"):
                attempt()


def test_what_was_measured_is_kept_for_each_gpu_and_library(cache: EngineCache) -> None:
    assert cache.timing("tensorrt 10.3.0", "sm_87 Orin") == b""
    cache.write_timing("tensorrt 10.3.0", "sm_87 Orin", b"measured")
    assert cache.timing("tensorrt 10.3.0", "sm_87 Orin") == b"measured"
    assert cache.timing("tensorrt 10.4.0", "sm_87 Orin") == b""
    assert cache.timing("tensorrt 10.3.0", "sm_87 Xavier") == b""


def test_the_folder_is_the_named_one_or_the_users() -> None:
    assert cache_folder({"EDGE_AVSC_CACHE": "/engines", "XDG_CACHE_HOME": "/cache"}) == Path("/engines")
    assert cache_folder({"XDG_CACHE_HOME": "/cache"}) == Path("/cache/edge_avsc")
    assert cache_folder({}) == Path.home() / ".cache" / "edge_avsc"
