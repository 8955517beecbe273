"""What a person has to look at (核查): opened by facts, resolved by a named clerk. Until the console exists, by a command."""

from datetime import datetime
from enum import StrEnum

import msgspec

from backend.delivery import parcels, receipts
from backend.delivery.models import Parcel, Review
from backend.delivery.states import By, ParcelAction, ParcelState
from kernel import clock, db, ids, outbox
from kernel.problems import Conflict, Invalid, NotFound


class ReviewKind(StrEnum):
    """Why somebody has to look."""

    CARRIER_SIGNED = "carrier_signed"
    EXCEPTION = "exception"
    BOOKING_FAILED = "booking_failed"
    BOOKING_UNCLEAR = "booking_unclear"
    CARRIER_CANCELLED = "carrier_cancelled"
    CANCEL_TOO_LATE = "cancel_too_late"
    MOVES_AFTER_END = "moves_after_end"
    LOST = "lost"
    RETURNED = "returned"
    COURIER_GUESSES = "courier_guesses"


REVIEW_LABELS: dict[ReviewKind, str] = {
    ReviewKind.CARRIER_SIGNED: "承运单位称已签收，但没有签收码：请联系收件人核实",
    ReviewKind.EXCEPTION: "按特殊情况签收：请在一个工作日内核对照片和签名",
    ReviewKind.BOOKING_FAILED: "承运单位拒绝约寄：请核对地址后重新约寄，或请群众到窗口领取",
    ReviewKind.BOOKING_UNCLEAR: "多次约寄都没有明确结果：请联系承运单位核实",
    ReviewKind.CARRIER_CANCELLED: "承运单位取消了约寄：请通知群众到窗口领取，寄送费将退还",
    ReviewKind.CANCEL_TOO_LATE: "办件已结束但包裹已揽收：请联系承运单位截回",
    ReviewKind.MOVES_AFTER_END: "包裹已结束，承运单位仍有运输记录：请核实",
    ReviewKind.LOST: "包裹遗失：请联系承运单位和收件人",
    ReviewKind.RETURNED: "包裹已退回窗口：请通知群众到窗口领取",
    ReviewKind.COURIER_GUESSES: "同一名投递员手中有三个以上包裹的签收码被输错锁定：请派件负责人核查",
}


class ReviewClosed(Conflict):
    """Somebody has already decided."""

    code, title = "review-closed", "这条核查已经处理过"


class ReviewView(msgspec.Struct, frozen=True, kw_only=True):
    """A review as the clerk sees it, without personal data. The whole waybill: the clerk calls the carrier with it."""

    review_no: str
    delivery_no: str
    case_no: str
    waybill_no: str | None
    kind: str
    label: str
    detail: str
    opened_at: datetime


async def open_review(parcel: Parcel, kind: ReviewKind, detail: str = "") -> None:
    """Opens a review unless one of this kind is open; in the transaction of the fact, under the parcel's lock."""
    slot = f"{kind.value}:{parcel.delivery_no}"
    if await Review.filter(open_slot=slot).exists():
        return
    review_no = ids.public_id()
    await Review.create(review_no=review_no, parcel=parcel, kind=kind.value, open_slot=slot, detail=detail[:200])
    await outbox.publish(
        "parcel.review_needed",
        key=f"parcel.review_needed:{review_no}",
        payload={
            "delivery_no": parcel.delivery_no,
            "case_no": parcel.case_no,
            "review_no": review_no,
            "kind": kind.value,
        },
        lane=parcels.lane(parcel),
    )


async def settle_by_fact(parcel: Parcel, kind: ReviewKind, note: str) -> None:
    """A later fact answered the question, for instance the code after the carrier's "signed"."""
    review = await Review.get_or_none(open_slot=f"{kind.value}:{parcel.delivery_no}")
    if review is not None:
        await _close(review, "accept", "system", note)


async def list_reviews(*, limit: int = 50, after: str | None = None) -> list[ReviewView]:
    """Open reviews, oldest first; `after` is the last review number of the page before."""
    first = await Review.get_or_none(review_no=after) if after else None
    rows = (
        await Review.filter(resolved_at=None, id__gt=first.id if first else 0)
        .select_related("parcel")
        .order_by("id")
        .limit(min(limit, 200))
    )
    return [
        ReviewView(
            review_no=row.review_no,
            delivery_no=row.parcel.delivery_no,
            case_no=row.parcel.case_no,
            waybill_no=row.parcel.waybill_no,
            kind=row.kind,
            label=REVIEW_LABELS[ReviewKind(row.kind)],
            detail=row.detail,
            opened_at=clock.local(row.created_at),
        )
        for row in rows
    ]


async def resolve_review(*, review_no: str, accept: bool, clerk: str, note: str) -> str:
    """A named clerk decides; answers the parcel's state afterwards. Raises NotFound, ReviewClosed, IllegalTransition.

    Accepting "the carrier says signed" records the delivery as an exception under the clerk's name. Rejecting an exception
    reopens the parcel and revokes its receipt. Every other review is only noted: the act itself is another command.
    """
    if not clerk.strip() or not note.strip():
        raise Invalid("请写明处理人和处理说明")
    async with db.transaction():
        known = await Review.get_or_none(review_no=review_no).select_related("parcel")
        if known is None:
            raise NotFound("没有这条核查")
        parcel = await parcels.locked(delivery_no=known.parcel.delivery_no)
        review = await db.lock(Review, review_no=review_no)
        if review is None or review.resolved_at is not None:
            raise ReviewClosed
        kind, state = ReviewKind(review.kind), ParcelState(parcel.state)
        if kind is ReviewKind.CARRIER_SIGNED and accept and state is not ParcelState.DELIVERED:
            await parcels.step(parcel, ParcelAction.RECORD_EXCEPTION, by=By.CLERK, actor_ref=clerk)
            await receipts.write(parcel, method="clerk", actor_ref=clerk, evidence=[])
        if kind is ReviewKind.EXCEPTION and not accept and state is ParcelState.DELIVERED:
            await parcels.step(parcel, ParcelAction.REOPEN, by=By.CLERK, actor_ref=clerk)
            await receipts.revoke(parcel)
        await _close(review, "accept" if accept else "reject", clerk, note)
        return parcel.state


async def _close(review: Review, outcome: str, clerk: str, note: str) -> None:
    review.outcome, review.clerk, review.note = outcome, clerk[:64], note[:200]
    review.resolved_at, review.open_slot = clock.now(), None
    await review.save(update_fields=["outcome", "clerk", "note", "resolved_at", "open_slot"])
