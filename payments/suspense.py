"""Money of our own merchant that did not fit its payment: two people say what it was, and the ledger moves it out of suspense."""

from kernel import clock, db
from kernel.problems import Conflict, Invalid
from payments import bills, differences, ledger, receipts, refunds, transitions
from payments.four_eyes import SamePerson, same_person
from payments.models import Attempt, Bill, EvidenceRow
from payments.states import OPERATOR, SETTLED, AttemptAction, AttemptState, BillState

TO_BILL, TO_PAYER = "bill", "payer"
_CLASSES = ("AMOUNT_HIGH", "AMOUNT_LOW", "CURRENCY", "PAYER")


async def explain_suspense(*, payment_no: str, to: str, document: str, actor: str, approved_by: str) -> int:
    """Says whom suspended money belongs to: "bill" settles what it is enough for, "payer" gives it all back. Answers the fen.

    Two people and a document. What the bill does not take goes back by itself.
    Raises NotFound, SamePerson, Invalid, Conflict when nothing of this payment is in suspense.
    """
    if to not in (TO_BILL, TO_PAYER) or not document.strip():
        raise Invalid("请说明这笔款的去向（bill 或 payer）和依据")
    if same_person(actor, approved_by):
        raise SamePerson("经办人和复核人不能是同一个人")
    async with db.transaction():
        bill, attempt = await refunds.lock_payment(payment_no)
        statement = (
            await EvidenceRow.filter(attempt_id=attempt.id, effect="suspense", refund_no=None).order_by("id").first()
        )
        if statement is None or attempt.state in SETTLED or not statement.amount_fen:
            raise Conflict("这笔支付没有待查明的款项")
        if statement.currency != attempt.currency:
            raise Conflict("币种不一致的款项不能在这里处理")
        await _settle(bill, attempt, statement, to=to, note=f"{actor}、{approved_by}：{document}")
        for name in _CLASSES:
            key = f"{payment_no}:{statement.channel_txn_id}"
            await differences.resolve(name, key, resolution=f"{to}：{document}", by=f"{actor}、{approved_by}")
        return int(statement.amount_fen)


async def _settle(bill: Bill, attempt: Attempt, statement: EvidenceRow, *, to: str, note: str) -> None:
    """From here on the payment is what the channel said it was, and everything that follows a payment follows."""
    amount, txn_id = int(statement.amount_fen or 0), statement.channel_txn_id
    rest = await ledger.balance(ledger.bill_due(bill.bill_no)) if to == TO_BILL and _takes_money(bill) else 0
    applied = min(amount, rest)
    when = statement.occurred_at or statement.observed_at
    entries = [ledger.Entry(ledger.suspense(attempt.channel), amount)]
    if applied:
        entries.append(ledger.Entry(ledger.bill_due(bill.bill_no), -applied))
    if amount > applied:
        entries.append(ledger.Entry(ledger.surplus(attempt.payment_no), applied - amount))
    posted = await ledger.post(
        kind="explain", dedupe_key=f"suspense:{attempt.channel}:{txn_id}", occurred_at=clock.now(), entries=entries,
        bill_no=bill.bill_no, payment_no=attempt.payment_no,
    )  # fmt: skip
    if not posted:
        raise Conflict("这笔款已经处理过")
    attempt.amount_fen, attempt.channel_txn_id, attempt.paid_at = amount, txn_id, when
    attempt.review_required, attempt.last_error = False, None
    ended = attempt.state in (AttemptState.CLOSED, AttemptState.REJECTED)
    action = AttemptAction.CORRECTION if ended else AttemptAction.PAID
    await transitions.step_attempt(attempt, action, by=OPERATOR, note=note)
    if applied:
        await transitions.derive(bill, by=OPERATOR)
        await receipts.want(bill, attempt, amount_fen=applied)
    if bill.state == BillState.PAID:
        for sibling in await bills.active_attempts(bill):
            await transitions.want_close(sibling, by=OPERATOR, reason="paid by another attempt")
    if amount > applied:
        await refunds.owe_back(bill, attempt, amount_fen=amount - applied, cause="surplus", source="surplus")
    await bills.attempt_ended(bill)


def _takes_money(bill: Bill) -> bool:
    return bill.void_reason is None and bill.state in (BillState.OPEN, BillState.PART_PAID)
