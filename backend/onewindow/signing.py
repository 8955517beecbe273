"""Headers, digests and signatures of YCSL-REF v1 in both directions; pure, the nonce memory is the caller's.

`ref` signs service, requester, time, nonce and body digest; `gjzwfwpt` is the exact national formula and covers no body.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WINDOW_MS = 300_000
_NONCE = re.compile(r"[0-9A-Za-z-]{16,64}")
_RTIME = re.compile(r"[0-9]{13}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Untrusted(Exception):
    """The message is not from the platform, or not now, or not whole. `reason` is a fixed word, never a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Trusted:
    """What a good signature proves."""

    nonce: str
    digest: str


def digest(body: bytes) -> str:
    """Lower-case hex SHA-256 of the raw body."""
    return hashlib.sha256(body).hexdigest()


def signature(*, profile: str, secret: str, sid: str, rid: str, rtime: str, nonce: str, body_digest: str) -> str:
    """The value of `gjzwfwpt_sign`."""
    text = sid + rid + rtime + (nonce + body_digest if profile == "ref" else "")
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def signed_headers(*, profile: str, rid: str, secret: str, verb: str, body: bytes, now_ms: int) -> dict[str, str]:
    """Headers of one attempt; every attempt has its own time and nonce."""
    sid, rtime, nonce, body_digest = f"ycsl.{verb}", str(now_ms), secrets.token_hex(16), digest(body)
    return {
        "gjzwfwpt_rid": rid,
        "gjzwfwpt_sid": sid,
        "gjzwfwpt_rtime": rtime,
        "gjzwfwpt_sign": signature(
            profile=profile, secret=secret, sid=sid, rid=rid, rtime=rtime, nonce=nonce, body_digest=body_digest
        ),
        "x-ycsl-nonce": nonce,
        "x-ycsl-digest": body_digest,
    }


def verify(
    *, profile: str, rid: str, secret: str, verb: str, headers: Mapping[str, str], body: bytes, now_ms: int
) -> Trusted:
    """Check a call of the platform over the raw bytes. `headers` has lower-case names. Raises Untrusted."""
    their_rid, sid = headers.get("gjzwfwpt_rid", ""), headers.get("gjzwfwpt_sid", "")
    rtime, nonce = headers.get("gjzwfwpt_rtime", ""), headers.get("x-ycsl-nonce", "")
    body_digest, sign = headers.get("x-ycsl-digest", ""), headers.get("gjzwfwpt_sign", "")
    # The signed text has no separators, so both ids are compared, not merely covered by the signature.
    if not _same(their_rid, rid):
        raise Untrusted("rid")
    if not _same(sid, f"ycsl.{verb}"):
        raise Untrusted("sid")
    if not _RTIME.fullmatch(rtime) or abs(now_ms - int(rtime)) > WINDOW_MS:
        raise Untrusted("rtime")
    if not _NONCE.fullmatch(nonce):
        raise Untrusted("nonce")
    if not _DIGEST.fullmatch(body_digest) or not _same(body_digest, digest(body)):
        raise Untrusted("digest")
    expected = signature(
        profile=profile, secret=secret, sid=sid, rid=their_rid, rtime=rtime, nonce=nonce, body_digest=body_digest
    )
    if not _same(sign, expected):
        raise Untrusted("sign")
    return Trusted(nonce=nonce, digest=body_digest)


def lower_keys(value: Any) -> Any:
    """A JSON value with every key in lower case: how the national profile writes, and how we read both profiles."""
    if isinstance(value, dict):
        return {str(key).lower(): lower_keys(entry) for key, entry in value.items()}
    return [lower_keys(entry) for entry in value] if isinstance(value, list) else value


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
