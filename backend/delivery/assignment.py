"""Who carries a parcel: by itself when exactly one courier of the carrier covers the place, else by a dispatcher's word."""

from datetime import datetime

import msgspec

from backend.delivery import parcels
from backend.delivery.models import Parcel
from backend.delivery.states import PARCEL, By, ParcelAction, ParcelState
from backend.identity import queries as identity
from backend.identity.courier_areas import couriers_covering
from kernel import clock, db
from kernel.problems import Conflict, Invalid

_S = ParcelState
_FREE = frozenset({_S.BOOKED, _S.ASSIGNED})
# On the carrier's road or waiting at its station: no courier of ours holds it, so a dispatcher may (re)assign it.
_ASSIGNABLE = _FREE | {_S.PICKED_UP, _S.IN_TRANSIT, _S.ATTEMPT_FAILED, _S.HELD, _S.OUT_FOR_DELIVERY}


class InOtherHands(Conflict):
    """A parcel is in one courier's hands only."""

    code, title = "parcel-in-other-hands", "包裹正由另一名投递员派送，请先由他登记交回或派送结果"


class UnassignedParcel(msgspec.Struct, frozen=True, kw_only=True):
    """A booked parcel nobody carries yet, masked."""

    delivery_no: str
    waybill_no: str
    region_code: str
    address_mask: str
    state: str
    status_label: str
    since_at: datetime


async def assign_if_unambiguous(parcel: Parcel) -> None:
    """Gives a booked parcel to the only courier who covers its region; none or several leave it to the dispatcher."""
    found = await couriers_covering(carrier=parcel.carrier, region_code=parcel.region_code or "")
    if len(found) == 1 and parcel.courier_ref is None:
        await _give(parcel, found[0].courier_ref, By.SYSTEM, None)


async def assign_parcel(*, waybill_no: str, courier_login: str, clerk: str) -> str:
    """A dispatcher gives a parcel to a courier of its carrier; answers the delivery number.

    Raises NotFound (parcel or courier), Invalid (another carrier's courier), InOtherHands, Conflict.
    """
    courier = await identity.courier_by_login(courier_login)
    async with db.transaction():
        parcel = await parcels.locked(waybill_no=waybill_no)
        if courier.carrier != parcel.carrier:
            raise Invalid("这名投递员不属于承运该包裹的单位")
        if parcel.courier_ref == courier.courier_ref:
            return parcel.delivery_no
        if parcel.state not in _ASSIGNABLE:
            raise Conflict(f"包裹当前为“{PARCEL.label(parcel.state).label}”，不能指派")
        if parcel.state == _S.OUT_FOR_DELIVERY and parcel.taken_at is not None:
            raise InOtherHands
        await _give(parcel, courier.courier_ref, By.CLERK, clerk)
        return parcel.delivery_no


async def _give(parcel: Parcel, courier_ref: str, by: By, actor_ref: str | None) -> None:
    parcel.courier_ref, parcel.taken_at = courier_ref, None
    if parcel.state == _S.BOOKED:
        await parcels.step(parcel, ParcelAction.ASSIGN, by=by, actor_ref=actor_ref)
    else:
        await parcel.save(update_fields=["courier_ref", "taken_at"])
        await parcels.note(parcel, "reassign", by=by, actor_ref=actor_ref)


async def parcels_without_courier(*, limit: int = 50, after: str | None = None) -> list[UnassignedParcel]:
    """What a dispatcher has to assign, oldest first; `after` is the last delivery number of the page before."""
    first = await Parcel.get_or_none(delivery_no=after) if after else None
    rows = (
        await Parcel.filter(
            courier_ref=None, way="mail", state__in=[s.value for s in _ASSIGNABLE], id__gt=first.id if first else 0
        )
        .order_by("id")
        .limit(min(limit, 200))
    )
    return [
        UnassignedParcel(
            delivery_no=row.delivery_no,
            waybill_no=row.waybill_no or "",
            region_code=row.region_code or "",
            address_mask=row.address_mask or "",
            state=row.state,
            status_label=PARCEL.label(row.state).label,
            since_at=clock.local(row.state_at),
        )
        for row in rows
    ]
