"""Rows of e-receipts: the newest of a payment, their numbered history, and what of a payment stays in its bill. Calls nobody."""

import msgspec

from kernel import db
from payments import ledger
from payments.models import Attempt, Bill, PaymentEvent
from payments.nontax_models import Receipt
from payments.receipt_states import RECEIPT, ReceiptAction, ReceiptState


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """An e-receipt as the payer sees it; `url` shows it at the finance bureau. Amount in fen."""

    status: str
    label: str
    amount_fen: int
    code: str | None = None
    number: str | None = None
    check_code: str | None = None
    url: str | None = None


async def newest(attempt_id: int) -> Receipt | None:
    """The receipt that counts now: the last part."""
    return await Receipt.filter(attempt_id=attempt_id).order_by("-part").first()


async def views_of(attempt_ids: list[int]) -> dict[int, ReceiptView]:
    """The receipt that counts now of each payment that has one."""
    rows = await Receipt.filter(attempt_id__in=attempt_ids).order_by("part") if attempt_ids else []
    return {row.attempt_id: _view(row) for row in rows}


async def step(receipt: Receipt, action: ReceiptAction, *, by: str, note: str | None = None) -> None:
    """Moves a locked receipt and writes its numbered event. Raises IllegalTransition."""
    source = receipt.state
    receipt.state = ReceiptState(RECEIPT.step(source, action, by=by))
    receipt.event_seq += 1
    await receipt.save()
    await PaymentEvent.create(
        object_kind="receipt", object_no=receipt.request_no, seq=receipt.event_seq, action=str(action), source=str(source),
        target=str(receipt.state), by=by, note=note[:120] if note else None, evidence_id=None,
    )  # fmt: skip


async def note_error(receipt: Receipt, reason: str) -> None:
    """Why the last try failed; only this column, so that nobody's step is overwritten."""
    await Receipt.filter(id=receipt.id).update(last_error=reason[:120])


async def applied_fen(bill: Bill, attempt: Attempt) -> int:
    """What an attempt paid into its bill, read from the ledger; surplus and suspense are not in it."""
    rows = await db.fetch(
        "SELECT COALESCE(-SUM(e.amount_fen), 0) AS applied FROM payments_ledger_entry e "
        "JOIN payments_ledger_txn t ON t.id = e.txn_id JOIN payments_ledger_account a ON a.id = e.account_id "
        "WHERE a.code = ? AND t.payment_no = ? AND t.kind IN ('pay', 'explain')",
        ledger.bill_due(bill.bill_no).code, attempt.payment_no,
    )  # fmt: skip
    return int(rows[0]["applied"])


async def still_paid_fen(bill: Bill, attempt: Attempt) -> int:
    """What of it has not gone back to the payer."""
    rows = await db.fetch(
        "SELECT COALESCE(SUM(amount_fen), 0) AS back FROM payments_refund "
        "WHERE attempt_id = ? AND source = 'income' AND state IN ('success', 'success_offline')",
        attempt.id,
    )
    return await applied_fen(bill, attempt) - int(rows[0]["back"])


def _view(row: Receipt) -> ReceiptView:
    label = RECEIPT.label(row.state)
    return ReceiptView(
        status=label.status, label=label.label, amount_fen=row.amount_fen, code=row.code, number=row.number,
        check_code=row.check_code, url=row.url,
    )  # fmt: skip
