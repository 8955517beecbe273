"""The one door for every statement from outside about a refund: idempotent, indifferent to order, never a downgrade."""

from dataclasses import dataclass

import structlog

from kernel import clock, db
from payments import bills, differences, receipts, refund_pacing, refund_postings, refunds, runtime, transitions
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import RefundEvidence, RefundOutcome, describe
from payments.models import Attempt, Bill, EvidenceRow, Refund
from payments.refund_states import LIVE, SUCCEEDED, RefundAction, RefundState
from payments.settlement import Effect
from payments.states import CHANNEL, OPERATOR, SYSTEM, AttemptAction, AttemptState, BillState

log = structlog.get_logger(__name__)

_R, _RA = RefundState, RefundAction
_NAMES_THE_MONEY = (RefundOutcome.PROCESSING, RefundOutcome.SUCCESS, RefundOutcome.CLOSED, RefundOutcome.ABNORMAL)


@dataclass(kw_only=True)
class _Scene:
    """A locked bill, attempt and refund with the statement about it."""

    bill: Bill
    attempt: Attempt
    refund: Refund
    evidence: RefundEvidence
    by: str
    evidence_id: int | None = None


async def apply_refund_evidence(evidence: RefundEvidence) -> Effect:
    """Applies one statement in one transaction; locks bill, attempt, refund, then accounts by code.

    A copy of a statement, or a later one that would be a downgrade, changes nothing; one that does not fit the refund settles
    nothing and leaves a difference. Joins the caller's transaction.
    """
    if evidence.merchant_id is not None and not runtime.gateway(evidence.channel).refunds.is_ours(evidence):
        await differences.record_foreign(evidence)
        return Effect.FOREIGN
    async with db.transaction():
        known = await Refund.filter(channel=evidence.channel, refund_no=evidence.refund_no).first()
        if known is None:
            await differences.record_refund_channel_only(evidence)
            return Effect.NOTHING
        bill, attempt, refund = await refunds.lock_refund(known.refund_no)
        by = OPERATOR if evidence.kind is EvidenceKind.OPERATOR else CHANNEL
        scene = _Scene(bill=bill, attempt=attempt, refund=refund, evidence=evidence, by=by)
        if await _seen(evidence):
            return Effect.ALREADY
        wrong = _mismatch(scene)
        effect = await _park(scene, *wrong) if wrong else await _APPLY[evidence.outcome](scene)
        if evidence.kind is EvidenceKind.NOTICE and scene.evidence_id is None:
            await _keep(scene, effect)
    if effect not in (Effect.NOTHING, Effect.ALREADY):
        log.info("payments.refund_evidence", effect=str(effect), **describe(evidence))
    return effect


async def _seen(evidence: RefundEvidence) -> bool:
    """A notice that is repeated says nothing new, even when a person has moved the refund on since."""
    if evidence.kind is not EvidenceKind.NOTICE:
        return False
    return await EvidenceRow.filter(channel=evidence.channel, kind="notice", source_id=evidence.source_id).exists()


def _mismatch(scene: _Scene) -> tuple[str, str] | None:
    evidence, refund = scene.evidence, scene.refund
    if evidence.outcome not in _NAMES_THE_MONEY:
        return None
    if evidence.payment_no and evidence.payment_no != scene.attempt.payment_no:
        return differences.REFUND_OTHER_PAYMENT, "渠道说这笔退款属于另一笔支付"
    if evidence.amount_fen is not None and evidence.amount_fen != refund.amount_fen:
        return differences.REFUND_AMOUNT, "渠道退款金额与退款单不一致"
    if evidence.currency is not None and evidence.currency != refund.currency:
        return differences.REFUND_AMOUNT, "渠道退款币种与退款单不一致"
    return None


async def _park(scene: _Scene, class_name: str, detail: str) -> Effect:
    """Settles nothing. The ladder goes on: the next honest answer still tells the truth."""
    await _keep(scene, Effect.SUSPENSE)
    await differences.record_refund(
        class_name, scene.refund, scene.attempt, theirs_fen=scene.evidence.amount_fen, detail=detail
    )
    return Effect.SUSPENSE


async def _not_sent(scene: _Scene) -> Effect:
    """Certainly nothing left us: the same bytes go again at the next step of the ladder."""
    refund = scene.refund
    if refund.state != _R.SENDING:
        return Effect.NOTHING
    refund.sends -= 1
    refund.sent_at = None
    return await _wait(scene, _RA.NOT_SENT)


async def _not_enough(scene: _Scene) -> Effect:
    """The merchant's balance is too small: the same number after a top-up."""
    return await _wait(scene, _RA.NOT_ENOUGH) if scene.refund.state == _R.SENDING else Effect.NOTHING


