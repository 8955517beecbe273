"""The `/_control` verbs of the unified payment sandbox: bills, orders, payments, refunds, receipts, pushes, statements."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.unified_pay_bills import BILL, COUNTER, ORDER

if TYPE_CHECKING:
    from sandbox.callbacks import Callback
    from sandbox.unified_pay import UnifiedPay


class ControlVerbs:
    """Registers the verbs on the partner."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        partner.callbacks.on("refund_outcome", self._refund_outcome)
        for method, path, handler in (
            ("GET", "/bills", self._bills),
            ("POST", "/bills", self._put_bill),
            ("GET", "/bills/{code}", self._bill),
            ("POST", "/bills/{code}/pay-at-counter", self._at_counter),
            ("GET", "/orders", self._orders),
            ("GET", "/orders/{no}", self._order),
            ("POST", "/orders/{no}/pay", self._pay),
            ("POST", "/orders/{no}/fail", self._fail),
            ("POST", "/orders/{no}/close", self._close),
            ("GET", "/payments", self._payments),
            ("GET", "/refunds", self._refunds),
            ("GET", "/refunds/{no}", self._refund),
            ("POST", "/refunds/{no}/finish", self._finish),
            ("GET", "/receipts", self._receipts),
            ("POST", "/receipts/{no}/exchange-to-paper", self._to_paper),
            ("POST", "/receipts/{no}/void-paper", self._void_paper),
            ("POST", "/notifications", self._notify),
            ("POST", "/statements/{day}", self._statement),
        ):
            partner.control(method, path, handler)

    async def _bills(self, _: web.Request) -> Doc:
        return {"bills": self._partner.store.all(BILL)}

    async def _bill(self, request: web.Request) -> Doc:
        code = request.match_info["code"]
        bill = self._partner.bills.find(code)
        if bill is None:
            raise ControlError(404, f"没有这个缴款码：{code}")
        return {
            **bill,
            "orders": self._partner.bills.orders_of(code),
            "history": self._partner.store.history(BILL, code),
        }

    async def _put_bill(self, request: web.Request) -> Doc:
        """A demand that another system of the county made."""
        wish = await self._partner.json(request)
        amount = _fen(wish, "amount_fen")
        code = str(wish.get("pay_code") or "")
        if not code or amount is None or self._partner.bills.find(code) is not None:
            raise ControlError(400, "需要新的 pay_code 与正整数 amount_fen")
        facts = {
            "unit_code": str(wish.get("unit_code") or self._partner.config["units"][0]), "unit_name": "", "amount_fen": amount,
            "items": [], "payer": str(wish.get("payer") or ""), "title": str(wish.get("title") or "缴款单"),
        }  # fmt: skip
        return self._partner.bills.register(code, facts)

    def _paid(self, payment: Doc, wish: Doc) -> Doc:
        if wish.get("notify", self._partner.config["auto_notify"]):
            self._partner.messenger.paid(payment)
        return payment

    async def _at_counter(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        _refuse_unknown(wish, "amount_fen", "payer", "notify", "force")
        with self._partner.store.transaction():
            payment = self._partner.bills.pay(
                request.match_info["code"], way=COUNTER, amount_fen=_fen(wish, "amount_fen"), payer=wish.get("payer"),
                force=bool(wish.get("force")),
            )  # fmt: skip
            return self._paid(payment, wish)

    async def _orders(self, _: web.Request) -> Doc:
        return {"orders": [self._order_view(order) for order in self._partner.bills.orders()]}

    def _order_view(self, order: Doc) -> Doc:
        bill = self._partner.bills.find(order["pay_code"]) or {}
        return {
            **order,
            "title": bill.get("title", ""),
            "bill_state": bill.get("state"),
            "link": f"{self._partner.url}/pay/{order['order_no']}",
        }

    async def _order(self, request: web.Request) -> Doc:
        number = request.match_info["no"]
        order = self._partner.bills.order(number)
        if order is None:
            raise ControlError(404, f"没有这个订单：{number}")
        return {**self._order_view(order), "history": self._partner.store.history(ORDER, number)}

    async def _pay(self, request: web.Request) -> Doc:
        """The phone pays. With `force` also on a lapsed or closed order, or a second time."""
        wish, number = await self._partner.json(request), request.match_info["no"]
        _refuse_unknown(wish, "payer", "amount_fen", "notify", "force", "at")
        order = self._partner.bills.order(number)
        if order is None:
            raise ControlError(404, f"没有这个订单：{number}")
        with self._partner.store.transaction():
            payment = self._partner.bills.pay(
                order["pay_code"], order_no=number, amount_fen=_fen(wish, "amount_fen"), payer=wish.get("payer"),
                at=wish.get("at"), force=bool(wish.get("force")),
            )  # fmt: skip
            return self._paid(payment, wish)

    async def _fail(self, request: web.Request) -> Doc:
        return self._order_view(self._partner.bills.decline(request.match_info["no"]))

    async def _close(self, request: web.Request) -> Doc:
        """The platform's own time-out, played by hand."""
        partner, number = self._partner, request.match_info["no"]
        order = partner.bills.order(number)
        if order is None or order["state"] != "OPEN":
            raise ControlError(409, "订单不在待缴状态")
        order["state"], order["ends_at"] = "LAPSED", partner.now_s()
        partner.store.put(ORDER, number, order, "lapsed")
        return self._order_view(order)

    async def _payments(self, _: web.Request) -> Doc:
        return {"payments": self._partner.bills.payments()}

    async def _refunds(self, _: web.Request) -> Doc:
        return {"refunds": self._partner.bills.refunds()}

    async def _refund(self, request: web.Request) -> Doc:
        refund = self._partner.bills.find_refund(request.match_info["no"])
        if refund is None:
            raise ControlError(404, "没有这笔退款")
        return refund

    async def _finish(self, request: web.Request) -> Doc:
        wish = await self._partner.json(request)
        return self._partner.bills.finish_refund(request.match_info["no"], str(wish.get("state")))

    async def _refund_outcome(self, callback: "Callback") -> bool:
        """The timer of `auto_refund`; a refund that a person finished meanwhile is left alone."""
        refund = self._partner.bills.find_refund(callback.payload["no"])
        if refund is not None and refund["state"] == "PROCESSING":
            self._partner.bills.finish_refund(callback.payload["no"], str(callback.payload["state"]))
        return True

    async def _receipts(self, _: web.Request) -> Doc:
        shown = [{**one, "link": self._partner.receipts.link(one)} for one in self._partner.receipts.all()]
        return {"receipts": shown}

    async def _to_paper(self, request: web.Request) -> Doc:
        return self._partner.receipts.to_paper(request.match_info["no"])

    async def _void_paper(self, request: web.Request) -> Doc:
        return self._partner.receipts.void_paper(request.match_info["no"])

    async def _notify(self, request: web.Request) -> Doc:
        return await self._partner.messenger.play(await self._partner.json(request))

    async def _statement(self, request: web.Request) -> Doc:
        return self._partner.statements.wish(request.match_info["day"], await self._partner.json(request))


def _refuse_unknown(wish: Doc, *known: str) -> None:
    unknown = [name for name in wish if name not in known]
    if unknown:
        raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")


def _fen(wish: Doc, name: str) -> int | None:
    value: Any = wish.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ControlError(400, f"{name} 必须是正整数分")
    return value
