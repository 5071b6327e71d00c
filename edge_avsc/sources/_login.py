"""What an HTTP server wants to hear from a user: Basic, or Digest after RFC 7616. No socket, no clock."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

_FIELD = re.compile(r'\b(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"md5": "md5", "sha-256": "sha256"}


def authorization(challenges: Iterable[str], user: str, password: str, target: str, cnonce: str) -> str | None:
    """Return the Authorization header for a GET of *target*, or None where nothing of the *challenges* is known.

    challenges: the WWW-Authenticate headers. cnonce: a random text that was never used before. Digest is preferred:
    it does not tell the password.
    """
    offered = list(challenges)
    for challenge in offered:
        scheme, _, rest = challenge.strip().partition(" ")
        if scheme.lower() == "digest":
            found = _FIELD.findall(rest)
            fields = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in found}
            proof = _digest(fields, user, password, target, cnonce)
            if proof is not None:
                return proof
    if any(challenge.strip().lower().startswith("basic") for challenge in offered):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return None


def _digest(fields: dict[str, str], user: str, password: str, target: str, cnonce: str) -> str | None:
    algorithm = fields.get("algorithm", "MD5")
    name = _HASHES.get(algorithm.lower())
    offered = [part.strip() for part in fields.get("qop", "").split(",") if part.strip()]
    if name is None or "nonce" not in fields or (offered and "auth" not in offered):
        return None

    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields["nonce"]
    secret, what = hashed(user, realm, password), hashed("GET", target)
    said = {"username": user, "realm": realm, "nonce": nonce, "uri": target}
    if offered:
        said["response"] = hashed(secret, nonce, "00000001", cnonce, "auth", what)
        said["cnonce"] = cnonce
    else:
        said["response"] = hashed(secret, nonce, what)
    if "opaque" in fields:
        said["opaque"] = fields["opaque"]
    header = (
        "Digest " + ", ".join(f"{key}={_quoted(value)}" for key, value in said.items()) + f", algorithm={algorithm}"
    )
    return header + (", qop=auth, nc=00000001" if offered else "")


def _quoted(value: str) -> str:
    # Headers are Latin-1 to Python; what is meant is UTF-8.
    return '"' + re.sub(r'(["\\])', r"\\\1", value).encode().decode("latin-1") + '"'
