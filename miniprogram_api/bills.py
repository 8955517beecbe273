"""What is owed and paying it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

import payments
from backend.identity import queries as identity
from miniprogram_api.endpoints import CITIZEN, Call, endpoint
from miniprogram_api.pages import PageQuery
from payments import BillView, PaymentView, RefundView

_TAG = "缴费"


class BillsPage(msgspec.Struct, frozen=True):
    """Bills, newest first."""

    items: list[BillView]
    next_cursor: str | None


class StartPayment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Through which channel."""

    channel: Annotated[
        Literal["wechat_jsapi", "wechat_h5", "alipay_wap", "alipay_mini", "unified_pay"],
        Meta(
            description="支付方式：wechat_jsapi 微信小程序支付，wechat_h5 手机浏览器微信支付，alipay_wap 手机浏览器支付宝支付，"
            "alipay_mini 支付宝小程序支付，unified_pay 统一公共支付（非税）；本单可用的方式见缴费单的 channels"
        ),
    ]
    payer_id: (
        Annotated[
            str,
            Meta(min_length=8, max_length=128, description="付款人在支付宝的 open_id，alipay_mini 必填，其他方式不填"),
        ]
        | None
    ) = None


class AskRefund(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why the payer wants her money back."""

    reason: Annotated[str, Meta(min_length=2, max_length=200, description="退费理由，2 到 200 个字")]


@endpoint("GET", "/bills", summary="我的缴费单", tag=_TAG, roles=CITIZEN, query=PageQuery, answer=BillsPage)
async def bills(call: Call) -> BillsPage:
    page, following = await payments.bills_page(
        owner_ref=call.actor.account_ref, cursor=call.query.cursor, limit=call.query.limit
    )
    return BillsPage(page, following)


@endpoint("GET", "/bills/{bill_no}", summary="一张缴费单", tag=_TAG, roles=CITIZEN, answer=BillView, etag=True)
async def bill(call: Call) -> BillView:
    return await payments.bill(owner_ref=call.actor.account_ref, bill_no=call.path["bill_no"])


@endpoint(
    "POST", "/bills/{bill_no}/payments", summary="发起支付，返回手机拉起收银台所需的内容", tag=_TAG, roles=CITIZEN,
    body=StartPayment, answer=PaymentView, status=201, idempotent=True, limit="30/minute",
)  # fmt: skip
async def start_payment(call: Call, body: StartPayment) -> PaymentView:
    return await payments.start_payment(
        owner_ref=call.actor.account_ref, bill_no=call.path["bill_no"], channel=body.channel,
        payer_openid=await _payer_id(call, body),
        payer_address=call.ip, idem=call.idem,
    )  # fmt: skip


@endpoint(
    "POST", "/bills/{bill_no}/refund-requests", summary="申请退费，由收款单位审核", tag=_TAG, roles=CITIZEN,
    body=AskRefund, answer=RefundView, status=201, idempotent=True, limit="10/minute",
)  # fmt: skip
async def ask_refund(call: Call, body: AskRefund) -> RefundView:
    return await payments.request_refund_of_bill(
        owner_ref=call.actor.account_ref, bill_no=call.path["bill_no"], reason=body.reason, idem=call.idem
    )


@endpoint(
    "GET",
    "/payments/{payment_no}",
    summary="支付进展；从收银台返回后调用，会立即向渠道核实",
    tag=_TAG,
    roles=CITIZEN,
    answer=PaymentView,
)
async def payment(call: Call) -> PaymentView:
    return await payments.payment(owner_ref=call.actor.account_ref, payment_no=call.path["payment_no"])


async def _payer_id(call: Call, body: StartPayment) -> str | None:
    """Who pays, in the words of the channel: the logged-in WeChat user, or the Alipay user the mini-program names."""
    if body.channel == "wechat_jsapi":
        return await identity.openid(call.actor.account_ref)
    return body.payer_id if body.channel == "alipay_mini" else None
