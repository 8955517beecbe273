"""Coming in, staying in and going out."""

from typing import Annotated

import msgspec
from msgspec import Meta

from backend.identity import field_login, login
from backend.identity.actor import FieldRole
from backend.identity.views import LoginAnswer
from miniprogram_api.endpoints import ANYONE_LOGGED_IN, PUBLIC, Call, endpoint
from miniprogram_api.pages import Done

_TAG = "登录"


class WechatLogin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The code of `wx.login`."""

    code: Annotated[str, Meta(min_length=1, max_length=200, description="请重新打开小程序获取登录凭证")]
    device: Annotated[str, Meta(max_length=100, description="设备名称不超过 100 个字")] | None = None


class RefreshLogin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The refresh token of the last answer."""

    refresh_token: Annotated[str, Meta(min_length=20, max_length=128, description="请重新登录")]


class FieldLogin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The name and password that an operator gave to a courier or an agent."""

    login_name: Annotated[str, Meta(min_length=1, max_length=40, description="请填写账号，不超过 40 个字")]
    password: Annotated[str, Meta(min_length=1, max_length=128, description="请填写密码，不超过 128 个字")]
    device: Annotated[str, Meta(max_length=100, description="设备名称不超过 100 个字")] | None = None


@endpoint(
    "POST",
    "/login/wechat",
    summary="用微信登录凭证换取令牌",
    tag=_TAG,
    roles=PUBLIC,
    body=WechatLogin,
    answer=LoginAnswer,
    limit="30/minute",
)
async def login_wechat(call: Call, body: WechatLogin) -> LoginAnswer:
    return await login.login_wechat(code=body.code, device=body.device)


@endpoint(
    "POST",
    "/login/refresh",
    summary="换取新的令牌",
    tag=_TAG,
    roles=PUBLIC,
    body=RefreshLogin,
    answer=LoginAnswer,
    limit="60/minute",
)
async def refresh(call: Call, body: RefreshLogin) -> LoginAnswer:
    return await login.refresh(
        refresh_token=body.refresh_token, idempotency_key=call.headers.get("idempotency-key") or None
    )


@endpoint("POST", "/logout", summary="退出登录", tag=_TAG, roles=ANYONE_LOGGED_IN, answer=Done)
async def logout(call: Call) -> Done:
    await login.logout(actor=call.actor)
    return Done()


@endpoint("POST", "/logout/all", summary="退出所有设备", tag=_TAG, roles=ANYONE_LOGGED_IN, answer=Done)
async def logout_all(call: Call) -> Done:
    await login.logout_all(actor=call.actor)
    return Done()


@endpoint(
    "POST",
    "/courier/login",
    summary="快递员登录",
    tag=_TAG,
    roles=PUBLIC,
    body=FieldLogin,
    answer=LoginAnswer,
    limit="20/minute",
)
async def login_courier(call: Call, body: FieldLogin) -> LoginAnswer:
    return await _field_login("courier", call, body)


@endpoint(
    "POST",
    "/agent/login",
    summary="代办员、网格员登录",
    tag=_TAG,
    roles=PUBLIC,
    body=FieldLogin,
    answer=LoginAnswer,
    limit="20/minute",
)
async def login_agent(call: Call, body: FieldLogin) -> LoginAnswer:
    return await _field_login("agent", call, body)


async def _field_login(role: FieldRole, call: Call, body: FieldLogin) -> LoginAnswer:
    return await field_login.log_in(
        role=role, login_name=body.login_name, password=body.password, ip=call.ip, device=body.device
    )
