"""The `/_control` verbs of the WeChat Pay sandbox: play the payer, the bank and the partner's own accidents."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.wechat_pay_fields import parse_moment
from sandbox.wechat_pay_orders import KIND as ORDER
from sandbox.wechat_pay_refunds import FINAL
from sandbox.wechat_pay_refunds import KIND as REFUND

if TYPE_CHECKING:
    from sandbox.callbacks import Callback
    from sandbox.wechat_pay import WechatPay

_ROTATIONS = ("platform_certificate", "public_key", "merchant_certificate")


class ControlVerbs:
    """Registers the verbs on the partner."""

    def __init__(self, partner: "WechatPay") -> None:
        self._partner = partner
        partner.callbacks.on("refund_outcome", self._refund_outcome)
        partner.control("GET", "/orders", self._orders)
        partner.control("GET", "/orders/{no}", self._order)
        partner.control("POST", "/orders/{no}/pay", self._pay)
        partner.control("POST", "/orders/{no}/fail", self._fail)
        partner.control("POST", "/orders/{no}/close", self._close)
        partner.control("GET", "/refunds", self._refunds)
        partner.control("GET", "/refunds/{no}", self._refund)
        partner.control("POST", "/refunds/{no}/finish", self._finish)
        partner.control("POST", "/notifications", self._notify)
        partner.control("POST", "/keys/rotate", self._rotate)

    async def _orders(self, _: web.Request) -> Doc:
        return {"orders": [self._order_view(order) for order in self._partner.orders.all()]}

    async def _order(self, request: web.Request) -> Doc:
        number = request.match_info["no"]
        order = self._partner.orders.find(number)
        if order is None:
            raise ControlError(404, f"没有这个订单：{number}")
        return {
            **self._order_view(order),
            "notices": self._partner.messenger.about(number),
            "refunds": [self._refund_view(refund) for refund in self._partner.refunds.of_order(number)],
            "history": self._partner.store.history(ORDER, number),
        }

    def _order_view(self, order: Doc) -> Doc:
        prepays = order["prepays"]
        return {
            "out_trade_no": order["out_trade_no"],
            "state": order["state"],
            "product": order["product"],
            "amount_fen": order["amount_fen"],
            "api": self._partner.orders.view(order),
            "request": order["request"],
            "times_created": len(prepays),
            "prepay_ids": [one["prepay_id"] for one in prepays],
            "nonces": sorted({one["nonce"] for one in prepays}),
            "body_sha256": sorted({one["body_sha256"] for one in prepays}),
            "payments": [order["payment"]] if order["payment"] else [],
            "failed_tries": order["failed_tries"],
        }

    async def _pay(self, request: web.Request) -> Doc:
        partner, wish, number = self._partner, await self._partner.json(request), request.match_info["no"]
        _refuse_unknown(wish, "payer", "at", "amount_fen", "coupon_fen", "notify", "notify_delay_ms", "force")
        at = None
        if wish.get("at") is not None:
            at = parse_moment(str(wish["at"]))
            if at is None:
                raise ControlError(400, "at 必须是带时区的 RFC 3339 时刻")
        notify = wish.get("notify", partner.config["auto_notify"])
        with partner.store.transaction():
            order = partner.orders.pay(
                number,
                payer=wish.get("payer"),
                at=at,
                amount_fen=_fen(wish, "amount_fen", None),
                coupon_fen=_fen(wish, "coupon_fen", 0) or 0,
                force=bool(wish.get("force")),
            )
            delay_s = (_fen(wish, "notify_delay_ms", 0) or 0) / 1000
            event_id = partner.messenger.order_paid(order, delay_s=delay_s) if notify else None
        return {**self._order_view(order), "event_id": event_id}

    async def _fail(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        order = self._partner.orders.fail_try(request.match_info["no"], str(wish.get("reason") or "银行拒绝"))
        return self._order_view(order)

    async def _close(self, request: web.Request) -> Doc:
        return self._order_view(self._partner.orders.close_by_partner(request.match_info["no"]))

    async def _refunds(self, _: web.Request) -> Doc:
        return {"refunds": [self._refund_view(refund) for refund in self._partner.refunds.all()]}

    async def _refund(self, request: web.Request) -> Doc:
        number = request.match_info["no"]
        refund = self._partner.refunds.find(number)
        if refund is None:
            raise ControlError(404, f"没有这笔退款：{number}")
        return {
            **self._refund_view(refund),
            "notices": self._partner.messenger.about(number),
            "history": self._partner.store.history(REFUND, number),
        }

    def _refund_view(self, refund: Doc) -> Doc:
        asked = refund["asked"]
        return {
            "out_refund_no": refund["out_refund_no"],
            "out_trade_no": refund["out_trade_no"],
            "status": refund["status"],
            "refund_fen": refund["refund_fen"],
            "api": self._partner.refunds.view(refund),
            "request": refund["request"],
            "times_asked": len(asked),
            "nonces": sorted({one["nonce"] for one in asked}),
            "body_sha256": sorted({one["body_sha256"] for one in asked}),
        }

    async def _finish(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        _refuse_unknown(wish, "status", "notify", "notify_delay_ms")
        notify = bool(wish.get("notify", self._partner.config["auto_notify"]))
        delay_s = (_fen(wish, "notify_delay_ms", 0) or 0) / 1000
        return self._finish_refund(request.match_info["no"], str(wish.get("status")), notify=notify, delay_s=delay_s)

    def _finish_refund(self, number: str, status: str, *, notify: bool, delay_s: float = 0) -> Doc:
        partner = self._partner
        with partner.store.transaction():
            refund = partner.refunds.finish(number, status)
            event_id = partner.messenger.refund_finished(refund, delay_s=delay_s) if notify else None
        return {**self._refund_view(refund), "event_id": event_id}

    async def _refund_outcome(self, callback: "Callback") -> bool:
        """The timer of `auto_refund`; a refund that a person finished meanwhile is left alone."""
        refund = self._partner.refunds.find(callback.payload["no"])
        if refund is not None and refund["status"] == "PROCESSING" and callback.payload["status"] in FINAL:
            notify = bool(self._partner.config["auto_notify"])
            self._finish_refund(callback.payload["no"], callback.payload["status"], notify=notify)
        return True

    async def _notify(self, request: web.Request) -> Doc:
        return await self._partner.messenger.play(await self._partner.json(request))

    async def _rotate(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        what = wish.get("what")
        if what not in _ROTATIONS:
            raise ControlError(400, f"what 只能是{'、'.join(_ROTATIONS)}")
        serial = self._partner.wx_keys.rotate(
            str(what),
            keep_old=bool(wish.get("keep_old", True)),
            leading_zero=bool(wish.get("leading_zero", False)),
            now=self._partner.now(),
        )
        return {"what": what, "serial": serial, "environment": self._partner.environment()}


def _refuse_unknown(wish: Doc, *known: str) -> None:
    unknown = [name for name in wish if name not in known]
    if unknown:
        raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")


def _fen(wish: Doc, name: str, usual: int | None) -> int | None:
    value: Any = wish.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError(400, f"{name} 必须是整数")
    return value
