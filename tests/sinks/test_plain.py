from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_avsc.errors import EdgeAvscError
from edge_avsc.sinks.plain import PlainConsole
from edge_avsc.types import SceneEstimate, StreamEvent


def test_each_estimate_is_a_line_and_a_change_has_a_star(
    make_estimate: Callable[..., SceneEstimate], lost_camera: StreamEvent
) -> None:
    out = io.StringIO()
    with PlainConsole(out) as console:
        console.write(make_estimate(0, changed=True))
        console.event(lost_camera)
        console.write(make_estimate(1, modality="a"))
    assert out.getvalue().splitlines() == [
        "clip.mp4      0.00 -     1.00 s  street_traffic     0.83  av    *",
        "clip.mp4  ! video lost: The camera v4l2:///dev/video0 was unplugged; trying again every 2 s.",
        "clip.mp4      0.50 -     1.50 s  street_traffic     0.83  a",
    ]


def test_changes_only_leaves_the_others_out_but_counts_them(make_estimate: Callable[..., SceneEstimate]) -> None:
    out = io.StringIO()
    console = PlainConsole(out, changes_only=True)
    for index in range(4):
        console.write(make_estimate(index, changed=index == 2))
    assert out.getvalue().splitlines() == ["clip.mp4      1.00 -     2.00 s  street_traffic     0.83  av    *"]
    console.summary()
    assert out.getvalue().splitlines()[1:] == [
        "",
        "clip.mp4: 4 windows",
        "      0.00 -     2.50 s  street_traffic     mean confidence 0.83",
    ]


def test_nothing_in_a_name_reaches_the_terminal_as_a_command(
    make_estimate: Callable[..., SceneEstimate], lost_camera: StreamEvent
) -> None:
    out = io.StringIO()
    console = PlainConsole(out)
    console.write(make_estimate(stream="a\x1b]0;b\x07\nc"))
    console.event(replace(lost_camera, stream="a\x1b]0;b\x07\nc", detail="x\x1b[2Jy"))
    console.summary()
    assert all(c.isprintable() for line in out.getvalue().split("\n") for c in line)


def test_an_output_that_cannot_show_a_name_gets_escapes(make_estimate: Callable[..., SceneEstimate]) -> None:
    raw = io.BytesIO()
    console = PlainConsole(io.TextIOWrapper(raw, encoding="ascii"))
    console.write(make_estimate(stream="café"))
    assert raw.getvalue().startswith(rb"caf\xe9  ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_clear_sentence(make_estimate: Callable[..., SceneEstimate]) -> None:
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115, closing it fails as well
    with pytest.raises(EdgeAvscError, match="no space left to write the console's output"):
        PlainConsole(full).write(make_estimate())
    with contextlib.suppress(OSError):
        full.close()
