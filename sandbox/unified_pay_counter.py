"""Pages a person sees: the cashier behind the payment code, and the e-receipt behind its link."""

import html
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.control import ControlError
from sandbox.unified_pay_bills import COUNTER, digits
from sandbox.unified_pay_frontend import yuan

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

_CHOICES = (
    ("phone", "用手机支付"), ("counter", "到银行柜面缴"), ("decline", "放弃支付"), ("twice", "再付一次（重复缴款）"),
    ("late", "订单失效后仍然付款"),
)  # fmt: skip
_STATES = {"OPEN": "待缴款", "PAID": "已缴款", "CLOSED": "已关闭", "LAPSED": "已失效"}
_RECEIPTS = {"ISSUED": "有效", "PAPER": "已换开纸质票据", "REVERSED": "已冲红"}


class Counter:
    """Registers the pages on the partner."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        partner.route("GET", "/pay/{no}", self._page, call="cashier")
        partner.route("POST", "/pay/{no}", self._decide, call="cashier")
        partner.route("GET", "/receipt/{link}", self._receipt, call="receipt_page")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        order = self._partner.bills.order(request.match_info["no"])
        if order is None:
            return _html("<p>没有这个订单</p>", status=404)
        bill = self._partner.bills.existing(order["pay_code"])
        buttons = " ".join(f'<button name="choice" value="{word}">{label}</button>' for word, label in _CHOICES)
        return _html(
            f"<h1>统一公共支付（沙箱）</h1><p>{html.escape(bill['unit_name'] or bill['unit_code'])}："
            f"{html.escape(bill['title'])}</p><p>缴款码 {order['pay_code']}</p><p>应缴 {yuan(order['amount_fen'])} 元，"
            f"订单{_STATES[order['state']]}，{digits(order['ends_at'], '%H:%M:%S')} 失效</p><form method=post>{buttons}</form>"
        )

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        choice, number = str((await request.post()).get("choice", "")), request.match_info["no"]
        order = self._partner.bills.order(number)
        if order is None or choice not in dict(_CHOICES):
            return _html("<p>没有这个订单或选择</p>", status=404)
        try:
            if choice == "decline":
                self._partner.bills.decline(number)
                return _html("<p>已放弃支付，订单失效前仍可继续</p>")
            self.pay(order["pay_code"], None if choice == "counter" else number, force=choice in ("twice", "late"))
        except ControlError as error:
            return _html(f"<p>{html.escape(error.text)}</p>", status=409)
        return _html("<p>缴款成功</p>")

    def pay(self, pay_code: str, order_no: str | None, *, force: bool) -> None:
        """The payment and its push, together."""
        partner = self._partner
        with partner.store.transaction():
            way = None if order_no else COUNTER
            payment = partner.bills.pay(pay_code, order_no=order_no, way=way, force=force)
            if partner.config["auto_notify"]:
                partner.messenger.paid(payment)

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        parts = request.match_info["link"].split("-")
        found = self._partner.receipts.by_link(*parts) if len(parts) == 3 else None
        if found is None or found["state"] == "RESERVED":
            return _html("<p>没有这张票据</p>", status=404)
        return _html(
            f"<h1>财政电子票据（沙箱）</h1><p>票据代码 {found['code']} 票据号码 {found['number']} 校验码 {found['check_code']}</p>"
            f"<p>交款人 {html.escape(found['payer'])} 金额 {yuan(found['amount_fen'])} 元，{_RECEIPTS[found['state']]}</p>"
        )


def _html(inner: str, *, status: int = 200) -> web.Response:
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>统一公共支付（沙箱）</title></head>'
        f"<body>{inner}</body></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html")
