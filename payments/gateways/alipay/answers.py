"""Reading an answer of `gateway.do`: which bytes are signed, what vouches for them, what they say. No I/O.

The signature covers the raw text of one node. Nothing is written anew and no brace is counted: the JSON scanner tells where each
top-level value begins and ends.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payments.gateways import rsa_keys

_BLANK = re.compile(r"[ \t\n\r]*")
_SUFFIX = "_response"
_ERROR = "error_response"


class Proof(StrEnum):
    """What vouches for an answer."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"  # no signature at all: it may describe a problem and concludes nothing
    BAD = "bad"  # unreadable, of another method, or with a signature that does not hold


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. `code` and `sub_code` are Alipay's words, to branch on; they prove nothing unless `proven`."""

    proof: Proof
    code: str = ""
    sub_code: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reason: str = ""
    sent: bool = True  # False: certainly nothing reached them

    @property
    def proven(self) -> bool:
        """Whether the answer itself may be believed."""
        return self.proof is Proof.SIGNED


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An answer taken apart: the node, its exact bytes, and what is said to sign them."""

    node: Mapping[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    sign: str | None
    cert_sn: str | None


def node_name(method: str) -> str:
    """`alipay.trade.query` → `alipay_trade_query_response`."""
    return method.replace(".", "_") + _SUFFIX


def open_envelope(body: bytes, method: str) -> Envelope | str:
    """The answer taken apart, or why it cannot be."""
    try:
        text = body.decode("utf-8")
        members = dict(_members(text))
    except (ValueError, RecursionError):
        return "unparsable"
    nodes = [name for name in members if name.endswith(_SUFFIX)]
    if len(nodes) != 1 or nodes[0] not in (node_name(method), _ERROR):
        return "another node"
    node, raw = members[nodes[0]]
    sign, cert_sn = (members[name][0] if name in members else None for name in ("sign", "alipay_cert_sn"))
    if not isinstance(node, dict) or not isinstance(sign, str | None) or not isinstance(cert_sn, str | None):
        return "another shape"
    return Envelope(node=node, signed=raw.encode(), sign=sign, cert_sn=cert_sn)


def reply(envelope: Envelope, proof: Proof, why: str) -> Reply:
    """What the node says, with what it is worth."""
    code, sub_code = envelope.node.get("code"), envelope.node.get("sub_code")
    return Reply(
        proof=proof,
        code=code[:16] if isinstance(code, str) else "",
        sub_code=sub_code[:64] if isinstance(sub_code, str) else "",
        data=envelope.node,
        reason=why,
    )


def holds(envelope: Envelope, key: RSAPublicKey) -> bool:
    """Whether the signature is right for the node's bytes."""
    signature = rsa_keys.decoded_signature(envelope.sign or "")
    return bool(signature) and rsa_keys.verifies(key, envelope.signed, signature or b"")


def _members(text: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Name, value and raw text of each top-level member. Raises ValueError for anything but one object without twins."""
    seen: set[str] = set()
    at = _past(text, _blank(text, 0), "{")
    if text[at : at + 1] == "}":
        _end(text, at + 1)
        return
    while True:
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str) or name in seen:
            raise ValueError("not a name, or one that was there before")
        seen.add(name)
        begin = _past(text, _blank(text, at), ":")
        value, end = _DECODER.raw_decode(text, begin)
        yield name, (value, text[begin:end])
        at = _blank(text, end)
        if text[at : at + 1] == "}":
            _end(text, at + 1)
            return
        at = _past(text, at, ",")


def _past(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign}")
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _end(text: str, at: int) -> None:
    if _blank(text, at) != len(text):
        raise ValueError("something follows")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


# Amounts are strings in this protocol; a number with a point is none, and nothing here may become a float.
_DECODER = json.JSONDecoder(object_pairs_hook=_no_twins, parse_float=Decimal, parse_constant=_refuse)
