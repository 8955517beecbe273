"""The only place that changes the state of a bill, an attempt or a refund: table, row, numbered event, and the events others hear of."""

import hashlib

from kernel import clock, db, outbox, together
from payments import ledger, states
from payments.models import Attempt, Bill, PaymentEvent, Refund
from payments.refund_states import REFUND, RESERVED, SUCCEEDED, RefundAction, RefundState
from payments.states import ACTIVE, ATTEMPT, BILL, AttemptAction, AttemptState, BillAction, BillFacts, BillState

BILL_PAID = "bill.paid"
REFUND_SUCCEEDED, REFUND_FAILED, REFUND_DENIED = "refund.succeeded", "refund.failed", "refund.denied"
_NEWS = {
    RefundState.SUCCESS: REFUND_SUCCEEDED,
    RefundState.SUCCESS_OFFLINE: REFUND_SUCCEEDED,
    RefundState.FAILED: REFUND_FAILED,
    RefundState.ABNORMAL: REFUND_FAILED,
    RefundState.DENIED: REFUND_DENIED,
}
_HISTORY_NO = 32
_MAY_BE_BACK = (BillState.PAID, BillState.PART_REFUNDED, BillState.REFUNDED)


async def step_attempt(
    attempt: Attempt, action: AttemptAction, *, by: str, note: str | None = None, evidence_id: int | None = None
) -> None:
    """Moves a locked attempt. Raises IllegalTransition for an action the table does not have."""
    source = AttemptState(attempt.state)
    target = AttemptState(ATTEMPT.step(source, action, by=by))
    attempt.state = target
    if target not in ACTIVE:
        attempt.active_slot = None
        attempt.next_check_at = None
        attempt.close_wanted = None
    attempt.event_seq += 1
    await _keep(attempt)
    await _record("attempt", attempt, action=action, source=source, by=by, note=note, evidence_id=evidence_id)


async def step_bill(
    bill: Bill, action: BillAction, *, by: str, note: str | None = None, evidence_id: int | None = None
) -> None:
    """Moves a locked bill and tells the world when it is paid. Raises IllegalTransition."""
    source = BillState(bill.state)
    target = BillState(BILL.step(source, action, by=by))
    bill.state = target
    bill.event_seq += 1
    await _keep(bill)
    await _record("bill", bill, action=action, source=source, by=by, note=note, evidence_id=evidence_id)
    if target is BillState.PAID:
        await outbox.publish(
            BILL_PAID,
            key=f"{BILL_PAID}:{bill.bill_no}:{bill.event_seq}",
            payload={"bill_no": bill.bill_no, "subject": bill.subject, "kind": bill.kind},
            lane=f"bill:{bill.bill_no}",
        )


async def step_refund(
    bill: Bill,
    refund: Refund,
    action: RefundAction,
    *,
    by: str,
    note: str | None = None,
    evidence_id: int | None = None,
) -> None:
    """Moves a locked refund of a locked bill and tells the world of its end. Raises IllegalTransition."""
    source = RefundState(refund.state)
    target = RefundState(REFUND.step(source, action, by=by))
    refund.state = target
    if target not in RESERVED:
        refund.next_check_at = None
    if target in SUCCEEDED:
        refund.finished_at = clock.now()
    refund.event_seq += 1
    await refund.save()
    await _record("refund", refund, action=action, source=source, by=by, note=note, evidence_id=evidence_id)
    topic = _NEWS.get(target)
    if topic is not None and target is not source:
        await outbox.publish(
            topic,
            key=f"{topic}:{refund.refund_no}:{refund.event_seq}",
            payload={
                "refund_no": refund.refund_no, "bill_no": bill.bill_no, "subject": bill.subject,
                "amount_fen": refund.amount_fen, "cause": refund.cause, "state": str(target),
            },
            lane=f"bill:{bill.bill_no}",
        )  # fmt: skip


