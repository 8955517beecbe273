"""Reads of refunds: the operators' pages, what waits for a person, and the citizen's own request."""

from datetime import datetime

import msgspec
from tortoise.expressions import Q

from kernel.idempotency import Idempotency, run_once
from kernel.problems import NotFound
from payments import refunds, views
from payments.models import Attempt, Bill, Refund
from payments.refund_states import CAUSES, FREE, LIVE, REFUND, RefundState
from payments.states import SETTLED
from payments.views import RefundView

_PEOPLE = {str(RefundState.REQUESTED), str(RefundState.ABNORMAL), str(RefundState.FAILED)}


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    """One refund as operators see it; amounts in fen."""

    refund_no: str
    payment_no: str
    channel_txn_id: str | None
    bill_no: str
    subject: str
    amount_fen: int
    cause: str
    cause_label: str
    state: str
    label: str
    automatic: bool
    way: str
    reason: str
    rule_ref: str | None
    requested_by: str
    decided_by: str | None
    last_error: str | None
    channel_refund_id: str | None
    since_at: datetime
    next_check_at: datetime | None
    finished_at: datetime | None


async def refunds_page(
    *, state: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[RefundRow], str | None]:
    """Refunds, newest first (of one state, if given), and the cursor of the next page (the number of the last one shown)."""
    limit = max(1, min(limit, 200))
    query = Refund.filter(state=state) if state else Refund.all()
    if cursor is not None:
        last = await Refund.get_or_none(refund_no=cursor)
        if last is None:
            raise NotFound
        query = query.filter(id__lt=last.id)
    rows = await query.order_by("-id").limit(limit + 1).prefetch_related("attempt", "bill")
    return [_row(row) for row in rows[:limit]], rows[limit - 1].refund_no if len(rows) > limit else None


async def refunds_unfinished(*, limit: int = 100) -> list[RefundRow]:
    """Money that is owed or promised back and has not arrived, oldest first: what is under way and what nobody retried."""
    open_states = [str(RefundState.APPROVED), *(str(s) for s in LIVE), *_PEOPLE]
    rows = (
        await Refund.filter(state__in=open_states).order_by("id").limit(limit * 2).prefetch_related("attempt", "bill")
    )
    over = await _followed([row.id for row in rows])
    return [_row(row) for row in rows if row.id not in over][:limit]


async def refunds_for_people(*, limit: int = 100) -> list[RefundRow]:
    """Refunds that move no further without a person, oldest first: to be decided, failed, abnormal, never answered."""
    stuck = Q(review_required=True, state__in=[str(s) for s in LIVE])
    query = Refund.filter(Q(state__in=sorted(_PEOPLE)) | stuck)
    rows = await query.order_by("id").limit(limit * 2).prefetch_related("attempt", "bill")
    over = await _followed([row.id for row in rows])
    waiting = [r for r in rows if r.id not in over and not (r.state == RefundState.REQUESTED and r.automatic)]
    return [_row(row) for row in waiting][:limit]


async def request_refund_of_bill(*, owner_ref: str, bill_no: str, reason: str, idem: Idempotency | None) -> RefundView:
    """The payer asks for her money back; a person of the unit decides. Raises NotFound, RefundNotPossible."""

    async def work() -> RefundView:
        bill = await Bill.get_or_none(bill_no=bill_no, owner_ref=owner_ref)
        if bill is None:
            raise NotFound("没有找到这张缴费单")
        paid = await Attempt.filter(bill_id=bill.id, state__in=[str(s) for s in SETTLED]).order_by("id")
        for attempt in paid:
            if await refunds.left_of_income(bill, attempt) > 0:
                break
        else:
            raise refunds.RefundNotPossible("这张缴费单没有可退的款")
        refund_no = await refunds.request_refund(
            payment_no=attempt.payment_no, cause="request", reason=reason, requested_by=owner_ref
        )
        return views.refund_view(await Refund.get(refund_no=refund_no), attempt.payment_no)

    return await run_once(idem, RefundView, work)


async def _followed(ids: list[int]) -> set[int]:
    """Failed refunds that were taken up again under a new number."""
    if not ids:
        return set()
    followers = Refund.filter(follows_id__in=ids).exclude(state__in=[str(s) for s in FREE if s != RefundState.FAILED])
    return {row.follows_id for row in await followers if row.follows_id is not None}


def _row(row: Refund) -> RefundRow:
    return RefundRow(
        refund_no=row.refund_no,
        payment_no=row.attempt.payment_no,
        channel_txn_id=row.attempt.channel_txn_id,
        bill_no=row.bill.bill_no,
        subject=row.bill.subject,
        amount_fen=row.amount_fen,
        cause=row.cause,
        cause_label=CAUSES[row.cause].label,
        state=row.state,
        label=REFUND.label(row.state).label,
        automatic=row.automatic,
        way=row.way,
        reason=refunds.opened(row),
        rule_ref=row.rule_ref,
        requested_by=row.requested_by,
        decided_by=row.decided_by,
        last_error=row.last_error,
        channel_refund_id=row.channel_refund_id,
        since_at=row.created_at,
        next_check_at=row.next_check_at,
        finished_at=row.finished_at,
    )
