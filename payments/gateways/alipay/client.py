"""One signed call to Alipay and what its answer is worth; knows no order. Uses `kernel.http`, never retries."""

import structlog

from kernel.http import NotSent, Partner, PartnerError
from payments.gateways.alipay import answers, errors, requests
from payments.gateways.alipay.answers import Proof, Reply
from payments.gateways.alipay.keys import KeyTable
from payments.gateways.alipay.requests import Application

log = structlog.get_logger(__name__)

_MOST_ANSWER_BYTES = 1 << 20
_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
    "User-Agent": "zhangshangban-payments/1",
}


class AlipayClient:
    """Signs what is sent, verifies the node that comes back over its own bytes, and turns both into a `Reply`."""

    def __init__(self, *, partner: Partner, application: Application, keys: KeyTable) -> None:
        self._partner, self.application, self.keys = partner, application, keys

    @property
    def base_url(self) -> str:
        """Where the gateway is, for pages the phone opens itself."""
        return self._partner.base_url

    async def call(self, method: str, biz_content: bytes, *, notify_url: str = "") -> Reply:
        """One attempt with a fresh time. No exception: what went wrong is in the reply."""
        found = requests.parameters(method, biz_content, self.application, notify_url=notify_url)
        query, body = requests.on_the_wire(found)
        try:
            answer = await self._partner.request(
                "POST", f"?{query}", headers=_HEADERS, body=body, max_bytes=_MOST_ANSWER_BYTES, call=method
            )
        except PartnerError as error:
            reason = f"{type(error).__name__} {error.reason}"
            return Reply(proof=Proof.UNSIGNED, reason=reason, sent=not isinstance(error, NotSent))
        reply = await self.read(answer.body, method)
        if not reply.proven or reply.code != "10000":
            log.info(
                "alipay.answer",
                call=method,
                status=answer.status,
                code=errors.words(reply),
                detail=str(reply.proof),
                reason=reply.reason,
            )
        return reply

    async def read(self, body: bytes, method: str) -> Reply:
        """The reply in an answer: unsigned ones are read too, and prove nothing."""
        envelope = answers.open_envelope(body, method)
        if isinstance(envelope, str):
            return Reply(proof=Proof.BAD, reason=envelope)
        if envelope.sign is None:
            return answers.reply(envelope, Proof.UNSIGNED, "unsigned")
        if self.keys.certificate_mode and not envelope.cert_sn:
            return answers.reply(envelope, Proof.BAD, "no certificate named")
        key = await self.keys.look(envelope.cert_sn)
        if key is None:
            return answers.reply(envelope, Proof.BAD, "unknown certificate")
        if not answers.holds(envelope, key):
            return answers.reply(envelope, Proof.BAD, "bad signature")
        return answers.reply(envelope, Proof.SIGNED, "")
