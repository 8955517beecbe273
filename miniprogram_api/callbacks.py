"""Partners call us: raw bytes in, one service call that verifies and stores, an answer in the partner's own words."""

import msgspec

import payments
from backend import wiring
from backend.delivery import tracking
from backend.onewindow import inbound
from miniprogram_api.endpoints import PUBLIC, Call, Raw, endpoint

_TAG = "合作方回调"
_MOST = 1024 * 1024


class PushQuery(msgspec.Struct, frozen=True):
    """WeChat signs through the query string."""

    signature: str = ""
    msg_signature: str = ""
    timestamp: str = ""
    nonce: str = ""
    echostr: str = ""
    encrypt_type: str = ""
    openid: str = ""


@endpoint(
    "POST",
    "/callbacks/wechat-pay",
    summary="微信支付通知",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="application/json",
    max_body=_MOST,
)
async def wechat_pay(call: Call) -> Raw:
    return _in_their_words(await payments.receive_notice(channel="wechat", headers=call.headers, raw=call.raw))


@endpoint(
    "POST",
    "/callbacks/unified-pay",
    summary="财政平台推送缴款确认",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="application/octet-stream",
    max_body=_MOST,
)
async def unified_pay(call: Call) -> Raw:
    answer = await payments.receive_packet(channel="unified", headers=call.headers, raw=call.raw)
    return _in_their_words(answer, usually="application/octet-stream")


@endpoint(
    "POST",
    "/callbacks/alipay",
    summary="支付宝支付通知",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="text/plain",
    max_body=_MOST,
)
async def alipay(call: Call) -> Raw:
    return _in_their_words(await payments.receive_notice(channel="alipay", headers=call.headers, raw=call.raw))


@endpoint(
    "POST",
    "/callbacks/one-window/{verb}",
    summary="一窗受理平台推送办件事件",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="application/json",
    max_body=_MOST,
)
async def one_window(call: Call) -> Raw:
    status, body = await inbound.receive(verb=call.path["verb"], headers=call.headers, raw=call.raw)
    return Raw(body=body, status=status)


@endpoint(
    "POST",
    "/callbacks/courier/{carrier}",
    summary="承运单位推送轨迹",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="application/json",
    max_body=_MOST,
)
async def courier(call: Call) -> Raw:
    answer = await tracking.receive_callback(carrier=call.path["carrier"], headers=call.headers, raw=call.raw)
    return Raw(body=answer.body, status=answer.status, headers=dict(answer.headers))


@endpoint(
    "GET",
    "/callbacks/wechat",
    summary="微信校验消息推送地址",
    tag=_TAG,
    roles=PUBLIC,
    query=PushQuery,
    raw_answer="text/plain",
)
async def wechat_address(call: Call) -> Raw:
    text = wiring.running().push_door.check_address(msgspec.structs.asdict(call.query))
    return Raw(body=text.encode(), content_type="text/plain; charset=utf-8")


@endpoint(
    "POST",
    "/callbacks/wechat",
    summary="微信消息推送",
    tag=_TAG,
    roles=PUBLIC,
    query=PushQuery,
    raw_answer="text/plain",
    max_body=_MOST,
)
async def wechat_push(call: Call) -> Raw:
    await wiring.running().push_door.receive(msgspec.structs.asdict(call.query), call.raw)
    return Raw(body=b"success", content_type="text/plain; charset=utf-8")


def _in_their_words(answer: payments.Ack, usually: str = "text/plain; charset=utf-8") -> Raw:
    """The content type stands once: of two, a partner's parser may take the wrong one."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    content_type = headers.pop("content-type", usually)
    return Raw(body=answer.body, status=answer.status, headers=headers, content_type=content_type)
