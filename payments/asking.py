"""The three beats around a channel: what to send or ask, the call outside any transaction, the outcome through settlement."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from kernel import clock, crypto, db
from kernel.problems import Conflict, NotFound
from payments import pacing, runtime, settlement, transitions
from payments.gateways.base import CloseOutcome, CloseResult, Evidence, EvidenceKind, Order, Outcome, PaymentGateway
from payments.models import Attempt, Bill, LedgerTxn
from payments.settlement import Effect
from payments.states import ACTIVE, SYSTEM, AttemptAction, AttemptState, BillState

log = structlog.get_logger(__name__)


async def work_on(payment_no: str) -> Effect:
    """Does what an active attempt needs next: send, ask, send again, or close. Safe to call at any time, by anyone."""
    attempt = await Attempt.get_or_none(payment_no=payment_no)
    if attempt is None or attempt.state not in ACTIVE or attempt.review_required:
        return Effect.NOTHING
    if attempt.state == AttemptState.CREATED:
        return await send(payment_no) if await _begin_sending(payment_no) else Effect.NOTHING
    if attempt.state == AttemptState.SENDING and not pacing.stale(attempt):
        return Effect.NOTHING  # another process's live call
    effect = await (_close(attempt) if attempt.state == AttemptState.CLOSING else ask(attempt))
    if effect is Effect.RESEND:
        effect = await send(payment_no)
    # What the answer asked for is done in the same visit, once: an order past its end, or one whose bill was given up.
    wanted = await Attempt.filter(payment_no=payment_no, state=AttemptState.CLOSING).first()
    if wanted is not None and attempt.state != AttemptState.CLOSING and not wanted.review_required:
        effect = await _close(wanted)
    return effect


async def send(payment_no: str) -> Effect:
    """Sends the committed bytes of an attempt in SENDING, for the first time or again with the same number."""
    attempt = await Attempt.get(payment_no=payment_no)
    gateway = runtime.gateway(attempt.channel)
    body = crypto.unseal(attempt.request_body, context=body_context(payment_no))
    evidence = await _called(gateway, attempt, EvidenceKind.REPLY, lambda: gateway.prepare(_order(attempt, body)))
    return await settlement.apply_evidence(evidence)


async def conclude_closed(*, payment_no: str, actor: str, document: str) -> None:
    """A named operator states, on a document (the channel's statements of those days), that an unknown order was never paid.

    Only for attempts that were handed to a person. Money that still appears settles by the correction edge.
    """
    attempt = await Attempt.get_or_none(payment_no=payment_no, review_required=True)
    if attempt is None:
        raise NotFound
    if await LedgerTxn.filter(payment_no=payment_no, kind="suspense").exists():
        raise Conflict("这笔支付有待查明的款项，不能当作未支付关闭")
    statement = _blank(attempt, EvidenceKind.OPERATOR, Outcome.CLOSED, document)
    async with db.transaction():
        await settlement.apply_evidence(
            replace(statement, proven=True, source_id=f"{payment_no}:{actor}"[:80], raw_ref=document[:80])
        )
        log.warning("payments.operator_closed", payment_no=payment_no)


async def may_ask(payment_no: str) -> bool:
    """Takes the right to ask now; False when this attempt was asked about a moment ago, by any process."""
    now = clock.now()
    before = now - timedelta(seconds=runtime.settings().ask_every_seconds)
    changed = await db.execute(
        "UPDATE payments_attempt SET asked_at = ? WHERE payment_no = ? AND (asked_at IS NULL OR asked_at <= ?)",
        db.at(now), payment_no, db.at(before),
    )  # fmt: skip
    return changed == 1


async def ask_soon(payment_no: str) -> None:
    """Lets the next round of the timer ask about an attempt that is still open."""
    marks = ", ".join("?" for _ in ACTIVE)
    await db.execute(
        f"UPDATE payments_attempt SET next_check_at = ? WHERE payment_no = ? AND state IN ({marks}) AND next_check_at > ?",
        db.at(clock.now()), payment_no, *(str(state) for state in ACTIVE), db.at(clock.now()),
    )  # fmt: skip


def body_context(payment_no: str) -> str:
    """Where a sealed request body belongs."""
    return f"payments_attempt.request_body:{payment_no}"


async def _begin_sending(payment_no: str) -> bool:
    """First beat for an attempt that never left us: to SENDING if its bill still takes money, otherwise it is abandoned."""
    async with db.transaction():
        known = await Attempt.get(payment_no=payment_no)
        bill, attempt = await db.lock(Bill, id=known.bill_id), await db.lock(Attempt, id=known.id)
        if bill is None or attempt is None or attempt.state != AttemptState.CREATED:
            return False
        payable = bill.void_reason is None and bill.state in (BillState.OPEN, BillState.PART_PAID)
        if not payable or clock.now() >= attempt.expires_at:
            await transitions.step_attempt(attempt, AttemptAction.ABANDON, by=SYSTEM, note="no longer payable")
            return False
        pacing.mark_sending(attempt)
        await transitions.step_attempt(attempt, AttemptAction.SEND, by=SYSTEM)
        return True


async def ask(attempt: Attempt) -> Effect:
    """Asks the channel about an attempt in whatever state and applies the answer."""
    gateway = runtime.gateway(attempt.channel)
    evidence = await _called(gateway, attempt, EvidenceKind.QUERY, lambda: gateway.query(_order(attempt)))
    return await settlement.apply_evidence(evidence)


async def _close(attempt: Attempt) -> Effect:
    """Only a proven "closed" closes. Anything else is asked about at once: it may have been paid, or closed by an earlier try."""
    gateway = runtime.gateway(attempt.channel)
    try:
        result = await gateway.close(_order(attempt))
    except Exception:
        log.exception("payments.gateway_bug", channel=attempt.channel, call="close")
        result = CloseResult(CloseOutcome.UNKNOWN, "bug")
    if result.outcome is CloseOutcome.CLOSED:
        done = _blank(attempt, EvidenceKind.REPLY, Outcome.CLOSED, "")
        return await settlement.apply_evidence(replace(done, proven=True))
    return await ask(attempt)


async def _called(
    gateway: PaymentGateway, attempt: Attempt, kind: EvidenceKind, call: Callable[[], Awaitable[Evidence]]
) -> Evidence:
    if db.in_transaction():
        raise RuntimeError("no channel is called inside a transaction")
    try:
        return await call()
    except Exception:  # nothing may cross the port; if it does, we know nothing and have a bug to repair
        log.exception("payments.gateway_bug", channel=gateway.channel, call=str(kind))
        return _blank(attempt, kind, Outcome.NO_REPLY, "bug")


def _order(attempt: Attempt, body: bytes = b"") -> Order:
    return Order(
        payment_no=attempt.payment_no,
        product=attempt.product,
        amount_fen=attempt.amount_fen,
        currency=attempt.currency,
        body=body,
    )


def _blank(attempt: Attempt, kind: EvidenceKind, outcome: Outcome, reason: str) -> Evidence:
    return Evidence(
        kind=kind,
        channel=attempt.channel,
        payment_no=attempt.payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{attempt.payment_no}:{outcome}",
        reason=reason,
        proven=False,
    )
