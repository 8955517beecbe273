"""When and where WeChat Pay notices are sent: queued with their fact, repeated until 200 or 204, or played by hand."""

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.wechat_pay_notices import NoticeRequest, check_wish, envelope, new_event_id, overridden, signed
from sandbox.wechat_pay_times import ANSWER_SECONDS, REPEAT_GAPS_SECONDS

if TYPE_CHECKING:
    from sandbox.wechat_pay import WechatPay

KIND = "notice"


class Messenger:
    """The sending side of the partner."""

    def __init__(self, partner: "WechatPay") -> None:
        self._partner = partner
        self._watched: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        partner.callbacks.on(KIND, self._try, ladder=REPEAT_GAPS_SECONDS)

    def watch(self, number: str) -> asyncio.Event:
        """Set when the product next acknowledges a notice about this number: what "hold" faults wait for."""
        event = asyncio.Event()
        self._watched[number].append(event)
        return event

    def _acknowledged(self, number: str) -> None:
        for event in self._watched.pop(number, []):
            event.set()

    def order_paid(self, order: Doc, *, delay_s: float = 0) -> str | None:
        """Queue TRANSACTION.SUCCESS; call it inside the transaction of the payment. Returns the event id."""
        view = self._partner.orders.view(order)
        url = order["request"].get("notify_url")
        return self._queue(
            order["out_trade_no"], "TRANSACTION.SUCCESS", "transaction", view=view, url=url, delay_s=delay_s
        )

    def refund_finished(self, refund: Doc, *, delay_s: float = 0) -> str | None:
        """Queue REFUND.*; a refund without notify_url (which the real partner may report in XML v2) is not told."""
        partner = self._partner
        view = partner.refunds.notice(refund, partner.merchant().mchid)
        event = f"REFUND.{refund['status']}"
        url = refund["request"].get("notify_url")
        return self._queue(refund["out_refund_no"], event, "refund", view=view, url=url, delay_s=delay_s)

    def _queue(
        self, number: str, event: str, original_type: str, *, view: Doc, url: str | None, delay_s: float
    ) -> str | None:
        partner = self._partner
        url = partner.config.get("notify_url") or url
        if not url:
            return None
        event_id = new_event_id()
        body = envelope(
            partner.wx_keys,
            event=event,
            original_type=original_type,
            plaintext=view,
            now=partner.now_s(),
            event_id=event_id,
        )
        notice: Doc = {"id": event_id, "number": number, "event": event, "url": url, "body": body.decode(), "tries": []}
        partner.store.put(KIND, event_id, notice, "queued")
        partner.callbacks.later(KIND, {"id": event_id}, after_s=delay_s, scaled=False)
        return event_id

    async def _try(self, callback: Callback) -> bool:
        partner = self._partner
        notice = partner.store.get(KIND, callback.payload["id"])
        if notice is None:
            return True
        probe = bool(partner.config["probe_first_notice"]) and callback.attempts == 0
        request = signed(
            partner.wx_keys,
            notice["body"].encode(),
            mode=str(partner.config["notice_mode"]),
            now=partner.now_s(),
            tamper="signtest" if probe else "none",
        )
        answer = await self._send(notice["url"], request)
        done = answer["status"] in (200, 204)
        # Read again: a second process or a test may have written while the product was answering.
        notice = partner.store.get(KIND, callback.payload["id"]) or notice
        notice["tries"].append({"at": partner.now_s(), "probe": probe, **answer})
        partner.store.put(KIND, notice["id"], notice, "acknowledged" if done else "refused")
        if done:
            self._acknowledged(notice["number"])
        return done

    async def _send(self, url: str, request: NoticeRequest) -> Doc:
        sent = await self._partner.post(url, headers=request.headers, body=request.body, timeout_s=ANSWER_SECONDS)
        return sent.view()

    async def play(self, wish: Doc) -> Doc:
        """`POST /_control/notifications`: build a notice exactly as wished and send it the wished number of times."""
        mode = str(wish.get("mode") or self._partner.config["notice_mode"])
        tamper = str(wish.get("tamper") or "none")
        check_wish(mode, tamper)
        number, body, own_url = self._wished_body(wish, tamper)
        url = wish.get("url") or self._partner.config.get("notify_url") or own_url
        skew_s, copies = _number(wish, "skew_s", 0), int(_number(wish, "copies", 1))
        if not 0 < copies <= 1000:
            raise ControlError(400, "copies 必须在 1 到 1000 之间")

        def build() -> NoticeRequest:
            keys, now = self._partner.wx_keys, self._partner.now_s()
            return signed(keys, body, mode=mode, now=now, skew_s=skew_s, tamper=tamper)

        first = build()
        if wish.get("deliver", True) is False:
            return {"request": first.view(url or ""), "answers": []}
        if not url:
            raise ControlError(400, "没有通知地址：请给出 url")
        await asyncio.sleep(_number(wish, "delay_ms", 0) / 1000)
        # Every copy is signed anew, as every repetition of the real partner is.
        requests = [first] + [build() for _ in range(copies - 1)]
        if wish.get("parallel"):
            answers = list(await asyncio.gather(*(self._send(url, one) for one in requests)))
        else:
            answers = [await self._send(url, one) for one in requests]
        if any(answer["status"] in (200, 204) for answer in answers):
            self._acknowledged(number)
        return {"request": first.view(url), "answers": answers}

    def _wished_body(self, wish: Doc, tamper: str) -> tuple[str, bytes, str | None]:
        """The number the notice is about, its body, and the notify_url the merchant gave for it."""
        number, kind, event, plaintext, url = self._about(wish)
        if wish.get("resend"):
            found = self._partner.store.get(KIND, str(wish["resend"]))
            if found is None:
                raise ControlError(404, f"没有这个通知：{wish['resend']}")
            return str(found["number"]), str(found["body"]).encode(), str(found["url"])
        if isinstance(wish.get("plaintext"), dict):
            plaintext = wish["plaintext"]
        if not plaintext:
            raise ControlError(400, "about 需要 out_trade_no 或 out_refund_no，或直接给出 plaintext")
        changes = {} if wish.get("override") is None else wish["override"]
        if not isinstance(changes, dict):
            raise ControlError(400, "override 必须是对象")
        body = envelope(
            self._partner.wx_keys,
            event=str(wish.get("event") or event),
            original_type=str(wish.get("original_type") or kind),
            plaintext=overridden(plaintext, changes),
            now=self._partner.now_s(),
            event_id=wish.get("event_id"),
            foreign_key=tamper == "wrong_apiv3_key",
        )
        return number, body, url

    def _about(self, wish: Doc) -> tuple[str, str, str, Doc, str | None]:
        partner, about = self._partner, wish.get("about") or {}
        if not isinstance(about, dict):
            raise ControlError(400, "about 必须是对象")
        if "out_refund_no" in about:
            refund = partner.refunds.find(str(about["out_refund_no"]))
            if refund is None:
                raise ControlError(404, f"没有这笔退款：{about['out_refund_no']}")
            view = partner.refunds.notice(refund, partner.merchant().mchid)
            url = refund["request"].get("notify_url")
            return refund["out_refund_no"], "refund", f"REFUND.{refund['status']}", view, url
        if "out_trade_no" in about:
            order = partner.orders.find(str(about["out_trade_no"]))
            if order is None:
                raise ControlError(404, f"没有这个订单：{about['out_trade_no']}")
            view = partner.orders.view(order)
            # A notice speaks of the moment of payment, also when a refund has followed since.
            if view["trade_state"] == "REFUND":
                view |= {"trade_state": "SUCCESS", "trade_state_desc": "支付成功"}
            return order["out_trade_no"], "transaction", "TRANSACTION.SUCCESS", view, order["request"]["notify_url"]
        return "", "transaction", "TRANSACTION.SUCCESS", {}, None

    def about(self, number: str) -> list[Doc]:
        """Queued notices about an order or refund, with every try and its answer."""
        shown = []
        for notice in self._partner.store.all(KIND):
            if notice["number"] == number:
                shown.append({**notice, "body": json.loads(notice["body"])})
        return shown


def _number(wish: Doc, name: str, usual: float) -> float:
    value: Any = wish.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError(400, f"{name} 必须是数")
    return float(value)
