"""When and where Alipay notices are sent: queued with their fact, repeated until `success`, or played by hand."""

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sandbox.alipay_notices import NoticeRequest, check_wish, new_notify_id, overridden, signed, trade_fields
from sandbox.alipay_times import ANSWER_SECONDS, REPEAT_GAPS_SECONDS
from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.partner import Sent
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.alipay import Alipay

KIND = "notice"
_ENOUGH = b"success"


class Messenger:
    """The sending side of the partner."""

    def __init__(self, partner: "Alipay") -> None:
        self._partner = partner
        self._watched: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        partner.callbacks.on(KIND, self._try, ladder=REPEAT_GAPS_SECONDS)

    def watch(self, number: str) -> asyncio.Event:
        """Set when the product next acknowledges a notice about this number: what "hold" faults wait for."""
        event = asyncio.Event()
        self._watched[number].append(event)
        return event

    def _acknowledged(self, *numbers: str) -> None:
        for number in numbers:
            for event in self._watched.pop(number, []):
                event.set()

    # -- what happened ---------------------------------------------------------------------------------------------

    def paid(self, trade: Doc, *, delay_s: float = 0) -> str | None:
        """Queue the notice of a payment; call it inside the payment's transaction. Returns the notify id.

        TRADE_FINISHED is not sent by default: a trade paid into that state is told only when `finished` is asked for.
        """
        if trade["status"] == "TRADE_FINISHED" and "finished" not in self._partner.config["extra_notices"]:
            return None
        return self.queue(trade, trade["status"], delay_s=delay_s)

    def ended(self, kind: str, trade: Doc) -> str | None:
        """`closed` or `finished`: sent only when the `extra_notices` setting names it."""
        if kind not in self._partner.config["extra_notices"]:
            return None
        return self.queue(trade, trade["status"])

    def refunded(self, trade: Doc, refund: Doc) -> None:
        """Refunds have no notice by default; some integrators see one, and one more for the trade that closed."""
        if "refund" in self._partner.config["extra_notices"]:
            self.queue(trade, "refund", refund=refund)
        if trade["status"] == "TRADE_CLOSED":
            self.ended("closed", trade)

    def queue(self, trade: Doc, event: str, *, refund: Doc | None = None, delay_s: float = 0) -> str | None:
        """Remember a notice and its first send. Without a notify_url in the request there is none."""
        partner = self._partner
        url = partner.config.get("notify_url") or trade["notify_url"]
        if not url:
            return None
        notify_id = new_notify_id(partner.now_s())
        notice: Doc = {
            "id": notify_id,
            "number": trade["out_trade_no"],
            "refund": refund["out_request_no"] if refund else None,
            "event": event,
            "url": url,
            "fields": self._fields(trade, event, refund),
            "tries": [],
        }
        partner.store.put(KIND, notify_id, notice, "queued")
        partner.callbacks.later(KIND, {"id": notify_id}, after_s=delay_s, scaled=False)
        return notify_id

    def _fields(self, trade: Doc, event: str, refund: Doc | None) -> dict[str, str]:
        partner = self._partner
        refunded_fen = partner.refunds.refunded_fen(trade)
        seller_id = partner.setting("seller_id")
        return trade_fields(trade, event=event, seller_id=seller_id, refund=refund, refunded_fen=refunded_fen)

    # -- sending ---------------------------------------------------------------------------------------------------

    async def _try(self, callback: Callback) -> bool:
        partner = self._partner
        notice = partner.store.get(KIND, callback.payload["id"])
        if notice is None:
            return True
        request = signed(
            partner.ali_keys,
            notice["fields"],
            notify_id=notice["id"],
            now=partner.now_s(),
            over=partner.setting("notice_sign_over"),
        )
        sent = await self._send(notice["url"], request)
        done = _is_success(sent)
        # Read again: a second process or a test may have written while the product was answering.
        notice = partner.store.get(KIND, callback.payload["id"]) or notice
        notice["tries"].append({"at": partner.now_s(), **sent.view()})
        partner.store.put(KIND, notice["id"], notice, "acknowledged" if done else "refused")
        if done:
            self._acknowledged(notice["number"], notice["refund"] or "")
        return done

    async def _send(self, url: str, request: NoticeRequest) -> Sent:
        return await self._partner.post(url, headers=request.headers, body=request.body, timeout_s=ANSWER_SECONDS)

    async def play(self, wish: Doc) -> Doc:
        """`POST /_control/notifications`: build a notice exactly as wished and send it the wished number of times."""
        mode, tamper = str(wish.get("mode") or "key"), str(wish.get("tamper") or "none")
        over = str(wish.get("sign_over") or self._partner.config["notice_sign_over"])
        check_wish(mode, tamper, over, wish.get("event"))
        number, notify_id, fields, own_url = self._wished(wish)
        url = wish.get("url") or self._partner.config.get("notify_url") or own_url
        skew_s, copies = _number(wish, "skew_s", 0), int(_number(wish, "copies", 1))
        if not 0 < copies <= 1000:
            raise ControlError(400, "copies 必须在 1 到 1000 之间")
        now = self._partner.now_s() + skew_s
        # The copies of one notice are the same bytes: its id and its time stay.
        request = signed(self._partner.ali_keys, fields, notify_id=notify_id, now=now, over=over, tamper=tamper)
        if wish.get("deliver", True) is False:
            return {"request": request.view(url or ""), "answers": []}
        if not url:
            raise ControlError(400, "没有通知地址：请给出 url")
        await asyncio.sleep(_number(wish, "delay_ms", 0) / 1000)
        if wish.get("parallel"):
            sent = list(await asyncio.gather(*(self._send(url, request) for _ in range(copies))))
        else:
            sent = [await self._send(url, request) for _ in range(copies)]
        if any(_is_success(one) for one in sent):
            self._acknowledged(number)
        return {"request": request.view(url), "answers": [one.view() for one in sent]}

    def _wished(self, wish: Doc) -> tuple[str, str, dict[str, str], str | None]:
        """The number the notice is about, its id, its fields, and the notify_url the merchant gave."""
        partner = self._partner
        changes = {} if wish.get("override") is None else wish["override"]
        if not isinstance(changes, dict):
            raise ControlError(400, "override 必须是对象")
        if wish.get("resend"):
            found = partner.store.get(KIND, str(wish["resend"]))
            if found is None:
                raise ControlError(404, f"没有这个通知：{wish['resend']}")
            return found["number"], found["id"], overridden(found["fields"], changes), found["url"]
        about = wish.get("about") or {}
        if not isinstance(about, dict):
            raise ControlError(400, "about 必须是对象")
        refund = None
        refund_number = about.get("out_request_no") or about.get("out_refund_no")
        if refund_number:
            refund = partner.refunds.existing(str(refund_number))
            about = {"out_trade_no": refund["out_trade_no"]}
        if not about.get("out_trade_no"):
            raise ControlError(400, "about 需要 out_trade_no 或 out_request_no")
        trade = partner.trades.existing(str(about["out_trade_no"]))
        # A notice speaks of the moment of payment, also when a refund has followed since.
        usual = "refund" if refund else "TRADE_SUCCESS" if trade["payment"] else trade["status"]
        fields = self._fields(trade, str(wish.get("event") or usual), refund)
        notify_id = str(wish.get("event_id") or new_notify_id(partner.now_s()))
        return trade["out_trade_no"], notify_id, overridden(fields, changes), trade["notify_url"]

    def about(self, number: str) -> list[Doc]:
        """Queued notices about a trade, with every try and its answer."""
        return [notice for notice in self._partner.store.all(KIND) if notice["number"] == number]


def _is_success(sent: Sent) -> bool:
    """Exactly seven bytes with status 200: no quotes, no line break, no JSON, no redirect."""
    return sent.status == 200 and sent.body == _ENOUGH


def _number(wish: Doc, name: str, usual: float) -> float:
    value: Any = wish.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError(400, f"{name} 必须是数")
    return float(value)