async def _no_reply(scene: _Scene) -> Effect:
    if scene.refund.state == _R.SENDING:
        return await _wait(scene, _RA.NO_REPLY)
    if scene.refund.state in LIVE and scene.evidence.reason:
        scene.refund.last_error = scene.evidence.reason[:120]
        await scene.refund.save(update_fields=["last_error"])
    return Effect.SILENT if scene.refund.state in LIVE else Effect.NOTHING


async def _wait(scene: _Scene, action: RefundAction) -> Effect:
    refund = scene.refund
    refund.last_error = scene.evidence.reason[:120] or str(scene.evidence.outcome)
    refund_pacing.schedule(refund)
    await _step(scene, action, note=scene.evidence.reason)
    return Effect.SILENT


async def _not_found(scene: _Scene) -> Effect:
    """Never "failed": the only consequence is that the same number with the same bytes is sent again."""
    refund = scene.refund
    if refund.state != _R.UNKNOWN or refund.review_required or refund.request_body is None:
        return Effect.NOTHING
    if scene.evidence.proven:
        refund.sends = 0  # proven: no earlier try arrived, so a refusal of the next one is conclusive
    refund_pacing.mark_sending(refund)
    await _step(scene, _RA.NOT_FOUND)
    return Effect.RESEND


async def _refused(scene: _Scene) -> Effect:
    refund = scene.refund
    refund.last_error = scene.evidence.reason[:120]
    if refund.state != _R.SENDING or refund.sends > 1:
        # An earlier try may have arrived: a refusal of this one proves nothing about that one.
        return await _no_reply(scene)
    await _keep(scene, Effect.MOVED)
    return await _failed(scene, _RA.DEFINITE_REJECT)


async def _processing(scene: _Scene) -> Effect:
    refund = scene.refund
    if refund.state not in (_R.SENDING, _R.UNKNOWN):
        return Effect.NOTHING
    await _keep(scene, Effect.MOVED)
    refund.channel_refund_id, refund.last_error = scene.evidence.channel_refund_id, None
    refund_pacing.schedule(refund)
    await _step(scene, _RA.ACCEPTED)
    return Effect.MOVED


async def _closed(scene: _Scene) -> Effect:
    refund = scene.refund
    if refund.state not in LIVE:
        return Effect.ALREADY if refund.state == _R.FAILED else Effect.NOTHING
    await _keep(scene, Effect.MOVED)
    refund.channel_refund_id = scene.evidence.channel_refund_id or refund.channel_refund_id
    refund.last_error = "渠道关闭了退款"
    return await _failed(scene, _RA.CLOSED)


async def _failed(scene: _Scene, action: RefundAction) -> Effect:
    """Nothing moved at the channel: the money is free for a new refund with a new number."""
    await refund_postings.release(scene.bill, scene.attempt, scene.refund)
    await _step(scene, action, note=scene.refund.last_error)
    return Effect.MOVED


async def _abnormal(scene: _Scene) -> Effect:
    """The money left the merchant and did not reach the payer: it stays reserved until a person has found a way."""
    refund = scene.refund
    if refund.state not in LIVE:
        return Effect.ALREADY if refund.state == _R.ABNORMAL else Effect.NOTHING
    await _keep(scene, Effect.MOVED)
    refund.channel_refund_id = scene.evidence.channel_refund_id or refund.channel_refund_id
    refund.last_error = "退款异常，没有到达缴费人"
    await _step(scene, _RA.ABNORMAL)
    refund_pacing.schedule(refund)
    await refund.save(update_fields=["next_check_at"])
    return Effect.MOVED


async def _success(scene: _Scene) -> Effect:
    refund = scene.refund
    if refund.state == _R.SUCCESS:
        return Effect.ALREADY
    if refund.state == _R.SUCCESS_OFFLINE:
        return await _paid_twice(scene)
    if refund.state == _R.FAILED:
        return await _corrected(scene)
    if refund.state not in LIVE and refund.state != _R.ABNORMAL:
        return await _park(scene, differences.REFUND_UNASKED, "渠道按我方尚未发出的退款单号退了款")
    await _keep(scene, Effect.SETTLED)
    await _money_went_back(scene, _RA.SUCCESS)
    return Effect.SETTLED


