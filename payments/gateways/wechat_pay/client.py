"""One signed call to WeChat Pay and what its answer is worth; knows no order. Uses `kernel.http`, never retries."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kernel import clock
from kernel.http import Answer, NotSent, Partner, PartnerError
from payments.gateways import rsa_keys
from payments.gateways.wechat_pay import signing
from payments.gateways.wechat_pay.keys import KeyTable

log = structlog.get_logger(__name__)

_MOST_ANSWER_BYTES = 1 << 20


class KeyFinder(Protocol):
    """Whoever can name the key of a serial."""

    async def look(self, serial: str) -> RSAPublicKey | None: ...


class Proof(StrEnum):
    """What vouches for an answer."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"  # no signature headers at all
    BAD = "bad"  # headers are there and do not hold: a probe, a wrong key, a stale or broken signature


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. `status` 0 means nothing usable came; `code` is WeChat's error word, to branch on."""

    status: int
    proof: Proof
    code: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reason: str = ""
    request_id: str = ""
    sent: bool = True  # False: certainly nothing reached them

    @property
    def proven(self) -> bool:
        """Whether the answer itself may be believed."""
        return self.proof is Proof.SIGNED


@dataclass(frozen=True, kw_only=True)
class Merchant:
    """Who we are at WeChat Pay. Keys never appear in repr."""

    mchid: str
    app_id: str
    serial: str
    key: RSAPrivateKey = field(repr=False)
    api_v3_key: bytes = field(repr=False)
    public_key_id: str | None


class WeChatPayClient:
    """Signs what is sent, verifies what comes back over the received bytes, and turns both into a `Reply`."""

    def __init__(self, *, partner: Partner, merchant: Merchant, keys: KeyTable) -> None:
        self._partner, self._merchant, self.keys = partner, merchant, keys

    async def call(self, method: str, target: str, body: bytes = b"", *, name: str, serial: str | None = None) -> Reply:
        """One attempt with a fresh nonce and time. No exception: what went wrong is in the reply.

        `serial` names the key that fields of the body are encrypted with.
        """
        answer = await self.raw(method, target, body, name=name, serial=serial)
        if isinstance(answer, PartnerError):
            reason = f"{type(answer).__name__} {answer.reason}"
            return Reply(status=0, proof=Proof.UNSIGNED, reason=reason, sent=not isinstance(answer, NotSent))
        proof, why = await self._verify(answer)
        return _reply(answer, proof, why)

    async def raw(
        self, method: str, target: str, body: bytes, *, name: str, serial: str | None = None
    ) -> Answer | PartnerError:
        """The unverified answer, for the one call that is proven by its content (certificates), or why none came."""
        headers = self._headers(method, target, body, serial)
        try:
            return await self._partner.request(
                method, target, headers=headers, body=body or None, max_bytes=_MOST_ANSWER_BYTES, call=name
            )
        except PartnerError as error:
            return error

    async def download(self, url: str, *, into: Path, max_bytes: int) -> Answer | PartnerError:
        """A signed GET of an address WeChat Pay gave us, written to a new file. Nothing signs what comes: its hash must.

        Only addresses below our base URL are followed. Raises ValueError for any other.
        """
        base = self._partner.base_url
        if not url.startswith(base + "/"):
            raise ValueError("not an address of WeChat Pay")
        target = url.removeprefix(base)
        try:
            return await self._partner.download(
                target, into=into, headers=self._headers("GET", target, b""), max_bytes=max_bytes
            )
        except PartnerError as error:
            return error

    def _headers(self, method: str, target: str, body: bytes, serial: str | None = None) -> dict[str, str]:
        timestamp, nonce = int(clock.now().timestamp()), secrets.token_hex(16)
        wire_target = self._partner.wire_target(target)
        message = signing.request_message(method, wire_target, timestamp, nonce, body)
        headers = {
            "Accept": "application/json",
            "User-Agent": "zhangshangban-payments/1",
            "Authorization": signing.authorization(
                mchid=self._merchant.mchid,
                serial=self._merchant.serial,
                nonce=nonce,
                timestamp=timestamp,
                signature=rsa_keys.sign(self._merchant.key, message),
            ),
        }
        if body:
            headers["Content-Type"] = "application/json"
        if named := serial or self._merchant.public_key_id:
            headers["Wechatpay-Serial"] = named
        return headers

    async def _verify(self, answer: Answer) -> tuple[Proof, str]:
        headers = answer.headers
        names = ("Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial")
        values = [headers.get(name, "") for name in names]
        if not any(values):
            return Proof.UNSIGNED, "unsigned"
        why = await check_signature(self.keys, *values, body=answer.body, kind=headers.get("Wechatpay-Signature-Type"))
        return (Proof.BAD, why) if why else (Proof.SIGNED, "")


async def check_signature(
    keys: KeyFinder, timestamp: str, nonce: str, signature: str, serial: str, *, body: bytes, kind: str | None
) -> str:
    """The prescribed checks, failing closed; "" when everything holds, otherwise a reason. Used for answers and notices alike."""
    if not (timestamp and nonce and signature and serial) or kind not in (None, signing.SCHEME):
        return "missing-header"
    seconds = signing.plain_timestamp(timestamp)
    if seconds is None or abs(clock.now().timestamp() - seconds) > signing.WINDOW_SECONDS:
        return "bad-timestamp"
    # A probe is refused like any other bad signature; it only gets a name of its own, so that it raises no alarm.
    bad = "probe" if signature.startswith(signing.PROBE_PREFIX) else "bad-signature"
    key = await keys.look(serial)
    if key is None:
        return "probe" if bad == "probe" else "unknown-serial"
    raw = rsa_keys.decoded_signature(signature)
    if raw is None or not rsa_keys.verifies(key, signing.answer_message(timestamp, nonce, body), raw):
        return bad
    return ""


def parse_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object, or None. Duplicate keys are refused: two readers could understand two different messages."""
    try:
        parsed = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _reply(answer: Answer, proof: Proof, why: str) -> Reply:
    data = parse_object(answer.body) if answer.body else {}
    reason = why
    if data is None:
        data, reason = {}, "unparsable"
        if answer.status < 300:  # a 2xx that cannot be read proves nothing, signed or not
            proof = Proof.BAD
    code = data.get("code")
    request_id = answer.headers.get("Request-ID", "")[:80]
    reply = Reply(
        status=answer.status,
        proof=proof,
        code=code[:64] if isinstance(code, str) else "",
        data=data,
        reason=reason,
        request_id=request_id,
    )
    if answer.status >= 300 or proof is not Proof.SIGNED:
        log.info(
            "wechat_pay.answer",
            status=reply.status,
            code=reply.code,
            proof=str(proof),
            reason=reason,
            request_id=request_id,
        )
    return reply
