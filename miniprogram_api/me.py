"""The citizen's own account: phone, identity check, what we know."""

from typing import Annotated

import msgspec
from msgspec import Meta

from backend.identity import queries, verification
from backend.identity.views import Me
from miniprogram_api.endpoints import CITIZEN, Call, endpoint

_TAG = "我的"


class BindPhone(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The code of WeChat's phone button."""

    code: Annotated[str, Meta(min_length=1, max_length=200, description="请重新点击“获取手机号”")]


class ProveIdentity(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Name and number as printed on the identity card."""

    name: Annotated[str, Meta(min_length=1, max_length=60, description="请填写身份证上的姓名")]
    id_number: Annotated[str, Meta(min_length=1, max_length=30, description="请填写 18 位身份证号码")]


@endpoint("GET", "/me", summary="我的账号（已脱敏）", tag=_TAG, roles=CITIZEN, answer=Me)
async def me(call: Call) -> Me:
    return await queries.me(actor=call.actor)


@endpoint(
    "POST",
    "/me/phone",
    summary="用微信手机号按钮的凭证绑定手机号",
    tag=_TAG,
    roles=CITIZEN,
    body=BindPhone,
    answer=Me,
    limit="10/minute",
)
async def bind_phone(call: Call, body: BindPhone) -> Me:
    return await verification.bind_phone(actor=call.actor, code=body.code)


@endpoint(
    "POST",
    "/me/identity",
    summary="核验姓名和身份证号码",
    tag=_TAG,
    roles=CITIZEN,
    body=ProveIdentity,
    answer=Me,
    idempotent=True,
    limit="10/minute",
)
async def prove_identity(call: Call, body: ProveIdentity) -> Me:
    return await verification.verify_identity(
        actor=call.actor, name=body.name, id_number=body.id_number, idem=call.idem
    )
