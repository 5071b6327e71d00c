from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from edge_avsc.errors import ConfigError
from edge_avsc.evaluation.datasets import Row
from edge_avsc.evaluation.splicing import LONGEST_NS, Plan, Splice, plan
from edge_avsc.model import SceneModel
from edge_avsc.types import NS_PER_MS, NS_PER_S, AudioChunk, Item, SourceEnded, VideoFrame, available_ns
from recordings import Sound, write_recording


def row(name: str, label: str | None, audio: Path | None = None, video: Path | None = None) -> Row:
    return Row(name, audio, video, label, name, None)


ROWS = [row(f"{label}-{i}", label) for label, n in (("bus", 1), ("park", 3), ("tram", 5)) for i in range(n)]


def ten_seconds(_: Row) -> int:
    return LONGEST_NS


def scenes(planned: Plan) -> list[tuple[str | None, int]]:
    return [(label, len(list(of))) for label, of in groupby(row.scene_label for row in planned.rows)]


def test_scenes_change_take_turns_and_last_about_as_long_as_wanted() -> None:
    found = scenes(plan(ROWS, seconds=36_000, stay_s=60, seed=1, length_ns=ten_seconds))
    assert 36_000 <= 10 * sum(n for _, n in found) <= 36_000 + 180
    visits = Counter(label for label, _ in found)
    assert max(visits.values()) - min(visits.values()) <= 1
    lengths = np.array([n for _, n in found])
    assert lengths.min() >= 3
    assert lengths.max() <= 9
    # A scene ends with a clip, so it lasts half a clip longer than was drawn.
    assert 10 * lengths.mean() == pytest.approx(65, abs=3)


def test_clips_of_a_label_take_turns() -> None:
    planned = plan(ROWS, seconds=7_200, stay_s=60, seed=2, length_ns=ten_seconds)
    times = Counter(row.name for row in planned.rows)
    for label in ("park", "tram"):
        mine = [n for name, n in times.items() if name.startswith(label)]
        assert max(mine) - min(mine) <= 1


def test_a_seed_says_all() -> None:
    plans = [plan(ROWS, seconds=600, stay_s=30, seed=seed, length_ns=ten_seconds).rows for seed in (3, 3, 4)]
    assert plans[0] == plans[1] != plans[2]


def test_short_clips_are_played_until_the_scene_is_long_enough() -> None:
    found = scenes(plan(ROWS, seconds=600, stay_s=60, seed=1, length_ns=lambda _: NS_PER_S))
    assert all(30 <= n <= 91 for _, n in found)


def test_clips_that_cannot_be_read_are_told_and_left_out() -> None:
    def broken(of: Row) -> int:
        if of.name in ("bus-0", "tram-3"):
            raise ConfigError(f"{of.name} is broken; mend it.")
        return LONGEST_NS

    planned = plan(ROWS, seconds=3_600, stay_s=60, seed=1, length_ns=broken)
    assert planned.problems == {name: f"{name} is broken; mend it." for name in ("bus-0", "tram-3")}
    assert {row.scene_label for row in planned.rows} == {"park", "tram"}
    assert not {"bus-0", "tram-3"} & {row.name for row in planned.rows}


@pytest.mark.parametrize("seed", range(5))
def test_a_label_that_cannot_be_read_lets_none_follow_itself(seed: int) -> None:
    def unless_park(row: Row) -> int:
        if row.scene_label == "park":
            raise ConfigError(f"{row.name} is gone.")
        return LONGEST_NS

    found = scenes(plan(ROWS, seconds=3600, stay_s=5, seed=seed, length_ns=unless_park))
    assert {count for _, count in found} == {1}


@pytest.mark.parametrize("rows", [[], ROWS[:1], [row("a", None), row("b", None)]])
def test_one_label_never_changes(rows: list[Row]) -> None:
    with pytest.raises(ConfigError, match="two labels"):
        plan(rows, seconds=60, stay_s=10, seed=1, length_ns=ten_seconds)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    folder = tmp_path_factory.mktemp("clips")
    both = write_recording(folder / "both.mkv", 2.0)
    sound = write_recording(folder / "sound.wav", 1.5)
    other = write_recording(folder / "other.wav", 1.5, sound=Sound(rate_hz=44_100))
    pictures = write_recording(folder / "pictures.mkv", 1.0, sound=None)
    long = write_recording(folder / "long.wav", 12.0)
    return {
        "both": row("both", "bus", both, both),
        "sound": row("sound", "park", sound),
        "other": row("other", "tram", other),
        "pictures": row("pictures", "metro", None, pictures),
        "long": row("long", "airport", long),
        "gone": row("gone", "bus", folder / "gone.wav"),
    }


def spliced(clips: dict[str, Row], model: SceneModel, *names: str) -> tuple[Splice, list[Item]]:
    splice = Splice(Plan(tuple(clips[name] for name in names), {}), model.bundle.image)
    return splice, list(splice.items())


def test_sound_goes_on_without_a_gap(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    splice, items = spliced(clips, tiny_model, "both", "sound", "both", "sound")
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    index = 0
    for chunk in chunks:
        assert chunk.index == index
        assert chunk.time_ns == pytest.approx(chunk.index * NS_PER_S / 48000, abs=2)
        index += len(chunk.samples)
    assert index == 48000 * splice.pieces[-1].end_ns // NS_PER_S
    assert [piece.start_ns // NS_PER_MS for piece in splice.pieces] == [0, 2000, 3500, 5500]


def test_items_come_in_order_of_time(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    _, items = spliced(clips, tiny_model, "both", "other", "pictures", "both", "sound")
    times = [available_ns(item) for item in items]
    assert times == sorted(times)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    assert frames[0].time_ns == 0
    assert frames[-1].time_ns < times[-1]
    assert sum(frame.image is not None for frame in frames) >= 2 * 2 * 2 + 2


def test_a_modality_that_a_clip_lacks_has_ended(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    splice, items = spliced(clips, tiny_model, "both", "sound", "pictures", "both")
    ends = [(item.role, item.time_ns // NS_PER_MS) for item in items if isinstance(item, SourceEnded)]
    last = splice.pieces[-1].end_ns // NS_PER_MS
    assert ends == [("video", 2000), ("audio", 3500), ("audio", last), ("video", last)]


def test_of_long_clips_ten_seconds_are_played(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    splice, items = spliced(clips, tiny_model, "long", "sound")
    assert splice.pieces[0].end_ns == LONGEST_NS
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) == 48000 * 23 // 2


def test_a_clip_that_is_gone_is_told_and_costs_no_time(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    splice, _ = spliced(clips, tiny_model, "sound", "gone", "sound")
    assert [piece.row.name for piece in splice.pieces] == ["sound", "sound"]
    assert "gone.wav" in splice.problems["gone"]


def test_each_goes_around_the_clips(clips: dict[str, Row], tiny_model: SceneModel) -> None:
    seen: list[str] = []

    def each(rows: Iterator[Row]) -> Iterator[Row]:
        for one in rows:
            seen.append(one.name)
            yield one

    list(Splice(Plan((clips["sound"], clips["sound"]), {}), tiny_model.bundle.image, each=each).items())
    assert seen == ["sound", "sound"]
