"""Reads of bills, payments and what operators look at. Owners are part of every query a person can reach."""

from collections.abc import Sequence
from typing import Any

from kernel import batches, db
from kernel.problems import NotFound
from payments import ledger, receipt_rows, runtime, views
from payments.models import Attempt, Bill, BillLine, Difference, Refund
from payments.receipt_rows import ReceiptView
from payments.states import SETTLED, BillState
from payments.views import BillView, PaymentView

_DEFAULT_ACTION_LIFE_SECONDS = 3600
_BILLS = batches.Models(Bill, by={"t.subject": "text"})
_NOTHING_OPEN = frozenset(
    {BillState.PAID, BillState.WAIVED, BillState.PART_REFUNDED, BillState.REFUNDED, BillState.WITHDRAWN}
)


async def bill(*, owner_ref: str, bill_no: str) -> BillView:
    """One bill of this owner. Raises NotFound, also for other people's."""
    row = await Bill.get_or_none(bill_no=bill_no, owner_ref=owner_ref)
    if row is None:
        raise NotFound("没有找到这张缴费单")
    return (await _views([row]))[0]


async def bills_page(
    *, owner_ref: str, cursor: str | None = None, limit: int = 20
) -> tuple[list[BillView], str | None]:
    """The owner's bills, newest first, and the cursor of the next page (the number of the last bill shown)."""
    limit = max(1, min(limit, 50))
    query = Bill.filter(owner_ref=owner_ref)
    if cursor is not None:
        last = await Bill.get_or_none(bill_no=cursor, owner_ref=owner_ref)
        if last is None:
            raise NotFound
        query = query.filter(id__lt=last.id)
    rows = await query.order_by("-id").limit(limit + 1)
    page = rows[:limit]
    return await _views(page), page[-1].bill_no if len(rows) > limit else None


async def bills_of(subject: str) -> list[BillView]:
    """Every bill of a subject, oldest first. The caller has checked who asks."""
    return await _views(await _BILLS.of(subject))


async def outstanding(subject: str, kind: str | None = None) -> bool:
    """Whether the subject still has a bill that waits for money (of one kind, if given)."""
    query = Bill.filter(subject=subject, void_reason__isnull=True).exclude(state__in=[str(s) for s in _NOTHING_OPEN])
    return await (query.filter(kind=kind) if kind is not None else query).exists()


async def payment(*, owner_ref: str, payment_no: str) -> PaymentView:
    """One payment of this payer as it is stored. Raises NotFound."""
    attempt = await Attempt.get_or_none(payment_no=payment_no, payer_ref=owner_ref)
    if attempt is None:
        raise NotFound("没有找到这笔支付")
    row = await Bill.get(id=attempt.bill_id)
    owed = await Refund.filter(attempt_id=attempt.id).order_by("id")
    receipt = (await _receipts([attempt])).get(attempt.id)
    return views.payment_view(attempt, row, owed, action_life_seconds=action_life(attempt), receipt=receipt)


async def open_differences(*, limit: int = 100) -> list[dict[str, Any]]:
    """What waits for a person, oldest first."""
    rows = await Difference.filter(state="open").order_by("id").limit(limit)
    return [
        {
            "class": row.class_name,
            "key": row.key,
            "payment_no": row.payment_no,
            "ours_fen": row.ours_fen,
            "theirs_fen": row.theirs_fen,
            "detail": row.detail,
            "since_at": row.created_at,
        }
        for row in rows
    ]


def action_life(attempt: Attempt) -> int:
    """How long the attempt's client action may be used; a channel that was switched off shows none that is old."""
    can = runtime.capabilities(attempt.channel, attempt.product)
    return can.client_action_life_seconds if can else _DEFAULT_ACTION_LIFE_SECONDS


async def _views(rows: Sequence[Bill]) -> list[BillView]:
    if not rows:
        return []
    keys = [row.id for row in rows]
    lines = await BillLine.filter(bill_id__in=keys).order_by("id")
    attempts = await Attempt.filter(bill_id__in=keys).order_by("id")
    refunds = await Refund.filter(bill_id__in=keys).order_by("id")
    rest, receipts = await _rest([row.bill_no for row in rows]), await _receipts(attempts)
    return [
        views.bill_view(
            row,
            [line for line in lines if line.bill_id == row.id],  # type: ignore[attr-defined]
            [attempt for attempt in attempts if attempt.bill_id == row.id],
            [refund for refund in refunds if refund.bill_id == row.id],
            paid_fen=0 if row.state == BillState.WITHDRAWN else row.due_fen - rest.get(row.bill_no, row.due_fen),
            action_life=action_life,
            channels=_ways(row, rest.get(row.bill_no, row.due_fen)),
            receipts=receipts,
        )
        for row in rows
    ]


async def _receipts(attempts: Sequence[Attempt]) -> dict[int, ReceiptView]:
    """E-receipts by attempt; nothing is asked of the database where no channel of them gives any."""
    return await receipt_rows.views_of(
        [a.id for a in attempts if a.state in SETTLED and runtime.receipt_port(a.channel) is not None]
    )


def _ways(bill: Bill, rest_fen: int) -> list[str]:
    """The ways to pay that this bill may be paid by now."""
    if not views.takes_payment(bill):
        return []
    return [one.name for one in runtime.offers() if one.can.minimum_fen <= rest_fen <= one.can.maximum_fen]


async def _rest(bill_nos: Sequence[str]) -> dict[str, int]:
    codes = {ledger.bill_due(no).code: no for no in bill_nos}
    marks = ", ".join("?" for _ in codes)
    rows = await db.fetch(f"SELECT code, balance_fen FROM payments_ledger_account WHERE code IN ({marks})", *codes)
    return {codes[row["code"]]: int(row["balance_fen"]) for row in rows}
