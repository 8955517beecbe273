"""Booking and cancelling with the carrier, in three beats: intent in a transaction, the call outside, the outcome in another.

A parcel is booked when the case is granted *and* the courier bill is paid; the two pieces of news come in any order. Our
delivery number is the carrier's idempotency key, so an unknown outcome is answered by asking again with the same number.
"""

import payments
from backend.delivery import addresses, assignment, parcels
from backend.delivery.carriers.base import CarrierRefused, CarrierUnclear, Order, OrderExists
from backend.delivery.models import Parcel
from backend.delivery.planner import DELIVERY_BILL, DOCUMENT_OUT
from backend.delivery.reviews import ReviewKind, open_review, settle_by_fact
from backend.delivery.runtime import runtime
from backend.delivery.states import By, ParcelAction, ParcelState
from kernel import clock, db, outbox
from kernel.outbox import Delivery
from kernel.problems import Conflict, Invalid

ORDER, RECALL = "delivery.order", "delivery.recall"
_UNCLEAR_TRIES = 6
_S = ParcelState
_NOT_SENT_YET = frozenset({_S.QUOTED, _S.BOOK_FAILED, _S.WAITING_PICKUP})
_WITH_CARRIER = frozenset({_S.BOOKED, _S.ASSIGNED})


async def note_granted(*, case_no: str, job: Delivery | None = None) -> None:
    """The result exists: a paid parcel is ordered, one for the window waits there."""
    async with db.transaction():
        parcel = await db.lock(Parcel, case_no=case_no, kind=DOCUMENT_OUT)
        if parcel is not None and parcel.granted_at is None:
            parcel.granted_at = clock.now()
            await parcel.save(update_fields=["granted_at"])
            await _go_on(parcel)
        if job is not None:
            await job.finish()


async def note_paid(*, bill_no: str, job: Delivery | None = None) -> None:
    """The courier bill is paid."""
    async with db.transaction():
        parcel = await db.lock(Parcel, bill_no=bill_no)
        if parcel is not None and parcel.paid_at is None:
            parcel.paid_at = clock.now()
            await parcel.save(update_fields=["paid_at"])
            await _go_on(parcel)
        if job is not None:
            await job.finish()


async def _go_on(parcel: Parcel) -> None:
    """The intent, once both facts are there."""
    if parcel.granted_at is None or parcel.cancel_at is not None or parcel.state != _S.QUOTED:
        return
    if parcel.way == "pickup":
        await parcels.step(parcel, ParcelAction.WAIT_AT_WINDOW, by=By.SYSTEM)
    elif parcel.paid_at is not None and parcel.order_at is None:
        await _intend(parcel)


async def _intend(parcel: Parcel) -> None:
    parcel.order_at, parcel.order_round = parcel.order_at or clock.now(), parcel.order_round + 1
    parcel.order_sent_at = None
    await parcel.save(update_fields=["order_at", "order_round", "order_sent_at"])
    await outbox.publish(
        ORDER,
        key=f"{ORDER}:{parcel.delivery_no}:{parcel.order_round}",
        payload={"delivery_no": parcel.delivery_no, "round": parcel.order_round},
        lane=parcels.lane(parcel),
    )


async def place_order(job: Delivery) -> None:
    """Calls the carrier for an intent and writes the outcome; an unclear one is tried again with the same number."""
    parcel = await _begin(job)
    if parcel is None:
        return
    order = Order(
        delivery_no=parcel.delivery_no,
        created_at=parcel.order_at or parcel.created_at,
        sender=runtime().sender,
        receiver=await addresses.receiver(parcel),
    )
    try:
        waybill_no = await runtime().carriers[parcel.carrier].create(order)
    except CarrierRefused as refusal:
        await _refused(job, refusal.code, refusal.reason)
    except CarrierUnclear as unclear:
        if job.attempts == _UNCLEAR_TRIES or isinstance(unclear, OrderExists):
            await _ask_a_person(parcel.delivery_no, str(unclear))
        raise
    else:
        await _accepted(job, waybill_no)


