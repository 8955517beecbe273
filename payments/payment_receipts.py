"""What a payment receipt (缴费凭证) says of one payment: what it paid into its bill and what went back. Printing is others' business.

It is not the fiscal e-receipt (财政电子票据) of `receipts.py`, which the finance platform issues; it only names it.
"""

from datetime import datetime

import msgspec
from tortoise.expressions import Q

from kernel.masks import mask_tail
from kernel.problems import NotFound
from payments import receipt_rows, views
from payments.models import Attempt, Bill, BillLine, Refund
from payments.receipt_rows import ReceiptView
from payments.reconciliation.reports import CHANNELS
from payments.refund_states import SUCCEEDED
from payments.states import SETTLED, VOCABULARY, PublicStatus
from payments.views import BillLineView


class PaymentReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt; amounts in fen. `amount_fen` is what this payment paid into the bill, `extra_fen` what came on top of it."""

    receipt_no: str
    bill_no: str
    payer_ref: str
    unit_code: str
    title: str
    lines: tuple[BillLineView, ...]
    due_fen: int
    amount_fen: int
    extra_fen: int
    returned_fen: int
    returning_fen: int
    status: str
    label: str
    paid_at: datetime
    channel_name: str
    channel_txn_mask: str
    e_receipt: ReceiptView | None


async def payment_receipt(*, receipt_no: str, owner_ref: str) -> PaymentReceipt:
    """The receipt for its payer or the bill's owner. Raises NotFound, also for other people's, unpaid and wholly surplus payments."""
    own = Q(payer_ref=owner_ref) | Q(bill__owner_ref=owner_ref)
    found = await _found(await Attempt.filter(own, payment_no=receipt_no).first())
    if found is None:
        raise NotFound("没有找到这份缴费凭证")
    return found


async def payment_receipt_told(*, receipt_no: str) -> PaymentReceipt | None:
    """The same for whoever holds the paper; the caller has checked that and shows masks only."""
    return await _found(await Attempt.get_or_none(payment_no=receipt_no))


async def _found(attempt: Attempt | None) -> PaymentReceipt | None:
    if attempt is None or attempt.state not in SETTLED or attempt.paid_at is None:
        return None
    bill = await Bill.get(id=attempt.bill_id)
    applied = await receipt_rows.applied_fen(bill, attempt)
    if applied <= 0:
        return None  # all of it is surplus: it paid nothing and goes back
    refunds = await Refund.filter(attempt_id=attempt.id).order_by("id")
    lines = await BillLine.filter(bill_id=bill.id).order_by("id")
    returned = sum(r.amount_fen for r in refunds if r.source == "income" and r.state in SUCCEEDED)
    returning = sum(r.amount_fen for r in views.going_back(refunds) if r.source == "income")
    word = _word(applied, returned, returning)
    return PaymentReceipt(
        receipt_no=attempt.payment_no, bill_no=bill.bill_no, payer_ref=attempt.payer_ref, unit_code=bill.unit_code,
        title=bill.title, lines=tuple(views.line_view(line) for line in lines), due_fen=bill.due_fen,
        amount_fen=applied, extra_fen=attempt.amount_fen - applied, returned_fen=returned, returning_fen=returning,
        status=word.status, label=word.label, paid_at=attempt.paid_at,
        channel_name=CHANNELS.get(attempt.channel, attempt.channel),
        channel_txn_mask=mask_tail(attempt.channel_txn_id or ""),
        e_receipt=(await receipt_rows.views_of([attempt.id])).get(attempt.id),
    )  # fmt: skip


def _word(applied: int, returned: int, returning: int) -> PublicStatus:
    if returned >= applied:
        return VOCABULARY["refunded"]
    if returning:
        return VOCABULARY["refunding"]
    return VOCABULARY["part_refunded" if returned else "paid"]