async def _corrected(scene: _Scene) -> Effect:
    """Failed for us, paid by the channel. What was to replace it is taken back first, then its money is set aside again."""
    bill, attempt, refund = scene.bill, scene.attempt, scene.refund
    waiting = [str(_R.REQUESTED), str(_R.APPROVED)]
    for follower in await Refund.filter(follows_id=refund.id, state__in=waiting).order_by("id"):
        locked = await db.lock(Refund, id=follower.id)
        if locked is not None:
            await refunds.take_back(bill, attempt, locked, by=SYSTEM, name=refunds.SYSTEM_NAME, note="原退款其实已成功")
    covered = refund.amount_fen <= await refunds.left_over(attempt)
    await _keep(scene, Effect.SETTLED)
    await refund_postings.reserve_again(bill, attempt, refund, covered=covered)
    await _money_went_back(scene, _RA.CORRECTION)
    class_name = differences.REFUND_CORRECTED if covered else differences.REFUND_TWICE
    detail = "退款失败后渠道证明已退回" if covered else "退款失败后渠道证明已退回，而重新发起的退款也已退出：多退了一次"
    await differences.record_refund(
        class_name, refund, attempt, theirs_fen=refund.amount_fen, detail=detail,
        state="auto_fixed" if covered else "open",
    )  # fmt: skip
    return Effect.SETTLED


async def _paid_twice(scene: _Scene) -> Effect:
    refund, when = scene.refund, scene.evidence.occurred_at or scene.evidence.observed_at
    if await differences.known(differences.REFUND_TWICE, refund.refund_no):
        return Effect.ALREADY
    await _keep(scene, Effect.SUSPENSE)
    await refund_postings.twice(scene.bill, scene.attempt, refund, at=when)
    await differences.record_refund(
        differences.REFUND_TWICE, refund, scene.attempt, theirs_fen=refund.amount_fen,
        detail="已线下退款，渠道又原路退回了一次",
    )  # fmt: skip
    return Effect.SUSPENSE


async def _money_went_back(scene: _Scene, action: RefundAction) -> None:
    refund, when = scene.refund, scene.evidence.occurred_at or scene.evidence.observed_at
    refund.channel_refund_id = scene.evidence.channel_refund_id or refund.channel_refund_id
    refund.last_error, refund.review_required = None, False
    await refund_postings.success(scene.bill, scene.attempt, refund, at=when)
    await _step(scene, action)
    refund.finished_at = when
    await refund.save(update_fields=["finished_at"])
    await after_success(scene.bill, scene.attempt, refund, by=scene.by, evidence_id=scene.evidence_id)


async def after_success(
    bill: Bill, attempt: Attempt, refund: Refund, *, by: str, evidence_id: int | None = None
) -> None:
    """Attempt and bill follow a refund that has just succeeded, by channel or by bank. All three are locked."""
    if refund.source == "income" and bill.state == BillState.PART_PAID:
        refund.reopened = True
        await refund.save(update_fields=["reopened"])
        await refund_postings.reopen(bill, attempt, refund, at=refund.finished_at or clock.now())
    gone = await Refund.filter(attempt_id=attempt.id, state__in=[str(s) for s in SUCCEEDED])
    whole = sum(row.amount_fen for row in gone) >= attempt.amount_fen
    if attempt.state != AttemptState.REFUNDED:
        await transitions.step_attempt(
            attempt, AttemptAction.REFUND_FULL if whole else AttemptAction.REFUND_PART, by=by, note=refund.refund_no[:32],
            evidence_id=evidence_id,
        )  # fmt: skip
    await transitions.derive(bill, by=by, evidence_id=evidence_id)
    await receipts.turn_back(attempt, refund)
    await bills.attempt_ended(bill)


async def _step(scene: _Scene, action: RefundAction, *, note: str | None = None) -> None:
    await transitions.step_refund(
        scene.bill, scene.refund, action, by=scene.by, note=note, evidence_id=scene.evidence_id
    )


async def _keep(scene: _Scene, effect: Effect) -> None:
    """Writes the statement down once."""
    evidence = scene.evidence
    rows = await db.fetch(
        "INSERT INTO payments_evidence (attempt_id, channel, kind, source_id, payment_no, refund_no, channel_txn_id, outcome, "
        "amount_fen, currency, occurred_at, observed_at, raw_ref, effect, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, kind, source_id) DO NOTHING RETURNING id",
        scene.attempt.id, evidence.channel, str(evidence.kind), evidence.source_id[:80], scene.attempt.payment_no,
        evidence.refund_no, evidence.channel_refund_id, str(evidence.outcome), evidence.amount_fen, evidence.currency,
        db.at(evidence.occurred_at) if evidence.occurred_at else None, db.at(evidence.observed_at), evidence.raw_ref,
        str(effect), db.at(clock.now()),
    )  # fmt: skip
    scene.evidence_id = int(rows[0]["id"]) if rows else None


_APPLY = {
    RefundOutcome.NOT_SENT: _not_sent,
    RefundOutcome.NO_REPLY: _no_reply,
    RefundOutcome.NOT_FOUND: _not_found,
    RefundOutcome.NOT_ENOUGH: _not_enough,
    RefundOutcome.PROCESSING: _processing,
    RefundOutcome.SUCCESS: _success,
    RefundOutcome.CLOSED: _closed,
    RefundOutcome.ABNORMAL: _abnormal,
    RefundOutcome.REFUSED: _refused,
}