async def _begin(job: Delivery) -> Parcel | None:
    """Beat one: from here on the carrier may know of the order, whatever becomes of this process. None: nothing to ask."""
    async with db.transaction():
        parcel = await db.lock(Parcel, delivery_no=job.payload["delivery_no"])
        if parcel is None or not _waits_for_order(parcel, job):
            return None
        if parcel.order_sent_at is None:
            if parcel.cancel_at is not None:
                await _cancelled(parcel)
                return None
            parcel.order_sent_at = clock.now()
            await parcel.save(update_fields=["order_sent_at"])
        return parcel


def _under_way(parcel: Parcel) -> bool:
    """Whether the carrier may hold an order of which we know no outcome. Only its answer or a person ends that."""
    return parcel.state in (_S.QUOTED, _S.BOOK_FAILED) and parcel.order_sent_at is not None


def _waits_for_order(parcel: Parcel, job: Delivery) -> bool:
    return parcel.state in (_S.QUOTED, _S.BOOK_FAILED) and parcel.order_round == job.payload["round"]


async def _accepted(job: Delivery, waybill_no: str) -> None:
    async with db.transaction():
        parcel = await parcels.locked(delivery_no=job.payload["delivery_no"])
        if _waits_for_order(parcel, job):
            if await Parcel.filter(carrier=parcel.carrier, waybill_no=waybill_no).exists():
                await open_review(parcel, ReviewKind.BOOKING_UNCLEAR, "承运单位给出的运单号属于另一个包裹")
            else:
                await _book(parcel, waybill_no)
                await settle_by_fact(parcel, ReviewKind.BOOKING_UNCLEAR, "承运单位已给出运单号")
        await job.finish()


async def _book(parcel: Parcel, waybill_no: str, actor_ref: str | None = None) -> None:
    parcel.waybill_no, parcel.news_at, parcel.poll_at = waybill_no, clock.now(), clock.now()
    await parcels.step(parcel, ParcelAction.ACCEPT_ORDER, by=By.SYSTEM, actor_ref=actor_ref)
    if parcel.cancel_at is not None:  # the case ended while the carrier was being asked
        await _recall(parcel)
    else:
        await assignment.assign_if_unambiguous(parcel)


async def _refused(job: Delivery, code: str, reason: str) -> None:
    async with db.transaction():
        parcel = await parcels.locked(delivery_no=job.payload["delivery_no"])
        if _waits_for_order(parcel, job):
            parcel.order_sent_at = None
            await parcel.save(update_fields=["order_sent_at"])
            if parcel.cancel_at is not None:
                await _cancelled(parcel)
            elif parcel.state == _S.QUOTED:
                await parcels.step(parcel, ParcelAction.REFUSE_ORDER, by=By.SYSTEM, code=code)
            if parcel.cancel_at is None:
                await open_review(parcel, ReviewKind.BOOKING_FAILED, f"{code} {reason}".strip())
        await job.finish()


async def _ask_a_person(delivery_no: str, what: str) -> None:
    async with db.transaction():
        await open_review(await parcels.locked(delivery_no=delivery_no), ReviewKind.BOOKING_UNCLEAR, what)


async def order_again(*, delivery_no: str, clerk: str) -> None:
    """A clerk tries a refused booking again, for instance after talking to the carrier. Raises NotFound, Conflict."""
    async with db.transaction():
        parcel = await parcels.locked(delivery_no=delivery_no)
        if parcel.state != _S.BOOK_FAILED:
            raise Conflict("只有约寄未成功的包裹可以重新约寄")
        await _intend(parcel)


