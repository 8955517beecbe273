"""The Alipay partner on the wire: `gateway.do`, which method does what, what faults make of it; no state of its own."""

import asyncio
import base64
import contextlib
from collections.abc import Callable
from typing import Any, ClassVar

from aiohttp import web

from sandbox.alipay_answers import answer
from sandbox.alipay_bills import Bills
from sandbox.alipay_cashier import Cashier, error_page
from sandbox.alipay_control import ControlVerbs
from sandbox.alipay_errors import MESSAGES, AlipayError, ordered
from sandbox.alipay_fields import (
    BILL_URL,
    CERTIFICATE,
    CLOSE,
    CREATE,
    METHODS,
    QUERY,
    REFUND,
    REFUND_QUERY,
    WAP_PAY,
    check_content,
    read_content,
)
from sandbox.alipay_gateway import Call, Rules, authenticate, read_call
from sandbox.alipay_keys import AlipayKeys
from sandbox.alipay_messenger import Messenger
from sandbox.alipay_refunds import Refunds
from sandbox.alipay_trades import Asked, Trades, query_view
from sandbox.exchange import EXCHANGE, html_page
from sandbox.partner import Partner, Run
from sandbox.store import Doc

_CALL = web.RequestKey("alipay_call", Call)
_HOLD_SECONDS = 60.0


