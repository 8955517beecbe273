"""What sending the result costs, and where the parcel is."""

import msgspec

from backend.delivery import queries, service
from backend.delivery.queries import OwnerParcel
from backend.delivery.service import Quote
from backend.delivery.sign_code import SignCode
from miniprogram_api.endpoints import CITIZEN, Call, endpoint
from miniprogram_api.items import RegionCode

_TAG = "寄送"


class QuoteQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where to."""

    region_code: RegionCode


@endpoint(
    "GET",
    "/delivery-quotes",
    summary="邮寄费报价（报价会保留，提交时使用）",
    tag=_TAG,
    roles=CITIZEN,
    query=QuoteQuery,
    answer=Quote,
    limit="30/minute",
)
async def quote(call: Call) -> Quote:
    return await service.quote(actor=call.actor, region_code=call.query.region_code.ljust(12, "0"))


@endpoint("GET", "/deliveries/{delivery_no}", summary="包裹进展和签收码", tag=_TAG, roles=CITIZEN, answer=OwnerParcel)
async def parcel(call: Call) -> OwnerParcel:
    return await queries.parcel(actor=call.actor, delivery_no=call.path["delivery_no"])


@endpoint(
    "POST",
    "/deliveries/{delivery_no}/sign-code",
    summary="换一个新的签收码",
    tag=_TAG,
    roles=CITIZEN,
    answer=SignCode,
    idempotent=True,
    limit="10/minute",
)
async def new_sign_code(call: Call) -> SignCode:
    return await service.new_sign_code(actor=call.actor, delivery_no=call.path["delivery_no"], idem=call.idem)
