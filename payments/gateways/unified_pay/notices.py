"""Confirmations that the platform pushes: frames whose proof is checked before anything is read, or mere hints; and their answers."""

import hashlib

from kernel import clock
from payments.gateways.base import Ack, EvidenceKind, Refusal, Rejected, VerifiedNotice
from payments.gateways.unified_pay import answers, envelopes, frames
from payments.gateways.unified_pay.book import CodeBook
from payments.gateways.unified_pay.client import UnifiedPayClient, today
from payments.gateways.unified_pay.envelopes import Incoming, Outgoing, ProofFailed
from payments.gateways.unified_pay.frames import FrameError
from payments.gateways.unified_pay.xmltext import XmlError

CONFIRMED, UNKNOWN_CODE, HINT = "confirmed", "unknown-code", "hint"
_STATUS = {Refusal.NOT_STORED: 503, Refusal.TOO_LARGE: 413, Refusal.FOREIGN: 403, Refusal.BAD_FRAME: 400}
_FRAMES = {"Content-Type": "application/octet-stream"}


def split(client: UnifiedPayClient, raw: bytes) -> list[bytes]:
    """The messages that came in one packet. Raises FrameError when they do not end where the last one ends."""
    if client.profile.framing.kind == "none":
        return [raw]
    return frames.split(client.profile.framing, raw)


async def verify(client: UnifiedPayClient, book: CodeBook, raw: bytes) -> VerifiedNotice | Rejected:
    """Length, proof over the received bytes, then the content; last, whether the code is ours."""
    if len(raw) > client.profile.framing.most_bytes:
        return Rejected(reason=Refusal.TOO_LARGE)
    notice = opened(client, raw)
    if isinstance(notice, Rejected):
        return notice
    code = notice.ask_about or (notice.evidence.code.pay_code if notice.evidence and notice.evidence.code else "")
    if await book.knows(code):
        return notice
    if notice.ask_about:
        return Rejected(reason=Refusal.FOREIGN, detail="unproven hint about a code that is not ours")
    # Real money under a code we never gave: kept, and asked for again so that the other side notices too.
    return VerifiedNotice(
        event_id=notice.event_id, event_type=UNKNOWN_CODE, evidence=notice.evidence, payment_no=notice.payment_no,
        reply_to=notice.reply_to,
    )  # fmt: skip


def opened(client: UnifiedPayClient, raw: bytes) -> VerifiedNotice | Rejected:
    """A push from its bytes; the proof is checked again, because it costs nothing."""
    push = client.profile.push
    try:
        incoming = envelopes.read(client.profile, client.parties, raw)
    except FrameError as error:
        return Rejected(reason=Refusal.BAD_FRAME, detail=str(error))
    except ProofFailed:
        return Rejected(reason=Refusal.BAD_SIGNATURE)
    except XmlError as error:
        return Rejected(reason=Refusal.UNREADABLE if push.number else Refusal.BAD_FRAME, detail=str(error))
    facts = client.read(push.read, incoming.tree)
    if not push.number:
        code = facts.get("pay_code", "")[:32]
        # Anybody can send a hint: one per code and minute is stored, and all it does is make us ask.
        key = hashlib.sha256(f"{code}:{clock.now_ms() // 60_000}".encode()).hexdigest()[:40]
        return VerifiedNotice(event_id=f"hint:{key}", event_type=HINT, evidence=None, payment_no=code, ask_about=code)
    if incoming.number != push.number:
        return Rejected(reason=Refusal.UNREADABLE, detail=f"message {incoming.number}")
    return _confirmation(client, incoming, facts)


def _confirmation(client: UnifiedPayClient, incoming: Incoming, facts: dict[str, str]) -> VerifiedNotice | Rejected:
    code, one = facts.get("pay_code", "")[:32], answers.paid(client.profile, facts)
    if not code or one is None:
        return Rejected(reason=Refusal.UNREADABLE, detail="a confirmation without code, number or amount")
    # The same payment again is a copy whatever its message number; the same payment with another amount is news.
    key = hashlib.sha256(f"{code}:{one.txn}:{one.amount_fen}".encode()).hexdigest()[:40]
    evidence = answers.money(one, code, one.order_no, EvidenceKind.NOTICE, key, payer=facts.get("payer") or None)
    return VerifiedNotice(
        event_id=key, event_type=CONFIRMED, evidence=evidence, payment_no=one.order_no or code, reply_to=incoming.msg_id
    )


def ack(client: UnifiedPayClient, verdict: VerifiedNotice | Rejected) -> Ack:
    """What the platform expects: a frame that takes the push or asks for it again; nothing at all for what proves nothing."""
    push = client.profile.push
    taken = isinstance(verdict, VerifiedNotice) and verdict.event_type != UNKNOWN_CODE
    if isinstance(verdict, Rejected):
        return Ack(_STATUS.get(verdict.reason, 401), {}, b"")
    result = push.accepted if taken else push.again
    if not push.number:
        return Ack(
            200, {"Content-Type": client.profile.transport.content_type}, result.encode("ascii", "xmlcharrefreplace")
        )
    message = Outgoing(
        number=push.answer, msg_id=f"R{verdict.event_id[:30]}", date=today(), reply_to=verdict.reply_to,
        fields={"OriMsgNo": push.number, "Result": result, "Information": ""},
    )  # fmt: skip
    return Ack(200, _FRAMES, envelopes.write(client.profile, client.parties, message))
