"""The `/_control` verbs of the Alipay sandbox: play the payer, the bank and the partner's own accidents."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.alipay_times import parse_stamp, yuan
from sandbox.alipay_trades import KIND as TRADE
from sandbox.alipay_trades import query_view, total_fen
from sandbox.control import ControlError
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.alipay import Alipay

_ROTATIONS = ("alipay_certificate", "app_certificate")
_ALL_OPTIONS = ["fund_bill_list"]


class ControlVerbs:
    """Registers the verbs on the partner."""

    def __init__(self, partner: "Alipay") -> None:
        self._partner = partner
        partner.control("GET", "/orders", self._orders)
        partner.control("GET", "/orders/{no}", self._order)
        partner.control("POST", "/orders/{no}/pay", self._pay)
        partner.control("POST", "/orders/{no}/fail", self._fail)
        partner.control("POST", "/orders/{no}/close", self._close)
        partner.control("POST", "/orders/{no}/finish", self._finish_order)
        partner.control("GET", "/refunds", self._refunds)
        partner.control("GET", "/refunds/{no}", self._refund)
        partner.control("POST", "/refunds/{no}/finish", self._finish)
        partner.control("POST", "/notifications", self._notify)
        partner.control("POST", "/keys/rotate", self._rotate)

    async def _orders(self, _: web.Request) -> Doc:
        return {"orders": [self._order_view(trade) for trade in self._partner.trades.all()]}

    async def _order(self, request: web.Request) -> Doc:
        number = request.match_info["no"]
        trade = self._partner.trades.existing(number)
        return {
            **self._order_view(trade),
            "notices": self._partner.messenger.about(number),
            "refunds": [self._refund_view(refund) for refund in self._partner.refunds.of_trade(number)],
            "history": self._partner.store.history(TRADE, number),
        }

    def _order_view(self, trade: Doc) -> Doc:
        return {
            "out_trade_no": trade["out_trade_no"],
            "trade_no": trade["trade_no"],
            "state": trade["status"],
            "product": trade["method"],
            "amount_fen": total_fen(trade),
            "refunded_fen": self._partner.refunds.refunded_fen(trade),
            "api": query_view(trade, _ALL_OPTIONS),
            "request": trade["request"],
            "times_created": len(trade["asked"]),
            "body_sha256": sorted({one["content_sha256"] for one in trade["asked"]}),
            "payments": [trade["payment"]] if trade["payment"] else [],
            "failed_tries": trade["failed_tries"],
        }

    async def _pay(self, request: web.Request) -> Doc:
        partner, wish, number = self._partner, await self._partner.json(request), request.match_info["no"]
        _refuse_unknown(
            wish, "payer", "at", "amount_fen", "discount_fen", "notify", "notify_delay_ms", "finished", "force"
        )
        at = None
        if wish.get("at") is not None:
            at = parse_stamp(str(wish["at"]))
            if at is None:
                raise ControlError(400, "at 的格式为 yyyy-MM-dd HH:mm:ss（北京时间）")
        notify = wish.get("notify", partner.config["auto_notify"])
        with partner.store.transaction():
            trade = partner.trades.pay(
                number,
                payer=wish.get("payer"),
                at=at,
                amount_fen=_whole(wish, "amount_fen", None),
                discount_fen=_whole(wish, "discount_fen", 0) or 0,
                finished=bool(wish.get("finished")),
                force=bool(wish.get("force")),
            )
            delay_s = (_whole(wish, "notify_delay_ms", 0) or 0) / 1000
            notify_id = partner.messenger.paid(trade, delay_s=delay_s) if notify else None
        return {**self._order_view(trade), "event_id": notify_id}

    async def _fail(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        trade = self._partner.trades.fail_try(request.match_info["no"], str(wish.get("reason") or "余额不足"))
        return self._order_view(trade)

    async def _close(self, request: web.Request) -> Doc:
        with self._partner.store.transaction():
            trade = self._partner.trades.close_by_partner(request.match_info["no"])
            self._partner.messenger.ended("closed", trade)
        return self._order_view(trade)

    async def _finish_order(self, request: web.Request) -> Doc:
        with self._partner.store.transaction():
            trade = self._partner.trades.finish(request.match_info["no"])
            self._partner.messenger.ended("finished", trade)
        return self._order_view(trade)

    async def _refunds(self, _: web.Request) -> Doc:
        return {"refunds": [self._refund_view(refund) for refund in self._partner.refunds.all()]}

    async def _refund(self, request: web.Request) -> Doc:
        refund = self._partner.refunds.existing(request.match_info["no"])
        return {**self._refund_view(refund), "history": self._partner.refunds.history(refund)}

    def _refund_view(self, refund: Doc) -> Doc:
        return {
            "out_request_no": refund["out_request_no"],
            "out_trade_no": refund["out_trade_no"],
            "status": refund["status"],
            "refund_fen": refund["refund_fen"],
            "refund_amount": yuan(refund["refund_fen"]),
            "request": refund["request"],
            "times_asked": len(refund["asked"]),
        }

    async def _finish(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        _refuse_unknown(wish, "status", "notify")
        with self._partner.store.transaction():
            trade, refund = self._partner.refunds.finish(request.match_info["no"], str(wish.get("status")))
            if refund["status"] == "SUCCESS" and wish.get("notify", True):
                self._partner.messenger.refunded(trade, refund)
        return self._refund_view(refund)

    async def _notify(self, request: web.Request) -> Doc:
        return await self._partner.messenger.play(await self._partner.json(request))

    async def _rotate(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        what = wish.get("what")
        if what not in _ROTATIONS:
            raise ControlError(400, f"what 只能是{'、'.join(_ROTATIONS)}")
        sn = self._partner.ali_keys.rotate(str(what), keep_old=bool(wish.get("keep_old", True)))
        return {"what": what, "sn": sn, "environment": self._partner.environment()}


def _refuse_unknown(wish: Doc, *known: str) -> None:
    unknown = [name for name in wish if name not in known]
    if unknown:
        raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")


def _whole(wish: Doc, name: str, usual: int | None) -> int | None:
    value: Any = wish.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError(400, f"{name} 必须是整数")
    return value
