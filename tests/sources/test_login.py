from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from edge_avsc.sources._login import authorization

CNONCE = "0a4f113b"
RFC_2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c"'
)
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
)


def test_the_example_of_rfc_2617() -> None:
    header = authorization([RFC_2617], "Mufasa", "Circle Of Life", "/dir/index.html", CNONCE)
    assert header is not None
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert 'opaque="5ccc069c"' in header
    assert header.endswith("algorithm=MD5, qop=auth, nc=00000001")


def test_the_examples_of_rfc_7616() -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        header = authorization([RFC_7616.format(algorithm)], "Mufasa", "Circle of Life", "/dir/index.html", cnonce)
        assert header is not None
        assert f'response="{response}"' in header


def test_without_qop_it_is_the_oldest_kind() -> None:
    header = authorization(['Digest realm="r", nonce="n"'], "u", "p", "/", CNONCE)
    assert header is not None
    assert "nc=" not in header


def test_digest_is_preferred_and_basic_the_last_resort() -> None:
    basic = "Basic " + base64.b64encode(b"u:p").decode()
    assert str(authorization(['Basic realm="r"', RFC_2617], "u", "p", "/", CNONCE)).startswith("Digest ")
    assert authorization(['Basic realm="r"'], "u", "p", "/", CNONCE) == basic
    assert authorization(['Digest realm="r", nonce="n", algorithm=MD5-sess', "Basic"], "u", "p", "/", CNONCE) == basic
    assert authorization(["Negotiate", 'Digest realm="r"'], "u", "p", "/", CNONCE) is None
    assert authorization([], "u", "p", "/", CNONCE) is None


@given(st.text(max_size=40), st.text(max_size=10).filter(str.isprintable))
def test_whatever_a_server_says_the_header_can_be_sent(challenge: str, user: str) -> None:
    for said in (challenge, f"Digest {challenge}", f'Digest nonce="n", realm={challenge}'):
        header = authorization([said], user, "p", "/", CNONCE)
        assert header is None or header.encode("latin-1")
