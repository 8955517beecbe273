"""The three beats around a channel's refund calls: commit number and bytes, call outside any transaction, apply the outcome."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from kernel import clock, crypto, db
from payments import asking, receipts, refund_pacing, refund_settlement, refunds, runtime, transitions
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import RefundDraft, RefundEvidence, RefundOrder, RefundOutcome
from payments.models import Attempt, Bill, Refund
from payments.refund_states import CAUSES, RefundAction, RefundState
from payments.refunds import ADOPTED_WAY, CHANNEL_WAY
from payments.settlement import Effect
from payments.states import SETTLED, SYSTEM

log = structlog.get_logger(__name__)

_RECEIPT_SECONDS = 600
_ASKED_ABOUT = (RefundState.UNKNOWN, RefundState.PROCESSING, RefundState.ABNORMAL)


async def work_on(refund_no: str) -> Effect:
    """Does what a refund needs next: approve what is owed by rule, send, send again, or ask. Safe at any time, by anyone."""
    refund = await Refund.get_or_none(refund_no=refund_no)
    if refund is None:
        return Effect.NOTHING
    if refund.state == RefundState.REQUESTED and refund.automatic:
        await _accept_by_rule(refund_no)
        refund = await Refund.get(refund_no=refund_no)
    if refund.state == RefundState.APPROVED and (why := await receipts.refund_must_wait(refund)):
        await _wait(refund_no, why)
        return Effect.NOTHING
    if refund.state in (RefundState.APPROVED, RefundState.SENDING):
        if await _begin(refund_no):
            return await _send(refund_no)
        refund = await Refund.get(refund_no=refund_no)
    if refund.state not in _ASKED_ABOUT or (refund.channel_refund_id is None and refund.state == RefundState.ABNORMAL):
        return Effect.NOTHING  # an abnormal refund without a number of the channel was never there
    effect = await _ask(refund)
    return await _send(refund_no) if effect is Effect.RESEND else effect


async def settle_payment_first(*, channel: str, payment_no: str) -> None:
    """A refund of a payment that we do not know as paid: the channel is asked about the payment before anything else."""
    attempt = await Attempt.get_or_none(channel=channel, payment_no=payment_no)
    if attempt is not None and attempt.state not in SETTLED:
        await asking.ask(attempt)


async def called(refund: Refund, kind: EvidenceKind, call: Callable[[], Awaitable[RefundEvidence]]) -> RefundEvidence:
    """One call outside any transaction; what escapes the port is a bug and tells us nothing."""
    if db.in_transaction():
        raise RuntimeError("no channel is called inside a transaction")
    try:
        return await call()
    except Exception:
        log.exception("payments.gateway_bug", channel=refund.channel, call=f"refund {kind}")
        return RefundEvidence(
            kind=kind,
            channel=refund.channel,
            refund_no=refund.refund_no,
            payment_no="",
            outcome=RefundOutcome.NO_REPLY,
            observed_at=clock.now(),
            source_id=f"{refund.refund_no}:bug",
            reason="bug",
            proven=False,
        )


async def order_of(refund: Refund, *, body: bytes = b"") -> RefundOrder:
    """What the gateway is told about a refund."""
    attempt = await Attempt.get(id=refund.attempt_id)
    return RefundOrder(
        refund_no=refund.refund_no,
        payment_no=attempt.payment_no,
        channel_txn_id=attempt.channel_txn_id or "",
        amount_fen=refund.amount_fen,
        currency=refund.currency,
        body=body,
    )


async def _accept_by_rule(refund_no: str) -> None:
    async with db.transaction():
        bill, attempt, refund = await refunds.lock_refund(refund_no)
        if refund.state == RefundState.REQUESTED and refund.automatic:
            await refunds.accept(bill, attempt, refund, by=SYSTEM, name=refunds.SYSTEM_NAME)


async def _wait(refund_no: str, why: str) -> None:
    """An approved refund whose e-receipt cannot be reversed now: nothing is sent, and it is looked at again later."""
    async with db.transaction():
        _, _, refund = await refunds.lock_refund(refund_no)
        if refund.state == RefundState.APPROVED:
            refund.last_error = why[:120]
            refund.next_check_at = clock.now() + timedelta(seconds=_RECEIPT_SECONDS)
            await refund.save(update_fields=["last_error", "next_check_at"])


async def _begin(refund_no: str) -> bool:
    """First beat: number and exact bytes are committed, or what forbids the send. False when there is nothing to send now."""
    async with db.transaction():
        bill, attempt, refund = await refunds.lock_refund(refund_no)
        if refund.state == RefundState.APPROVED:
            return await _begin_first(bill, attempt, refund)
        if refund.state != RefundState.SENDING or not refund_pacing.stale(refund) or refund.review_required:
            return False  # another process's live call, or a person's turn
        refund_pacing.mark_sending(refund)
        await refund.save()
        return True


async def _begin_first(bill: Bill, attempt: Attempt, refund: Refund) -> bool:
    if refund.way == ADOPTED_WAY:
        refund.ladder_from_at = refund.next_check_at = clock.now()
        await transitions.step_refund(bill, refund, RefundAction.ADOPT, by=SYSTEM)
        return False
    refused = "线下退款" if refund.way != CHANNEL_WAY else await refunds.channel_refusal(refund, attempt)
    if refused:
        refund.last_error, refund.next_check_at = refused, None
        await transitions.step_refund(bill, refund, RefundAction.IMPOSSIBLE, by=SYSTEM, note=refused)
        return False
    until = await refund_pacing.pause_until(refund)
    if until is not None:
        refund.next_check_at = until
        await refund.save()
        return False
    draft = RefundDraft(
        refund_no=refund.refund_no,
        payment_no=attempt.payment_no,
        channel_txn_id=attempt.channel_txn_id or "",
        amount_fen=refund.amount_fen,
        paid_fen=attempt.amount_fen,
        currency=refund.currency,
        reason=CAUSES[refund.cause].label,
    )
    body = runtime.gateway(refund.channel).refunds.body(draft)
    refund.request_body = crypto.seal(body, context=_body_context(refund.refund_no))
    refund_pacing.mark_sending(refund)
    await transitions.step_refund(bill, refund, RefundAction.SEND, by=SYSTEM)
    return True


async def _send(refund_no: str) -> Effect:
    """Second and third beat: the committed bytes, for the first time or again with the same number."""
    refund = await Refund.get(refund_no=refund_no)
    if refund.request_body is None:
        raise RuntimeError("a refund is sent with committed bytes only")
    order = await order_of(refund, body=crypto.unseal(refund.request_body, context=_body_context(refund_no)))
    port = runtime.gateway(refund.channel).refunds
    return await refund_settlement.apply_refund_evidence(
        await called(refund, EvidenceKind.REPLY, lambda: port.send(order))
    )


async def _ask(refund: Refund) -> Effect:
    port, order = runtime.gateway(refund.channel).refunds, await order_of(refund)
    return await refund_settlement.apply_refund_evidence(
        await called(refund, EvidenceKind.QUERY, lambda: port.query(order))
    )


def _body_context(refund_no: str) -> str:
    return f"payments_refund.request_body:{refund_no}"
