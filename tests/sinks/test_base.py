from __future__ import annotations

import errno

import pytest

from edge_avsc.sinks import OutputClosedError
from edge_avsc.sinks.base import visible, write_failure


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("a\x1b[31mb\x07", "a[31mb"),
        ("two\nlines\t and  more ", "two lines and more"),
        ("é \u202egnp.\u200b", "é gnp."),
        ("caf\udce9", "caf"),
    ],
)
def test_only_what_can_be_seen_is_printed(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_broken_pipe_is_no_error_of_ours() -> None:
    failure = write_failure(BrokenPipeError(errno.EPIPE, "Broken pipe"), "labels.jsonl")
    assert isinstance(failure, OutputClosedError)
    assert isinstance(failure, BrokenPipeError)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_and_no_quota_read_alike(code: int) -> None:
    assert "no space left to write labels.jsonl" in str(write_failure(OSError(code, "x"), "labels.jsonl"))


def test_other_failures_tell_the_systems_reason() -> None:
    assert "(Input/output error)" in str(write_failure(OSError(errno.EIO, "Input/output error"), "labels.jsonl"))
