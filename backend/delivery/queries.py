"""Reads of the delivery slice: the owner's parcel with its code, the courier's list, and the track for other slices."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from backend.delivery import addresses, parcels, receipts, sign_code
from backend.delivery.couriers import FAILURE_LABELS, FailureReason
from backend.delivery.models import Parcel, ParcelEvent
from backend.delivery.receipts import ReceiptView
from backend.delivery.runtime import runtime
from backend.delivery.sign_code import SignCode
from backend.delivery.states import IN_HANDS, PARCEL, SENTENCES, By, Canonical, ParcelState
from backend.identity.actor import Actor
from kernel import batches, clock, crypto
from kernel.problems import Forbidden, NotFound

_FORGOTTEN_HOURS = 24
_ENDED = (ParcelState.DELIVERED, ParcelState.COLLECTED, ParcelState.RETURNED, ParcelState.CANCELLED, ParcelState.LOST)
_LIMIT = 100
_PARCELS = batches.Models(Parcel, by={"t.case_no": "text"})


class ParcelEventView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the track. `status` is the 送达 word after it; `moved` is False for late and unknown news."""

    at: datetime
    canonical: str
    status: str
    status_label: str
    place: str
    text: str
    moved: bool


class ParcelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel for lists and for the case page: masked, without the code."""

    delivery_no: str
    case_no: str
    way: str
    carrier: str
    carrier_name: str
    waybill_no: str | None
    state: str
    status: str
    status_label: str
    finished: bool
    amount_fen: int
    zone: str | None
    bill_no: str | None
    recipient_name: str | None
    recipient_phone: str | None
    address: str | None
    changed_at: datetime
    code_open: bool
    # Too many wrong tries at the door: the code is worth nothing until the owner asks for a new one.
    code_locked: bool
    code_renewals_left: int
    # Where a parcel comes back to, and where a result is collected.
    window_name: str
    receipt: ReceiptView | None


class OwnerParcel(msgspec.Struct, frozen=True, kw_only=True):
    """The owner's view: the summary, the track, and the code while it is open."""

    parcel: ParcelSummary
    events: tuple[ParcelEventView, ...]
    sign_code: SignCode | None
    sign_code_locked: bool
    renewals_left: int


class CourierParcel(msgspec.Struct, frozen=True, kw_only=True):
    """What a courier needs at the door and no more; the full address only while the parcel is in his hands."""

    waybill_no: str
    recipient_name: str
    recipient_phone: str
    address: str
    in_hands: bool
    state: str
    status: str
    status_label: str
    attempts: int
    code_locked: bool
    changed_at: datetime


class CourierPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a courier's parcels, newest first."""

    items: tuple[CourierParcel, ...]
    next_cursor: str | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The track with the waybill, for the one-window platform."""

    delivery_no: str
    case_no: str
    direction: str
    carrier: str
    waybill_no: str | None
    state: str
    events: tuple[ParcelEventView, ...]
    receipt: ReceiptView | None


def collecting_unit(unit_code: str) -> str | None:
    """The name of the carrier, if it is the unit that collects delivery fees under this code."""
    settings = runtime().settings
    return settings.carrier_name if unit_code == settings.unit_code else None


async def parcel(*, actor: Actor, delivery_no: str) -> OwnerParcel:
    """The owner's parcel. Raises NotFound, also for another person's."""
    row = await Parcel.get_or_none(delivery_no=delivery_no)
    if row is None or actor.role != "citizen" or row.owner_ref != actor.account_ref:
        raise NotFound(parcels.NO_PARCEL)
    locked = sign_code.is_locked(row)
    return OwnerParcel(
        parcel=await _summary(row),
        events=await _events(row),
        sign_code=sign_code.show(row) if row.code_hash is not None and not locked else None,
        sign_code_locked=locked,
        renewals_left=sign_code.renewals_left(row) if row.code_hash is not None else 0,
    )


async def parcels_of(case_no: str) -> tuple[ParcelSummary, ...]:
    """The parcels of a case for the overview; the caller has checked who asks."""
    return tuple([await _summary(row) for row in await _PARCELS.of(case_no)])


async def timeline(case_no: str) -> tuple[ParcelEventView, ...]:
    """Every event of a case's parcels by time, for the case timeline; the caller has checked who asks."""
    found: list[ParcelEventView] = []
    for row in await Parcel.filter(case_no=case_no).order_by("id"):
        found.extend(await _events(row))
    return tuple(sorted(found, key=lambda event: event.at))


async def trace(*, delivery_no: str) -> Trace:
    """The track for the one-window platform (`delivery.push`). Raises NotFound."""
    row = await Parcel.get_or_none(delivery_no=delivery_no)
    if row is None:
        raise NotFound
    return Trace(
        delivery_no=row.delivery_no,
        case_no=row.case_no,
        direction="OUT",
        carrier=row.carrier,
        waybill_no=row.waybill_no,
        state=row.state,
        events=await _events(row),
        receipt=await receipts.current(row),
    )


