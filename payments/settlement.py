"""The one door for every statement from outside about an attempt: idempotent, indifferent to order, never a downgrade."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import msgspec
import structlog

from kernel import clock, crypto, db
from payments import (
    bills,
    differences,
    evidence_rows,
    ledger,
    pacing,
    paycodes,
    receipts,
    refunds,
    runtime,
    transitions,
)
from payments.gateways.base import Evidence, EvidenceKind, Outcome, describe
from payments.models import Attempt, Bill
from payments.states import ACTIVE, CHANNEL, OPERATOR, SETTLED, AttemptAction, AttemptState, BillState

log = structlog.get_logger(__name__)

_A, _AA = AttemptState, AttemptAction
_CERTAINLY_OVER = timedelta(minutes=10)
PAYER_INDEX = "payments_attempt.payer"


class Effect(StrEnum):
    """What a statement changed."""

    NOTHING = "nothing"
    ALREADY = "already"
    MOVED = "moved"
    SILENT = "silent"  # the channel gave no usable answer
    RESEND = "resend"  # the channel does not know the number: the same bytes may be sent again
    SETTLED = "settled"
    SURPLUS = "surplus"
    SUSPENSE = "suspense"
    FOREIGN = "foreign"


@dataclass(kw_only=True)
class _Scene:
    """A locked bill and attempt with the statement about them."""

    bill: Bill
    attempt: Attempt
    evidence: Evidence
    by: str
    evidence_id: int | None = None


async def apply_evidence(evidence: Evidence) -> Effect:
    """Applies one statement in one transaction; locks bill, then attempt, then accounts by code.

    A copy of a statement, or a later one that would be a downgrade, changes nothing. Joins the caller's transaction.
    """
    if evidence.merchant_id is not None and not runtime.gateway(evidence.channel).is_ours(evidence):
        await differences.record_foreign(evidence)
        return Effect.FOREIGN
    async with db.transaction():
        effects = [await _applied(one) for one in await paycodes.attributed(evidence)]
    return effects[0]


async def _applied(evidence: Evidence) -> Effect:
    known = await Attempt.filter(channel=evidence.channel, payment_no=evidence.payment_no).first()
    if known is None:
        return await _unknown_number(evidence)
    bill = await db.lock(Bill, id=known.bill_id)
    attempt = await db.lock(Attempt, id=known.id)
    if bill is None or attempt is None:
        raise RuntimeError("bills and attempts are never deleted")
    by = OPERATOR if evidence.kind is EvidenceKind.OPERATOR else CHANNEL
    scene = _Scene(bill=bill, attempt=attempt, evidence=evidence, by=by)
    effect = await _APPLY[evidence.outcome](scene)
    if effect in (Effect.NOTHING, Effect.ALREADY) and evidence.kind is EvidenceKind.NOTICE:
        await _keep(scene, effect)
    if effect not in (Effect.NOTHING, Effect.ALREADY):
        log.info("payments.evidence", effect=str(effect), **describe(evidence))
    return effect


async def _accepted(scene: _Scene) -> Effect:
    attempt, state = scene.attempt, AttemptState(scene.attempt.state)
    if state not in (_A.SENDING, _A.UNKNOWN, _A.PENDING):
        return Effect.NOTHING  # paid or closed meanwhile: a late reply is no news
    attempt.client_action = msgspec.json.encode(dict(scene.evidence.client_action or {})).decode()
    attempt.client_action_at = scene.evidence.observed_at
    attempt.last_error = None
    if state is _A.PENDING:
        await attempt.save()
        return Effect.NOTHING
    await _keep(scene, Effect.MOVED)
    return await _now_pending(scene, _AA.ACCEPTED if state is _A.SENDING else _AA.FOUND_NOTPAY)


async def _now_pending(scene: _Scene, action: AttemptAction) -> Effect:
    """The order exists at the channel: ask on the ladder, or close it at once if that was wanted while it was unknown."""
    attempt = scene.attempt
    attempt.ladder_from_at = attempt.sent_at or clock.now()
    reason = attempt.close_wanted
    pacing.schedule(attempt)
    await transitions.step_attempt(attempt, action, by=scene.by, evidence_id=scene.evidence_id)
    if reason is not None:
        await transitions.want_close(attempt, by=scene.by, reason=reason)
    return Effect.MOVED


async def _refused(scene: _Scene) -> Effect:
    attempt = scene.attempt
    attempt.last_error = scene.evidence.reason[:120]
    if attempt.state != _A.SENDING or attempt.sends > 1:
        # An earlier try may have created the order: a refusal of this one proves nothing about that one.
        return await _no_reply(scene)
    await _keep(scene, Effect.MOVED)
    await transitions.step_attempt(
        attempt, _AA.DEFINITE_REJECT, by=scene.by, note=scene.evidence.reason, evidence_id=scene.evidence_id
    )
    await bills.attempt_ended(scene.bill)
    return Effect.MOVED


async def _no_reply(scene: _Scene) -> Effect:
    attempt = scene.attempt
    if attempt.state not in ACTIVE:
        return Effect.NOTHING
    attempt.last_error = scene.evidence.reason[:120] or attempt.last_error
    if attempt.state == _A.SENDING:
        pacing.schedule(attempt)
        await transitions.step_attempt(attempt, _AA.NO_REPLY, by=scene.by, note=scene.evidence.reason)
        return Effect.SILENT
    await attempt.save()
    await _ask_later(attempt)
    return Effect.SILENT


async def _not_found(scene: _Scene) -> Effect:
    """Never "failed": the only consequence is that the same number with the same bytes may be sent again."""
    attempt = scene.attempt
    if attempt.state in (_A.PENDING, _A.CLOSING) and _prepared_locally(attempt):
        return await _not_opened(scene)
    if attempt.state == _A.SENDING and pacing.stale(attempt):  # its sender died; a younger one is somebody's live call
        await _no_reply(scene)
    if attempt.state != _A.UNKNOWN or attempt.review_required:
        await _ask_later(attempt)
        return Effect.NOTHING
    if clock.now() >= attempt.expires_at:
        # The stored bytes name an end that has passed, so this order can never be made again. A signed "no such order" some
        # time later therefore ends it; an unsigned one proves nothing, and the ladder goes on to a person.
        over = clock.now() >= attempt.expires_at + _CERTAINLY_OVER
        return await _closed(scene) if scene.evidence.proven and over else Effect.NOTHING
    pacing.mark_sending(attempt)
    await transitions.step_attempt(attempt, _AA.NOT_FOUND, by=scene.by)
    return Effect.RESEND


def _prepared_locally(attempt: Attempt) -> bool:
    can = runtime.capabilities(attempt.channel, attempt.product)
    return can is not None and can.prepared_locally


async def _not_opened(scene: _Scene) -> Effect:
    """The phone holds something we signed and nobody has opened it: it can be opened until its end, so it is watched until then.

    Only a proven "no such order" some time after that end closes it; money that still appears settles by the correction edge.
    """
    attempt, over = scene.attempt, scene.attempt.expires_at + _CERTAINLY_OVER
    if scene.evidence.proven and clock.now() >= over:
        return await _closed(scene)
    await _ask_later(attempt)
    if attempt.next_check_at is not None and clock.now() < over < attempt.next_check_at:
        attempt.next_check_at = over
        await attempt.save()
    return Effect.NOTHING


async def _not_sent(scene: _Scene) -> Effect:
    """Certainly nothing reached the channel. If no earlier send could have either, the attempt is as good as new."""
    attempt = scene.attempt
    if attempt.state != _A.SENDING:
        return Effect.NOTHING
    attempt.sends -= 1
    if attempt.sends > 0:
        return await _no_reply(scene)
    attempt.last_error = scene.evidence.reason[:120]
    attempt.ladder_from_at = clock.now()
    pacing.schedule(attempt)
    await transitions.step_attempt(attempt, _AA.NOT_SENT, by=scene.by, note=scene.evidence.reason)
    return Effect.SILENT


async def _notpay(scene: _Scene) -> Effect:
    attempt = scene.attempt
    if attempt.state == _A.SENDING:
        await _no_reply(scene)
    if attempt.state == _A.UNKNOWN:
        await _keep(scene, Effect.MOVED)
        await _now_pending(scene, _AA.FOUND_NOTPAY)
        return await _close_if_over(scene) or Effect.MOVED
    if attempt.state == _A.PENDING:
        return await _close_if_over(scene) or Effect.NOTHING
    await _ask_later(attempt)  # CLOSING: the close did not take effect yet
    return Effect.NOTHING


async def _ask_later(attempt: Attempt) -> None:
    """After an answer that concludes nothing the next question waits for its step of the ladder."""
    if attempt.state in ACTIVE and attempt.next_check_at is not None and attempt.next_check_at <= clock.now():
        attempt.checks += 1
        pacing.schedule(attempt)
        await attempt.save()


async def _close_if_over(scene: _Scene) -> Effect | None:
    """An order past its end is closed at the channel, because only that makes sure that nobody can pay it any more."""
    attempt = scene.attempt
    if attempt.state != _A.PENDING or clock.now() < attempt.expires_at:
        return None
    await transitions.want_close(attempt, by=scene.by, reason="order expired")
    return Effect.MOVED


async def _closed(scene: _Scene) -> Effect:
    attempt, state = scene.attempt, AttemptState(scene.attempt.state)
    if state is _A.SENDING:
        await _no_reply(scene)
        state = _A.UNKNOWN
    if state not in (_A.UNKNOWN, _A.PENDING, _A.CLOSING):
        return Effect.NOTHING
    by_our_close = state is _A.CLOSING and scene.evidence.kind is EvidenceKind.REPLY
    await _keep(scene, Effect.MOVED)
    attempt.review_required = False
    await transitions.step_attempt(
        attempt, _AA.CLOSED if by_our_close else _AA.FOUND_CLOSED, by=scene.by, evidence_id=scene.evidence_id
    )
    await bills.attempt_ended(scene.bill)
    return Effect.MOVED


async def _paid(scene: _Scene) -> Effect:
    attempt, evidence = scene.attempt, scene.evidence
    if attempt.state in SETTLED:
        if evidence.channel_txn_id == attempt.channel_txn_id:
            return Effect.ALREADY
        return await _park(scene, "SECOND_TRANSACTION", "同一支付单收到另一笔渠道交易")
    wrong = mismatch(attempt, evidence)
    return await _park(scene, *wrong) if wrong else await _settle(scene)


async def _settle(scene: _Scene) -> Effect:
    bill, attempt, evidence = scene.bill, scene.attempt, scene.evidence
    rest = await ledger.balance(ledger.bill_due(bill.bill_no)) if _takes_money(bill) else 0
    applied = min(attempt.amount_fen, rest)
    excess = attempt.amount_fen - applied
    await _keep(scene, Effect.SETTLED if not excess else Effect.SURPLUS)
    posting = payment_posting(bill, attempt, evidence, applied=applied)
    if not await ledger.post_one(posting):
        raise ledger.LedgerError("a transaction of the channel was posted for another attempt")
    corrected = attempt.state in (_A.CLOSED, _A.REJECTED)
    attempt.channel_txn_id, attempt.paid_at, attempt.last_error = evidence.channel_txn_id, posting.occurred_at, None
    await transitions.step_attempt(
        attempt, _AA.CORRECTION if corrected else _AA.PAID, by=scene.by, evidence_id=scene.evidence_id
    )
    if corrected:
        await differences.record(
            "STATUS_OURS_UNPAID", attempt.payment_no, attempt=attempt, bill_no=bill.bill_no,
            theirs_fen=attempt.amount_fen, detail="支付单关闭后渠道证明已支付", state="auto_fixed",
        )  # fmt: skip
    await _after_money(scene, applied=applied, excess=excess)
    return Effect.SURPLUS if excess else Effect.SETTLED


def payment_posting(bill: Bill, attempt: Attempt, evidence: Evidence, *, applied: int) -> ledger.Posting:
    """What a payment posts: the channel has the money, the bill takes `applied` fen of it, the rest is owed back."""
    entries = [ledger.Entry(ledger.channel_receivable(attempt.channel), attempt.amount_fen)]
    if applied:
        entries.append(ledger.Entry(ledger.bill_due(bill.bill_no), -applied))
    if attempt.amount_fen > applied:
        entries.append(ledger.Entry(ledger.surplus(attempt.payment_no), applied - attempt.amount_fen))
    return ledger.Posting(
        kind="pay",
        dedupe_key=f"pay:{attempt.channel}:{evidence.channel_txn_id}",
        occurred_at=evidence.occurred_at or evidence.observed_at,
        entries=entries,
        bill_no=bill.bill_no,
        payment_no=attempt.payment_no,
    )


async def _after_money(scene: _Scene, *, applied: int, excess: int) -> None:
    bill, attempt = scene.bill, scene.attempt
    cause = _cause(bill)
    if applied:
        await transitions.derive(bill, by=scene.by, evidence_id=scene.evidence_id)
        await receipts.want(bill, attempt, amount_fen=applied)
    if bill.state == BillState.PAID:
        for sibling in await bills.active_attempts(bill):
            await transitions.want_close(sibling, by=scene.by, reason="paid by another attempt")
    if excess:
        await refunds.owe_back(bill, attempt, amount_fen=excess, cause=cause, source="surplus")
    await bills.attempt_ended(bill)


def _cause(bill: Bill) -> str:
    """Why money that a bill does not take is owed back; judged before the money moves the bill."""
    if bill.void_reason is not None:
        return "withdrawal"
    return "late" if bill.state == BillState.EXPIRED else "surplus"


async def _park(scene: _Scene, class_name: str, detail: str) -> Effect:
    """Verified money of our own merchant that does not fit its attempt: kept in suspense, a person decides."""
    attempt = scene.attempt
    if not await _suspend(scene.evidence, attempt.payment_no, scene.bill.bill_no):
        return Effect.ALREADY
    await _keep(scene, Effect.SUSPENSE)
    attempt.review_required, attempt.next_check_at = True, None
    await attempt.save()
    await differences.record(
        class_name, f"{attempt.payment_no}:{scene.evidence.channel_txn_id}", attempt=attempt, bill_no=scene.bill.bill_no,
        theirs_fen=scene.evidence.amount_fen, detail=detail,
    )  # fmt: skip
    return Effect.SUSPENSE


async def _unknown_number(evidence: Evidence) -> Effect:
    if evidence.outcome is not Outcome.PAID or not await _suspend(evidence, None, None):
        return Effect.NOTHING
    await evidence_rows.store(evidence, None, str(Effect.SUSPENSE))
    await differences.record_channel_only(evidence)
    return Effect.SUSPENSE


async def _suspend(evidence: Evidence, payment_no: str | None, bill_no: str | None) -> bool:
    amount = evidence.amount_fen or 0
    return await ledger.post(
        kind="suspense",
        dedupe_key=f"line:{evidence.channel}:{evidence.channel_txn_id}",
        occurred_at=evidence.occurred_at or evidence.observed_at,
        entries=[
            ledger.Entry(ledger.channel_receivable(evidence.channel), amount),
            ledger.Entry(ledger.suspense(evidence.channel), -amount),
        ],
        bill_no=bill_no,
        payment_no=payment_no,
    )


def _takes_money(bill: Bill) -> bool:
    if bill.void_reason is not None:
        return False
    if bill.state == BillState.EXPIRED:
        return bill.late_policy == "accept"
    return bill.state in (BillState.OPEN, BillState.PART_PAID)


def mismatch(attempt: Attempt, evidence: Evidence) -> tuple[str, str] | None:
    """Why verified money does not fit its attempt: class of the difference and words; None when it fits."""
    if evidence.amount_fen != attempt.amount_fen:
        more = (evidence.amount_fen or 0) > attempt.amount_fen
        return "AMOUNT_HIGH" if more else "AMOUNT_LOW", "渠道金额与支付单不一致"
    if evidence.currency != attempt.currency:
        return "CURRENCY", "渠道币种与支付单不一致"
    if attempt.payer_index and evidence.payer_id is not None:
        index = crypto.blind_index(evidence.payer_id, purpose=PAYER_INDEX)
        if index != attempt.payer_index:
            return "PAYER", "付款人与支付单不一致"
    return None


async def _keep(scene: _Scene, effect: Effect) -> None:
    scene.evidence_id = await evidence_rows.store(scene.evidence, scene.attempt, str(effect))


_APPLY = {
    Outcome.ACCEPTED: _accepted,
    Outcome.NOT_SENT: _not_sent,
    Outcome.NO_REPLY: _no_reply,
    Outcome.NOT_FOUND: _not_found,
    Outcome.NOTPAY: _notpay,
    Outcome.REFUSED: _refused,
    Outcome.CLOSED: _closed,
    Outcome.PAID: _paid,
}
