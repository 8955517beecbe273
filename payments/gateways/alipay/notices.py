"""Notices of Alipay: the prescribed checks over the received form, what it says, and the seven bytes it waits for."""

import re
from collections.abc import Mapping

import structlog

from payments.gateways.alipay import orders, signing
from payments.gateways.alipay.keys import KeyTable
from payments.gateways.alipay.requests import Application
from payments.gateways.base import Ack, EvidenceKind, Outcome, Refusal, Rejected, VerifiedNotice

log = structlog.get_logger(__name__)

MOST_BYTES = 64 * 1024
_TEXT = {"Content-Type": "text/plain"}
_STATUS = {
    Refusal.NOT_STORED: 503,  # sends again
    Refusal.TOO_LARGE: 413,
}
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,80}")


async def verify(keys: KeyTable, application: Application, raw: bytes) -> VerifiedNotice | Rejected:
    """The form is read once; then `sign_type`, the signature with Alipay's key and SHA-256 and nothing else, and "is it for us"."""
    if len(raw) > MOST_BYTES:
        return Rejected(reason=Refusal.TOO_LARGE)
    read = signing.read_form(raw)
    if read is None:
        return Rejected(reason=Refusal.UNPARSABLE)
    fields, charset = read
    # The hash is never taken from the message: a SHA-1 signature must not pass, whatever it is labelled.
    if fields.get("sign_type") != signing.SIGN_TYPE or not fields.get("sign"):
        return Rejected(reason=Refusal.BAD_SIGNATURE, detail="sign_type")
    over = signing.verified_over(await keys.for_notices(), fields, charset=charset)
    if over is None:
        return Rejected(reason=Refusal.BAD_SIGNATURE)
    log.info("alipay.notice", kind=over)  # which of the three strings it was signed over
    return _notice(application, fields)


def open_notice(application: Application, raw: bytes) -> VerifiedNotice | Rejected:
    """Opens bytes whose signature was verified."""
    read = signing.read_form(raw)
    return Rejected(reason=Refusal.UNPARSABLE) if read is None else _notice(application, read[0])


def ack(verdict: VerifiedNotice | Rejected) -> Ack:
    """Exactly `success` for what is stored: no quotes, no line break. Anything else makes Alipay send again."""
    if isinstance(verdict, VerifiedNotice):
        return Ack(200, _TEXT, b"success")
    return Ack(_STATUS.get(verdict.reason, 400), _TEXT, b"fail")


def _notice(application: Application, fields: Mapping[str, str]) -> VerifiedNotice | Rejected:
    event_id, event_type = fields.get("notify_id", ""), fields.get("trade_status", "")
    if (fields.get("app_id"), fields.get("seller_id")) != (application.app_id, application.seller_id):
        return Rejected(reason=Refusal.FOREIGN, detail=f"notice {event_id}"[:80])
    if not _EVENT_ID.fullmatch(event_id):
        return Rejected(reason=Refusal.UNPARSABLE, detail="notify_id")
    found = orders.trade_evidence(fields, kind=EvidenceKind.NOTICE, source_id=event_id, raw_ref=f"notice:{event_id}")
    # Only a payment is a fact here. Waiting, closed and what we do not know are reasons to ask.
    paid = found is not None and found.outcome is Outcome.PAID and event_type != "TRADE_CLOSED"
    payment_no = fields.get("out_trade_no", "")[:64] or None
    return VerifiedNotice(
        event_id=event_id,
        event_type=event_type[:64] or fields.get("notify_type", "")[:64],
        evidence=found if paid else None,
        payment_no=payment_no,
        ask=payment_no is not None and not paid,
    )