async def courier_parcels(*, actor: Actor, cursor: str | None, limit: int) -> CourierPage:
    """The courier's parcels, newest first, by key: `cursor` is the last waybill of the page before.

    Ended parcels stay visible, masked, for a day. Another courier's cursor finds nothing before it: an empty page.
    """
    if actor.role != "courier":
        raise Forbidden
    size = max(1, min(limit, _LIMIT))
    query = Parcel.filter(courier_ref=actor.account_ref, carrier=actor.carrier)
    if cursor:
        last = await query.filter(waybill_no=cursor).first()
        query = query.filter(id__lt=last.id if last else 0)
    since = clock.now() - timedelta(hours=_FORGOTTEN_HOURS)
    ended = [state.value for state in _ENDED]
    # Two reads instead of OR: each uses the index (courier_ref, id), and both together are at most two pages.
    open_rows = await query.filter(state__not_in=ended).order_by("-id").limit(size + 1)
    ended_rows = await query.filter(state__in=ended, state_at__gt=since).order_by("-id").limit(size + 1)
    rows = sorted([*open_rows, *ended_rows], key=lambda row: row.id, reverse=True)
    items = tuple(_for_courier(row) for row in rows[:size])
    return CourierPage(items=items, next_cursor=items[-1].waybill_no if len(rows) > size else None)


async def courier_parcel(*, actor: Actor, waybill_no: str) -> CourierParcel:
    """One parcel of the courier. Raises NotFound, also for another courier's."""
    if actor.role != "courier":
        raise Forbidden
    row = await Parcel.get_or_none(waybill_no=waybill_no, courier_ref=actor.account_ref, carrier=actor.carrier)
    if row is None or (row.state in _ENDED and row.state_at < clock.now() - timedelta(hours=_FORGOTTEN_HOURS)):
        raise NotFound
    return _for_courier(row)


def _for_courier(row: Parcel) -> CourierParcel:
    label = PARCEL.label(row.state)
    in_hands = row.taken_at is not None and row.state in IN_HANDS
    return CourierParcel(
        waybill_no=row.waybill_no or "",
        recipient_name=row.name_mask or "",
        recipient_phone=row.phone_mask or "",
        address=addresses.full_address(row) if in_hands else row.address_mask or "",
        in_hands=in_hands,
        state=row.state,
        status=label.status,
        status_label=label.label,
        attempts=row.attempts,
        code_locked=sign_code.is_locked(row),
        changed_at=clock.local(row.state_at),
    )


async def _summary(row: Parcel) -> ParcelSummary:
    label = PARCEL.label(row.state)
    return ParcelSummary(
        delivery_no=row.delivery_no,
        case_no=row.case_no,
        way=row.way,
        carrier=row.carrier,
        carrier_name=runtime().settings.carrier_name if row.way == "mail" else "窗口领取",
        waybill_no=row.waybill_no,
        state=row.state,
        status=label.status,
        status_label=label.label,
        finished=label.finished,
        amount_fen=row.amount_fen,
        zone=row.zone,
        bill_no=row.bill_no,
        recipient_name=row.name_mask,
        recipient_phone=row.phone_mask,
        address=row.address_mask,
        changed_at=clock.local(row.state_at),
        code_open=row.code_hash is not None and not sign_code.is_locked(row),
        code_locked=sign_code.is_locked(row),
        code_renewals_left=sign_code.renewals_left(row) if row.code_hash is not None else 0,
        window_name=runtime().settings.sender_name,
        receipt=await receipts.current(row),
    )


async def _events(row: Parcel) -> tuple[ParcelEventView, ...]:
    rows: Sequence[ParcelEvent] = await ParcelEvent.filter(parcel_id=row.id).order_by("at", "seq")
    return tuple(_event(event) for event in rows)


def _event(event: ParcelEvent) -> ParcelEventView:
    label = PARCEL.label(event.to_state)
    text = SENTENCES[ParcelState(event.to_state)]
    if event.by == By.CARRIER and event.text_sealed:
        text = crypto.unseal_text(event.text_sealed, context=parcels.text_context(event.dedupe))
    elif event.by == By.CARRIER and event.canonical == Canonical.UNKNOWN:
        text = "承运单位更新了轨迹"
    elif event.by == By.COURIER and event.code in FAILURE_LABELS:
        text = FAILURE_LABELS[FailureReason(event.code)]
    return ParcelEventView(
        at=clock.local(event.at),
        canonical=event.canonical,
        status=label.status,
        status_label=label.label,
        place=event.place,
        text=text,
        moved=event.from_state != event.to_state,
    )
