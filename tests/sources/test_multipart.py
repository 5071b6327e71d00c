from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.sources._multipart import LARGEST_PART, Multipart, MultipartError

BOUNDARY = b"--frame"


def stream(bodies: list[bytes], *, lengths: bool, line: bytes = b"\r\n", boundary: bytes = BOUNDARY) -> bytes:
    written = b""
    for body in bodies:
        headers = [boundary, b"Content-Type: image/jpeg"]
        if lengths:
            headers.append(b"Content-Length: %d" % len(body))
        written += line.join([*headers, b"", b""]) + body + line
    return written + boundary + line


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


def parts(data: list[bytes], boundary: str = "frame") -> list[bytes]:
    cut = Multipart(boundary)
    return [part.body for number, piece in enumerate(data) for part in cut.feed(piece, number)]


bodies_with_length = st.lists(st.binary(max_size=60), min_size=1, max_size=5)
# Without a length, what separates parts cannot stand in them; JPEGs never hold it.
bodies_without = st.lists(st.binary(max_size=60).filter(lambda body: b"\n--" not in body), min_size=1, max_size=5)
cuts = st.lists(st.integers(0, 10_000), max_size=30)


@given(bodies_with_length, cuts, st.sampled_from([b"\r\n", b"\n"]))
def test_parts_with_a_length_come_whole_however_they_are_cut(bodies: list[bytes], at: list[int], line: bytes) -> None:
    assert parts(pieces(stream(bodies, lengths=True, line=line), at)) == bodies


@given(bodies_without, cuts)
def test_parts_without_a_length_too(bodies: list[bytes], at: list[int]) -> None:
    assert parts(pieces(stream(bodies, lengths=False), at)) == bodies


@given(bodies_with_length.filter(all), cuts)
def test_a_part_is_stamped_when_its_first_byte_arrives(bodies: list[bytes], at: list[int]) -> None:
    data = stream(bodies, lengths=True)
    found = pieces(data, at)
    arrived = [number for number, piece in enumerate(found) for _ in piece]
    ends = accumulate(len(stream([body], lengths=True)) - len(BOUNDARY) - 2 for body in bodies)
    starts = [end - 2 - len(body) for end, body in zip(ends, bodies, strict=True)]
    cut = Multipart("frame")
    stamps = [part.started_ns for number, piece in enumerate(found) for part in cut.feed(piece, number)]
    assert stamps == [arrived[start] for start in starts]


@pytest.mark.parametrize(("named", "sent"), [("frame", b"--frame"), ("--frame", b"--frame"), ("", b"--x"), ("x", b"x")])
def test_servers_may_disagree_on_the_hyphens(named: str, sent: bytes) -> None:
    assert parts([stream([b"one", b"two"], lengths=True, boundary=sent)], named) == [b"one", b"two"]


def test_a_preamble_and_a_wrong_length_cost_no_more_than_their_part() -> None:
    wrong = b"--frame\r\nContent-Length: 2\r\n\r\nlonger\r\n"
    data = b"\r\nhello\r\n" + wrong + stream([b"good"], lengths=True)
    assert parts([data])[-1] == b"good"


def test_a_length_of_thousands_of_digits_is_too_large() -> None:
    with pytest.raises(MultipartError, match="larger than 16 MiB"):
        parts([b"--frame\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"])


@pytest.mark.parametrize("head", [b"--frame\r\n\r\n", b"--frame\r\nContent-Length: 99999999\r\n\r\n", b""])
def test_memory_is_bounded(head: bytes) -> None:
    zeros = [b"\x00" * 100_000] * (LARGEST_PART // 100_000 + 2)
    with pytest.raises(MultipartError, match="larger than 16 MiB"):
        parts([head, *zeros])