async def note_refund(refund: Refund, action: str, *, by: str, note: str) -> None:
    """Writes into a locked refund's history what did not move it: a refused decision, a retry of a person."""
    refund.event_seq += 1
    await refund.save(update_fields=["event_seq"])
    await _record("refund", refund, action=action, source=refund.state, by=by, note=note, evidence_id=None)


async def derive(bill: Bill, *, by: str, evidence_id: int | None = None) -> None:
    """Brings a locked bill to the state its ledger means."""
    target = states.derive_bill_state(await facts(bill))
    action = states.bill_action(BillState(bill.state), target)
    if action is not None:
        await step_bill(bill, action, by=by, evidence_id=evidence_id)


async def facts(bill: Bill) -> BillFacts:
    """What the bill's state is derived from."""
    rest = await ledger.balance(ledger.bill_due(bill.bill_no)) if bill.published_at else bill.due_fen
    return BillFacts(
        published=bill.published_at is not None,
        withdrawn=bill.withdrawn_at is not None,
        expired=bill.expired_at is not None,
        due_fen=bill.due_fen,
        paid_fen=bill.due_fen - rest,
        back_fen=await _back(bill) if bill.state in _MAY_BE_BACK else 0,
    )


async def _back(bill: Bill) -> int:
    """What went back to the payer out of the unit's income and is not due again."""
    rows = await db.fetch(
        "SELECT COALESCE(SUM(amount_fen), 0) AS back FROM payments_refund "
        "WHERE bill_id = ? AND source = 'income' AND NOT reopened AND state IN (?, ?)",
        bill.id, *(str(state) for state in SUCCEEDED),
    )  # fmt: skip
    return int(rows[0]["back"])


async def want_close(attempt: Attempt, *, by: str, reason: str) -> None:
    """Asks for a locked active attempt to be closed at the channel. Nothing is closed locally before the channel says so.

    An attempt whose order may not exist yet is only marked: first it must be known, then it can be closed.
    """
    state = AttemptState(attempt.state)
    now = clock.now()
    if state is AttemptState.CREATED:
        await step_attempt(attempt, AttemptAction.ABANDON, by=by, note=reason)
    elif state is AttemptState.PENDING:
        attempt.close_wanted = reason
        attempt.ladder_from_at = attempt.next_check_at = now
        await step_attempt(attempt, AttemptAction.WANT_CLOSE, by=by, note=reason)
    elif state in (AttemptState.SENDING, AttemptState.UNKNOWN) and attempt.close_wanted is None:
        attempt.close_wanted = reason
        if state is AttemptState.UNKNOWN and not attempt.review_required:
            attempt.ladder_from_at = attempt.next_check_at = now
        await attempt.save()


async def attempt_opened(bill: Bill) -> None:
    """An attempt of a locked bill was made: who has looked at the bill's attempts without a lock must look again.

    The bill gets another version by it, which is what `at_once` goes by.
    """
    await db.execute("UPDATE payments_bill SET event_seq = event_seq WHERE id = ?", bill.id)


async def _keep(row: Attempt | Bill) -> None:
    """Written at once, for the rest of a transaction reads it; gathered by a command that only looks."""
    await (row.save() if db.view() is None else together.save(row))


async def _record(
    kind: str,
    row: Attempt | Bill | Refund,
    *,
    action: str,
    source: str,
    by: str,
    note: str | None,
    evidence_id: int | None,
) -> None:
    """One numbered event per change; the unique number would expose two writers at once."""
    await together.add(
        PaymentEvent,
        object_kind=kind,
        object_no=history_no(row),
        seq=row.event_seq,
        action=str(action),
        source=str(source),
        target=str(row.state),
        by=by,
        note=note[:120] if note else None,
        evidence_id=evidence_id,
    )


def history_no(row: Attempt | Bill | Refund) -> str:
    """Under which number the history of a row is kept; a number of the merchant site may be longer than ours."""
    number = row.refund_no if isinstance(row, Refund) else row.payment_no if isinstance(row, Attempt) else row.bill_no
    return number if len(number) <= _HISTORY_NO else hashlib.sha256(number.encode()).hexdigest()[:_HISTORY_NO]
