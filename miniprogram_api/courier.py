"""The courier's side: my parcels, pick up, hand over, report what went wrong."""

from typing import Annotated

import msgspec
from msgspec import Meta

from backend.delivery import couriers, queries
from backend.delivery.couriers import CourierAnswer, ExceptionReason, FailureReason
from backend.delivery.queries import CourierPage, CourierParcel
from backend.identity import queries as identity
from backend.identity.views import CourierMe
from kernel.problems import FieldError, Invalid
from miniprogram_api.cases import MaterialId
from miniprogram_api.endpoints import COURIER, Call, endpoint
from miniprogram_api.pages import Limit

_TAG = "快递员"


class ByException(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Hand-over without the code: why, who was checked, and what proves it."""

    reason: ExceptionReason
    id_last4: Annotated[str, Meta(pattern=r"^\d{3}[\dXx]$", description="身份证号后四位")]
    photo: MaterialId
    signature: MaterialId


class HandOver(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Exactly one of the two ways."""

    code: Annotated[str, Meta(pattern=r"^\d{6}$", description="签收码为 6 位数字")] | None = None
    exception: ByException | None = None


class Failed(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why nobody received it; a refusal needs a photo."""

    reason: FailureReason
    photo: MaterialId | None = None


class ParcelsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where in the list of parcels: after this waybill."""

    cursor: (
        Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{6,32}$", description="请使用上一页返回的 next_cursor")] | None
    ) = None
    limit: Limit = 20


@endpoint("GET", "/courier/me", summary="快递员账号", tag=_TAG, roles=COURIER, answer=CourierMe)
async def me(call: Call) -> CourierMe:
    return await identity.courier_me(actor=call.actor)


@endpoint(
    "GET", "/courier/parcels", summary="分配给我的包裹", tag=_TAG, roles=COURIER, query=ParcelsQuery, answer=CourierPage
)
async def parcels(call: Call) -> CourierPage:
    return await queries.courier_parcels(actor=call.actor, cursor=call.query.cursor, limit=call.query.limit)


@endpoint("GET", "/courier/parcels/{waybill_no}", summary="一个包裹", tag=_TAG, roles=COURIER, answer=CourierParcel)
async def parcel(call: Call) -> CourierParcel:
    return await queries.courier_parcel(actor=call.actor, waybill_no=call.path["waybill_no"])


@endpoint(
    "POST",
    "/courier/parcels/{waybill_no}/pickup",
    summary="在窗口取件",
    tag=_TAG,
    roles=COURIER,
    answer=CourierAnswer,
    idempotent=True,
)
async def pick_up(call: Call) -> CourierAnswer:
    return await couriers.pick_up(actor=call.actor, waybill_no=call.path["waybill_no"], idem=call.idem)


@endpoint(
    "POST",
    "/courier/parcels/{waybill_no}/handover",
    summary="凭签收码交付，或按例外流程交付",
    tag=_TAG,
    roles=COURIER,
    body=HandOver,
    answer=CourierAnswer,
    idempotent=True,
    limit="60/minute",
)
async def hand_over(call: Call, body: HandOver) -> CourierAnswer:
    waybill_no = call.path["waybill_no"]
    if (body.code is None) == (body.exception is None):
        raise Invalid(errors=[FieldError("/code", "请填写签收码，或填写例外情况，二者只能选一")])
    if body.exception is None:
        return await couriers.hand_over(actor=call.actor, waybill_no=waybill_no, code=body.code or "", idem=call.idem)
    return await couriers.hand_over_by_exception(
        actor=call.actor, waybill_no=waybill_no, idem=call.idem, **msgspec.structs.asdict(body.exception)
    )


@endpoint(
    "POST",
    "/courier/parcels/{waybill_no}/attempt-failed",
    summary="没有送到",
    tag=_TAG,
    roles=COURIER,
    body=Failed,
    answer=CourierAnswer,
    idempotent=True,
)
async def attempt_failed(call: Call, body: Failed) -> CourierAnswer:
    return await couriers.attempt_failed(
        actor=call.actor, waybill_no=call.path["waybill_no"], reason=body.reason, photo=body.photo, idem=call.idem
    )


@endpoint(
    "POST",
    "/courier/parcels/{waybill_no}/return",
    summary="退回窗口",
    tag=_TAG,
    roles=COURIER,
    answer=CourierAnswer,
    idempotent=True,
)
async def turn_back(call: Call) -> CourierAnswer:
    return await couriers.return_(actor=call.actor, waybill_no=call.path["waybill_no"], idem=call.idem)
