"""The population register's client: one signed question, and only a verified answer concludes. Stores nothing.

Wire (docs/sandbox.md, 人口库): POST /v1/persons/verify with `{request_no, name, id_number}`. The request is signed with
HMAC-SHA256 over method, path, timestamp, nonce and SHA-256 of the body, the answer over status, our nonce, its timestamp and
SHA-256 of its body, so that an old answer cannot be played to a new question.
"""

import hashlib
import hmac
from typing import Literal

import msgspec
import structlog

from backend.identity.ports import RegisterOutcome
from backend.identity.settings import RegisterSettings
from kernel import clock, crypto, ids
from kernel.http import Answer, Partner, PartnerError

log = structlog.get_logger(__name__)

_TARGET = "/v1/persons/verify"
_SKEW_SECONDS = 300
_LARGEST_ANSWER = 16 * 1024


class _Found(msgspec.Struct, frozen=True):
    """The part of an answer we use; a minor's guardian and the registered name are not read, because we do not need them."""

    code: str
    request_no: str
    result: Literal["match", "name_mismatch", "unknown", "deceased", "minor", "placeholder"]


_OUTCOMES = {
    "match": RegisterOutcome.MATCH,
    "name_mismatch": RegisterOutcome.NAME_MISMATCH,
    "unknown": RegisterOutcome.UNKNOWN,
    "deceased": RegisterOutcome.DECEASED,
    "minor": RegisterOutcome.MINOR,
    "placeholder": RegisterOutcome.NEEDS_CLERK,
}
_DECODER = msgspec.json.Decoder(_Found)


class RegisterClient:
    """Implements `ports.RegisterPort` over the register's wire."""

    def __init__(self, settings: RegisterSettings, partner: Partner) -> None:
        self._app_id, self._secret = settings.app_id, settings.secret
        self._partner = partner
        self._path = partner.wire_target(_TARGET)

    async def verify(self, *, name: str, id_number: str, request_no: str) -> RegisterOutcome:
        """The register's word; UNAVAILABLE for every time-out, refusal, foreign signature or answer we do not understand.

        A repeat with the same `request_no` gets the same answer and is not counted twice there.
        """
        body = msgspec.json.encode({"request_no": request_no, "name": name, "id_number": id_number})
        nonce = ids.public_id()
        try:
            answer = await self._partner.request(
                "POST",
                _TARGET,
                headers=self._headers(body, nonce),
                body=body,
                max_bytes=_LARGEST_ANSWER,
                call="verify",
            )
        except PartnerError:
            return RegisterOutcome.UNAVAILABLE
        return self._outcome(answer, nonce, request_no)

    def _headers(self, body: bytes, nonce: str) -> dict[str, str]:
        timestamp = str(int(clock.now().timestamp()))
        digest = hashlib.sha256(body).hexdigest()
        return {
            "Content-Type": "application/json; charset=utf-8",
            "X-App-Id": self._app_id,
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": self._sign("POST", self._path, timestamp, nonce, digest),
        }

    def _outcome(self, answer: Answer, nonce: str, request_no: str) -> RegisterOutcome:
        reason = self._distrust(answer, nonce)
        if reason is None and answer.status != 200:
            reason = f"status {answer.status}"
        if reason is None:
            try:
                found = _DECODER.decode(answer.body)
            except msgspec.DecodeError:
                reason = "answer not understood"
            else:
                if found.code == "OK" and found.request_no == request_no:
                    return _OUTCOMES[found.result]
                reason = "answer to another question"
        log.warning("register.no_conclusion", reason=reason)
        return RegisterOutcome.UNAVAILABLE

    def _distrust(self, answer: Answer, nonce: str) -> str | None:
        timestamp = answer.headers.get("X-Timestamp", "")
        digest = hashlib.sha256(answer.body).hexdigest()
        right = self._sign(str(answer.status), nonce, timestamp, digest)
        if not crypto.constant_equal(answer.headers.get("X-Signature", ""), right):
            return "signature"
        if not (timestamp.isascii() and timestamp.isdigit()):
            return "timestamp"
        if abs(clock.now().timestamp() - int(timestamp)) > _SKEW_SECONDS:
            return "stale"
        return None

    def _sign(self, *lines: str) -> str:
        return hmac.new(self._secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
