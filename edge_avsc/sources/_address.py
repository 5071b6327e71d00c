"""Addresses of network sources, and how to speak of them without telling their passwords."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from edge_avsc.errors import ConfigError

# Some cameras take the password in the path.
_SECRET = re.compile(r"(?i)(pass[a-z]*|pwd|psw|pw|token|key|auth|user)=(?:(?!_[^\W_]+=)[^&/])*")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
_PRINTABLE = "".join(map(chr, range(33, 127)))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a network source is; *target* is its path and query.

    *name* is what people and logs may see: no user, no password, no query.
    """

    uri: str
    scheme: str
    host: str
    port: int | None
    target: str
    user: str | None
    password: str
    name: str


def network_address(uri: str, schemes: Collection[str]) -> Address:
    """Take *uri* apart. Raises ConfigError for another scheme than *schemes*, a missing host or a bad port."""
    name = _name(uri)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ConfigError(f"'{name}' is no address; write it like {_example(schemes)}.") from None
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    if parts.scheme not in schemes or _CONTROL.search(f"{uri}{user}{password}"):
        raise ConfigError(f"'{name}' is no address of a network source; write it like {_example(schemes)}.")
    if not host:
        raise ConfigError(f"'{name}' names no host; write it like {_example(schemes)}.")
    return Address(
        uri=uri,
        scheme=parts.scheme,
        host=host,
        port=port,
        target=_target(parts),
        user=user,
        password=password or "",
        name=name,
    )


def _name(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _SECRET.sub(r"\1=…", uri)
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    # A password that was not percent-encoded may hold a slash; what stands before the last @ is never shown.
    if "@" in path:
        authority, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{_SECRET.sub(lambda found: found[1] + '=…', path)}"


def _target(parts: SplitResult) -> str:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe=_PRINTABLE)


def _example(schemes: Collection[str]) -> str:
    return f"{next(iter(schemes))}://192.168.1.20/stream"