class Alipay(Partner):
    """One merchant's view of Alipay."""

    name, title, port_offset = "alipay", "支付宝", 6
    default_config: ClassVar[Doc] = {
        "app_id": "2021000000000001",
        "seller_id": "2088000000000001",
        "key_mode": "both",  # both | cert (certificate SNs are demanded) | key (they are ignored)
        "sign_errors": "business",  # business | all | none
        "error_node": "error_response",  # error_response | method: how gateway errors name their node
        "max_skew_s": 600,
        "auto_notify": True,
        "extra_notices": [],  # of refund, closed, finished: what some integrators see beside TRADE_SUCCESS
        "notice_sign_over": "non_empty",  # non_empty | all | with_sign_type
        "refund_outcome": "done",  # done | pending (finished later, by hand)
        "refund_query_after_s": 0,
        "balance_fen": None,
        "fee_per_10000": 60,
        "refund_sign": "negative",  # negative | positive: how the bill writes refunds
        "empty_bill": "file",  # file | error
    }
    fault_effects = ("signature", "hold", "status_after", "code_after", "sub_code", "override")

    def setup(self) -> None:
        self.ali_keys = AlipayKeys(self.keys, app_id=self.setting("app_id"), seller_id=self.setting("seller_id"))

        def scale() -> float:
            return float(self.config["time_scale"])

        self.trades = Trades(
            self.store, seller_id=lambda: str(self.config["seller_id"]), now=self.now_s, time_scale=scale
        )
        self.refunds = Refunds(self.store, self.trades, now=self.now_s, time_scale=scale, setting=self.config.get)
        self.messenger = Messenger(self)
        self.route("GET", "/gateway.do", self._gateway, call="gateway")
        self.route("POST", "/gateway.do", self._gateway, call="gateway")
        # Faults and the log speak of methods, not of the one address they share.
        self.calls[:] = METHODS
        self.bills = Bills(self)
        self.cashier = Cashier(self)
        ControlVerbs(self)
        self._work: dict[str, Callable[[Call], Doc]] = {
            CREATE: self._create,
            QUERY: lambda call: query_view(self.trades.of(call.content), call.content.get("query_options", [])),
            CLOSE: self._close,
            REFUND: self._refund,
            REFUND_QUERY: lambda call: self.refunds.query(call.content),
            BILL_URL: lambda call: self.bills.offer(call.content),
            CERTIFICATE: self._certificate,
        }

    def setting(self, name: str) -> str:
        """A text setting as configured now."""
        return str(self.config[name])

    def environment(self) -> dict[str, str]:
        lines = {
            "ALIPAY_BASE_URL": f"{self.url}/gateway.do",
            "ALIPAY_APP_ID": self.setting("app_id"),
            "ALIPAY_SELLER_ID": self.setting("seller_id"),
            "ALIPAY_APP_KEY_FILE": str(self.keys.path("ali_app.p8.pem")),
            "ALIPAY_PUBLIC_KEY_FILE": str(self.keys.path("ali_plat.pub.pem")),
            "ALIPAY_MINI_APP_ID": "2021000000000002",
            "ALIPAY_NOTIFY_URL": self.notify_url("/api/v1/callbacks/alipay"),
        }
        if self.config["key_mode"] == "cert":
            del lines["ALIPAY_PUBLIC_KEY_FILE"]
            lines |= {
                "ALIPAY_APP_CERT_FILE": str(self.keys.path("ali_app.crt")),
                "ALIPAY_PUBLIC_CERT_FILE": str(self.keys.path("ali_plat.crt")),
                "ALIPAY_ROOT_CERT_FILE": str(self.keys.path("ali_root.crt")),
            }
        return lines

    # -- the gateway -------------------------------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        """Authenticate, let an ordered fault happen, do the work, answer with a proof."""
        call = Call(params={})
        try:
            call, twice = read_call(request.raw_path.partition("?")[2], await request.read(), request.content_type)
            request[_CALL] = call
            if call.method in METHODS:
                request[EXCHANGE].call = call.method
            authenticate(call, twice, self.ali_keys, self._rules())
            call.content = read_content(call.params.get("biz_content"))
            self.note(request, verdict="ok", number=call.number, certificate=call.certificate)
            check_content(call.method, call.content)
            effect = await self.fault(request, number=call.number)
            if call.method == WAP_PAY:
                return self.cashier.open(call)
            notice = self.messenger.watch(call.number or "") if effect.get("hold") == "until_notice" else None
            node = self._work[call.method](call)
        except AlipayError as error:
            known = request[EXCHANGE].facts.get("verdict") == "ok"
            self.note(request, refused=error.sub_code, **({} if known else {"verdict": error.sub_code}))
            return self._refusal(call, error)
        if notice is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(notice.wait(), _HOLD_SECONDS)
        if "status_after" in effect:
            # The partner did it and says that it failed: the answer that must never be believed.
            return html_page(int(effect["status_after"]))
        if "code_after" in effect:
            return self._refusal(call, ordered(effect["code_after"], effect.get("sub_code")), effect)
        node = {"code": "10000", "msg": MESSAGES["10000"], **node}
        return answer(self.ali_keys, call, node, signed=True, effect=effect)

    def _rules(self) -> Rules:
        skew = self.config["max_skew_s"]
        return Rules(
            app_id=self.setting("app_id"),
            key_mode=self.setting("key_mode"),
            now=self.now_s(),
            max_skew_s=None if skew is None else float(skew),
        )

    def asked(self, call: Call) -> Asked:
        """What a trade remembers of the request that made it."""
        return Asked(
            method=call.method,
            content=call.content,
            app_id=call.params["app_id"],
            notify_url=call.params.get("notify_url") or None,
            return_url=call.params.get("return_url") or None,
            charset=call.charset,
        )

    def _create(self, call: Call) -> Doc:
        with self.store.transaction():
            trade = self.trades.place(self.asked(call))
        return {"out_trade_no": trade["out_trade_no"], "trade_no": trade["trade_no"]}

    def _close(self, call: Call) -> Doc:
        with self.store.transaction():
            trade = self.trades.close_by_merchant(call.content)
            self.messenger.ended("closed", trade)
        return {"out_trade_no": trade["out_trade_no"], "trade_no": trade["trade_no"]}

    def _refund(self, call: Call) -> Doc:
        with self.store.transaction():
            trade, refund, moved = self.refunds.ask(call.content)
            trade = self.trades.existing(trade["out_trade_no"])
            if moved:
                self.messenger.refunded(trade, refund)
        return self.refunds.answer(trade, refund, moved=moved)

    def _certificate(self, call: Call) -> Doc:
        found = self.ali_keys.platform_file(call.content["alipay_cert_sn"])
        if found is None:
            raise AlipayError("40002", "isv.alipay-cert-not-exist")
        return {"alipay_cert_content": base64.b64encode(found).decode()}

    # -- refusals ------------------------------------------------------------------------------------------------------

    def _refusal(self, call: Call, error: AlipayError, effect: dict[str, Any] | None = None) -> web.Response:
        if call.method == WAP_PAY:
            return error_page(error)
        effect = effect or {}
        policy = self.config["sign_errors"]
        signed = policy == "all" or (policy == "business" and error.business)
        named = call.method and (error.business or self.config["error_node"] == "method")
        return answer(
            self.ali_keys,
            call,
            dict(error.node()),
            signed=bool(effect.get("signed", signed)),
            effect=effect,
            name="" if named else "error_response",
        )

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        fault = request[EXCHANGE].facts.get("fault")
        if fault is None or (code is None and status != 200 and "rate_per_s" not in fault):
            return html_page(status)
        if "rate_per_s" in fault:
            status, code = 200, code or "40005"
        refusal = self._refusal(request[_CALL], ordered(code, fault.get("sub_code")), fault)
        refusal.set_status(status)
        return refusal


def build(run: Run) -> Alipay:
    """Called by the sandbox program."""
    return Alipay(run)