async def adopt_waybill(*, delivery_no: str, waybill_no: str, clerk: str) -> None:
    """The carrier told a clerk the waybill of an order whose answer was lost; the open order then finds it done.

    Raises NotFound, Conflict (the order is not open, or the waybill belongs to another parcel).
    """
    if not waybill_no.strip() or not clerk.strip():
        raise Invalid("请写明运单号和处理人")
    async with db.transaction():
        parcel = await parcels.locked(delivery_no=delivery_no)
        if not _under_way(parcel):
            raise Conflict("只有正在约寄的包裹可以补录运单号")
        if await Parcel.filter(carrier=parcel.carrier, waybill_no=waybill_no).exists():
            raise Conflict("这个运单号已经属于另一个包裹")
        await _book(parcel, waybill_no.strip(), actor_ref=clerk)
        await settle_by_fact(parcel, ReviewKind.BOOKING_UNCLEAR, f"补录运单号：{clerk}")


async def cancel_for_case(*, case_no: str, reason: str, job: Delivery | None = None) -> None:
    """The case ended without a result (withdrawn, refused …): nothing is sent, and a paid courier fee is owed back."""
    async with db.transaction():
        parcel = await db.lock(Parcel, case_no=case_no, kind=DOCUMENT_OUT)
        if parcel is not None and parcel.cancel_at is None:
            parcel.cancel_at, parcel.cancel_reason = clock.now(), reason[:40]
            await parcel.save(update_fields=["cancel_at", "cancel_reason"])
            await _stop(parcel)
        if job is not None:
            await job.finish()


async def _stop(parcel: Parcel) -> None:
    state = ParcelState(parcel.state)
    if _under_way(parcel):
        return  # the outcome of the order decides: `_book` recalls it, a refusal cancels the parcel
    if state in _NOT_SENT_YET:
        await _cancelled(parcel)
    elif state in _WITH_CARRIER:
        await _recall(parcel)
    elif state not in (_S.CANCELLED, _S.RETURNED):
        # Picked up, at the door or handed over: only people can get it back now.
        await open_review(parcel, ReviewKind.CANCEL_TOO_LATE, parcel.cancel_reason or "")


async def _recall(parcel: Parcel) -> None:
    await outbox.publish(
        RECALL,
        key=f"{RECALL}:{parcel.delivery_no}",
        payload={"delivery_no": parcel.delivery_no},
        lane=parcels.lane(parcel),
    )


async def recall(job: Delivery) -> None:
    """Asks the carrier to cancel; too late becomes a review, unclear is asked again."""
    parcel = await Parcel.get_or_none(delivery_no=job.payload["delivery_no"])
    if parcel is None:
        return
    done = False
    if parcel.state in _WITH_CARRIER:
        carrier = runtime().carriers[parcel.carrier]
        done = await carrier.cancel(
            delivery_no=parcel.delivery_no, waybill_no=parcel.waybill_no or "", reason="办件已结束，取消寄送"
        )
    async with db.transaction():
        parcel = await parcels.locked(delivery_no=parcel.delivery_no)
        if parcel.state in _WITH_CARRIER and done:
            await _cancelled(parcel)
        elif parcel.state not in (_S.CANCELLED, _S.RETURNED):
            await open_review(parcel, ReviewKind.CANCEL_TOO_LATE, parcel.cancel_reason or "")
        await job.finish()


async def _cancelled(parcel: Parcel) -> None:
    await parcels.step(parcel, ParcelAction.CANCEL, by=By.SYSTEM, code=parcel.cancel_reason or "")
    await void_fee(parcel, parcel.cancel_reason or "cancelled")


def check_collectable(parcel: Parcel) -> None:
    """Whether the result can lie at the window: there is one, and no order is under way. Raises Conflict."""
    if _under_way(parcel):
        raise Conflict("正在向承运单位约寄，请稍后再试")
    if parcel.cancel_at is not None:
        raise Conflict("办件已撤回或结束，没有可以领取的结果")
    if parcel.granted_at is None:
        raise Conflict("办件还没有结果，不能领取")


async def void_fee(parcel: Parcel, reason: str) -> None:
    """Nothing is sent, so nothing is paid: an open courier bill is withdrawn, a paid one owed back."""
    if parcel.bill_no is not None:
        await payments.void_bills(subject=f"case:{parcel.case_no}", kind=DELIVERY_BILL, reason=reason)
