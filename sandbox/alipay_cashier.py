"""The phone web cashier of the Alipay sandbox: the page a person sees, what the buttons do, the way back to the merchant."""

import html
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from sandbox.alipay_errors import AlipayError
from sandbox.alipay_gateway import Call
from sandbox.alipay_signing import joined, sign
from sandbox.alipay_times import stamp, yuan
from sandbox.alipay_trades import total_fen
from sandbox.control import ControlError
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.alipay import Alipay

_PATH = "/cashier"
_WORDS = {
    "WAIT_BUYER_PAY": "等待付款",
    "TRADE_SUCCESS": "该笔交易已经支付成功，请勿重复付款",
    "TRADE_FINISHED": "该笔交易已经支付成功，请勿重复付款",
    "TRADE_CLOSED": "该笔交易已经关闭",
}


class Cashier:
    """Registers the cashier's form on the partner; the page itself is the answer of `alipay.trade.wap.pay`."""

    def __init__(self, partner: "Alipay") -> None:
        self._partner = partner
        partner.route("POST", _PATH, self._decide, call="cashier")
        partner.control("POST", "/trade-pay", self._trade_pay)

    def open(self, call: Call) -> web.Response:
        """The payer opens the signed address: only now the trade exists. Raises AlipayError."""
        partner = self._partner
        number = str(call.content["out_trade_no"])
        known = partner.trades.find(number)
        if known is not None and known["method"] == call.method and known["request"] == call.content:
            # The same page again, perhaps after paying: it says how the trade stands instead of an error.
            return self._page(known)
        with partner.store.transaction():
            trade = partner.trades.place(partner.asked(call))
        return self._page(trade)

    def _page(self, trade: Doc) -> web.Response:
        number = trade["out_trade_no"]
        if trade["status"] != "WAIT_BUYER_PAY":
            return _html(_facts(trade) + f"<p>{_WORDS[trade['status']]}</p>" + self._way_back(trade))
        token = secrets.token_urlsafe(24)
        self._partner.store.put("cashier", token, {"out_trade_no": number})
        return _html(
            f'{_facts(trade)}<form method="post" action="{_PATH}"><input type="hidden" name="token" value="{token}">'
            '<button name="choice" value="pay">确认付款</button> <button name="choice" value="decline">余额不足</button> '
            '<button name="choice" value="cancel">放弃付款</button></form>'
        )

    def _way_back(self, trade: Doc) -> str:
        back = self._return_address(trade)
        return f'<p><a href="{html.escape(back)}">返回商家</a></p>' if back else ""

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        known = self._partner.store.get("cashier", str(form.get("token", "")))
        if known is None:
            return _html("<p>页面已失效，请重新打开支付链接</p>")
        number, choice = str(known["out_trade_no"]), str(form.get("choice", ""))
        self._partner.note(request, number=number, choice=choice)
        try:
            if choice == "pay":
                trade = self.pay(number)
                back = self._return_address(trade)
            else:
                trade = self._partner.trades.fail_try(number, choice)
                back = str(trade["request"].get("quit_url") or "") if choice == "cancel" else ""
        except ControlError as error:
            return _html(f"<p>{html.escape(error.text)}</p>")
        if urlsplit(back).scheme in ("http", "https"):
            return web.Response(status=302, headers={"Location": back})
        words = {"pay": "付款成功", "decline": "余额不足，付款失败", "cancel": "已放弃付款"}
        return _html(_facts(trade) + f"<p>{words.get(choice, '付款失败')}</p>")

    def pay(self, number: str) -> Doc:
        """The payer pays; the notice goes out with the fact."""
        partner = self._partner
        with partner.store.transaction():
            trade = partner.trades.pay(number)
            if partner.config["auto_notify"]:
                partner.messenger.paid(trade)
        return trade

    def _return_address(self, trade: Doc) -> str:
        """`return_url` with Alipay's signed parameters: a hint for the page, never a proof of payment."""
        target = str(trade["return_url"] or "")
        if urlsplit(target).scheme not in ("http", "https") or trade["payment"] is None:
            return ""
        partner = self._partner
        params = {
            "app_id": trade["app_id"],
            "auth_app_id": trade["app_id"],
            "charset": trade["charset"],
            "method": f"{trade['method']}.return",
            "out_trade_no": trade["out_trade_no"],
            "seller_id": partner.setting("seller_id"),
            "timestamp": stamp(partner.now_s()),
            "total_amount": yuan(total_fen(trade)),
            "trade_no": trade["trade_no"],
            "version": "1.0",
        }
        params["sign"] = sign(partner.ali_keys.platform.key, joined(params, without=()).encode())
        params["sign_type"] = "RSA2"
        return f"{target}{'&' if '?' in target else '?'}{urlencode(params)}"

    async def _trade_pay(self, request: web.Request) -> Doc:
        """`my.tradePay({tradeNO})` on a phone: pays, declines or gives up; answers the result code the phone sees."""
        wish = await self._partner.json(request)
        known = self._partner.store.get("trade_no", str(wish.get("tradeNO") or ""))
        outcome = wish.get("outcome", "pay")
        if known is None:
            return {"resultCode": "4000", "memo": "交易不存在"}
        try:
            if outcome == "pay":
                self.pay(known["out_trade_no"])
            else:
                self._partner.trades.fail_try(known["out_trade_no"], str(outcome))
        except ControlError as error:
            return {"resultCode": "4000", "memo": error.text}
        return {
            "resultCode": {"pay": "9000", "cancel": "6001", "forgot_password": "99"}.get(outcome, "4000"),
            "memo": "",
        }


def _facts(trade: Doc) -> str:
    """What is being paid for, safely written into the page."""
    return (
        f"<h1>支付宝收银台（沙箱）</h1><p>{html.escape(trade['request']['subject'])}</p>"
        f"<p>订单号 {html.escape(trade['out_trade_no'])}</p><p>金额 {yuan(total_fen(trade))} 元</p>"
    )


def error_page(error: AlipayError) -> web.Response:
    """What the payer, not the merchant's server, sees of a wrong request: a page in GBK."""
    text = (
        '<!doctype html><html><head><meta charset="GBK"><title>支付宝 - 错误</title></head><body>'
        f"<h1>订单信息有误，建议联系卖家</h1><p>错误码：{html.escape(error.sub_code)}</p>"
        f"<p>{html.escape(error.sub_msg)}</p></body></html>"
    )
    return web.Response(
        body=text.encode("gb18030", "replace"),
        headers={"Content-Type": "text/html;charset=GBK"},
    )


def _html(inner: str) -> web.Response:
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>cashier</title></head>'
        f"<body>{inner}</body></html>"
    )
    return web.Response(text=text, content_type="text/html")
