"""The payer's side of the WeChat Pay sandbox: what `wx.requestPayment` does on the phone, and the H5 payment page."""

import base64
import binascii
import html
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.wechat_pay_signing import random_text
from sandbox.wechat_pay_times import H5_SECONDS, PREPAY_SECONDS, life

if TYPE_CHECKING:
    from sandbox.wechat_pay import WechatPay

_PAGE_PATH = "/cgi-bin/mmpayweb-bin/checkmweb"
_CALL_FIELDS = ("timeStamp", "nonceStr", "package", "signType", "paySign")


class Cashier:
    """Registers the phone verb and the H5 page on the partner."""

    def __init__(self, partner: "WechatPay") -> None:
        self._partner = partner
        partner.control("POST", "/request-payment", self._request_payment)
        partner.route("GET", _PAGE_PATH, self._page, call="h5_page")
        partner.route("POST", _PAGE_PATH, self._decide, call="h5_page")

    @staticmethod
    def address(base_url: str, prepay_id: str) -> str:
        """The `h5_url` of an order."""
        query = urlencode({"prepay_id": prepay_id, "package": random_text(10, "0123456789")})
        return f"{base_url}{_PAGE_PATH}?{query}"

    async def _request_payment(self, request: web.Request) -> Doc:
        """`wx.requestPayment` on a phone: checks the client signature, the session and the payer, then pays or not."""
        wish = await self._partner.json(request)
        reason = self._refuse_call(wish)
        if reason is not None:
            return {"errMsg": f"requestPayment:fail {reason}"}
        prepay_id = str(wish["package"]).removeprefix("prepay_id=")
        order = self._session(prepay_id, "jsapi", PREPAY_SECONDS)
        if isinstance(order, str):
            return {"errMsg": f"requestPayment:fail {order}"}
        number, openid = order["out_trade_no"], order["request"]["payer"]["openid"]
        if wish.get("openid") not in (None, openid):
            return {"errMsg": "requestPayment:fail 下单账号与支付账号不一致"}
        if wish.get("outcome", "pay") != "pay":
            self._partner.orders.fail_try(number, str(wish["outcome"]))
            return {"errMsg": f"requestPayment:fail {wish['outcome']}"}
        try:
            self._pay(number)
        except ControlError as error:
            return {"errMsg": f"requestPayment:fail {error.text}"}
        return {"errMsg": "requestPayment:ok"}

    def _refuse_call(self, wish: Doc) -> str | None:
        """Why the phone would not even open the payment sheet; None when the call is right."""
        missing = [name for name in _CALL_FIELDS if not isinstance(wish.get(name), str) or not wish[name]]
        if missing:
            return f"缺少参数 {'、'.join(missing)}（均为字符串）"
        if wish["signType"] != "RSA" or not wish["package"].startswith("prepay_id="):
            return "signType 必须是 RSA，package 必须以 prepay_id= 开头"
        # The app id is signed but not passed: the phone knows which mini-program it is running.
        for appid in (wish["appId"],) if wish.get("appId") else self._partner.merchant().appids:
            base = f"{appid}\n{wish['timeStamp']}\n{wish['nonceStr']}\n{wish['package']}\n".encode()
            if appid in self._partner.merchant().appids and self._is_signed(base, wish["paySign"]):
                return None
        return "支付验证签名失败"

    def _is_signed(self, base: bytes, signature: str) -> bool:
        public = self._partner.wx_keys.merchant.key.public_key()
        try:
            public.verify(base64.b64decode(signature, validate=True), base, padding.PKCS1v15(), hashes.SHA256())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True

    def _session(self, prepay_id: str, product: str, seconds: float) -> Doc | str:
        """The payable order of a session, or why it cannot be paid."""
        found = self._partner.orders.by_prepay(prepay_id)
        if found is None or found[0]["product"] != product:
            return "支付会话不存在"
        order, issued_at = found
        if self._partner.now_s() > issued_at + life(seconds, float(self._partner.config["time_scale"])):
            return "支付会话已过期"
        if order["state"] == "NOTPAY":
            return order
        return "该订单已关闭" if order["state"] == "CLOSED" else "该订单已支付"

    def _pay(self, number: str, payer: str | None = None) -> None:
        partner = self._partner
        with partner.store.transaction():
            order = partner.orders.pay(number, payer=payer)
            if partner.config["auto_notify"]:
                partner.messenger.order_paid(order)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        prepay_id = request.query.get("prepay_id", "")
        order = self._session(prepay_id, "h5", H5_SECONDS)
        if isinstance(order, str):
            return _html(f"<p>{html.escape(order)}</p>", status=400)
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in (("prepay_id", prepay_id), ("redirect_url", request.query.get("redirect_url", "")))
        )
        return _html(
            f"<h1>微信支付（沙箱）</h1><p>{html.escape(order['request']['description'])}</p>"
            f"<p>应付 {order['amount_fen'] / 100:.2f} 元</p>"
            f'<form method="post" action="{_PAGE_PATH}">{fields}'
            '<button name="choice" value="pay">支付</button> <button name="choice" value="cancel">放弃</button></form>'
        )

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        order = self._session(str(form.get("prepay_id", "")), "h5", H5_SECONDS)
        if isinstance(order, str):
            return _html(f"<p>{html.escape(order)}</p>", status=400)
        try:
            if form.get("choice") == "pay":
                self._pay(order["out_trade_no"])
            else:
                self._partner.orders.fail_try(order["out_trade_no"], "cancel")
        except ControlError as error:
            return _html(f"<p>{html.escape(error.text)}</p>", status=400)
        back = str(form.get("redirect_url") or "")
        if urlsplit(back).scheme in ("http", "https"):
            return web.Response(status=302, headers={"Location": back})
        return _html("<p>支付成功</p>" if form.get("choice") == "pay" else "<p>已放弃支付</p>")


def _html(inner: str, *, status: int = 200) -> web.Response:
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>微信支付（沙箱）</title></head>'
        f"<body>{inner}</body></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html")
