"""Confirmation pushes (5996): queued with the payment, repeated until 8001 says 00000, or played by hand with every damage."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.partner import Sent
from sandbox.store import Doc
from sandbox.unified_pay_bills import digits
from sandbox.unified_pay_frames import FrameError, Message, read, split, write
from sandbox.unified_pay_frontend import confirmation

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

KIND = "push"
GAPS_SECONDS = (15, 30, 60, 180, 600, 1800, 1800, 3600, 3600, 10800, 21600)
_ANSWER_SECONDS = 10.0
_PATH = "/api/v1/callbacks/unified-pay"
_HEADERS = {"Content-Type": "application/octet-stream"}
_WISHES = ("about", "tamper", "override", "copies", "parallel", "deliver", "url", "with", "msg_id")
TAMPERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda frame: frame,
    "mac_wrong": lambda frame: frame[:-1] + (b"0" if frame[-1:] != b"0" else b"1"),
    "mac_lower": lambda frame: frame[:-64] + frame[-64:].lower(),
    "frame_short": lambda frame: str(len(frame) - 10).ljust(8).encode() + frame[8:],
    "frame_long": lambda frame: str(len(frame) + 10).ljust(8).encode() + frame[8:],
    "frame_cut": lambda frame: frame[: len(frame) // 2],
    "newline": lambda frame: frame + b"\r\n",
    "body_byte": lambda frame: frame.replace(b"<VER>1.0</VER>", b"<VER>1.1</VER>"),
}


class Messenger:
    """The pushing side of the partner."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        partner.callbacks.on(KIND, self._try, ladder=GAPS_SECONDS)

    def paid(self, payment: Doc) -> None:
        """Queue the confirmation; call it inside the transaction of the payment."""
        partner, push_id = self._partner, f"P{self._partner.store.next_number('push'):012d}"
        partner.store.put(KIND, push_id, {"id": push_id, "txn": payment["txn"], "tries": []}, "queued")
        partner.callbacks.later(KIND, {"id": push_id}, scaled=False)

    async def _try(self, callback: Callback) -> bool:
        partner, push = self._partner, self._partner.store.get(KIND, callback.payload["id"])
        payment = None if push is None else partner.bills.payment(push["txn"])
        if push is None or payment is None:
            return True
        body = self._hint(payment) if partner.config["face"] == "province" else self._frame(payment, push["id"])
        sent, accepted = await self._send(body, self._url())
        push["tries"].append({"status": sent.status, "accepted": accepted, "error": sent.error})
        partner.store.put(KIND, push["id"], push, "tried")
        return accepted > 0

    def _url(self) -> str:
        return self._partner.notify_url(_PATH)

    def _hint(self, payment: Doc) -> bytes:
        """The provincial platform only says that something happened; it proves nothing."""
        inner = f"<NOTICENO>{payment['pay_code']}</NOTICENO><PAYNO>{payment['order_no']}</PAYNO>"
        return f'<?xml version="1.0" encoding="GBK"?><ROOT><RESULT>{inner}</RESULT></ROOT>'.encode("gb18030")

    def _frame(
        self, payment: Doc, msg_id: str, *, override: dict[str, str] | None = None, token: str | None = None
    ) -> bytes:
        partner = self._partner
        fields = confirmation(payment) | (override or {})
        source, target = partner.config["finance_node"], partner.config["unit_node"]
        message = Message(number="5996", msg_id=msg_id, source=source, target=target, fields=fields)
        return write(message, token or partner.token, work_date=digits(partner.now_s(), "%Y%m%d"))

    async def _send(self, body: bytes, url: str) -> tuple[Sent, int]:
        """What came back, and how many frames of the answer say 00000 in reply to 5996."""
        if url.startswith("tcp://"):
            sent = await _dial(url.removeprefix("tcp://"), body)
        else:
            sent = await self._partner.post(url, headers=_HEADERS, body=body, timeout_s=_ANSWER_SECONDS)
        if self._partner.config["face"] == "province":
            return sent, int(sent.status == 200)
        try:
            answers = [read(frame, self._partner.token) for frame in split(sent.body)]
        except FrameError as error:
            return replace(sent, error=sent.error or f"回执无法读取：{error}"), 0
        good = [
            a
            for a in answers
            if (a.number, a.fields.get("OriMsgNo"), a.fields.get("Result")) == ("8001", "5996", "00000")
        ]
        return sent, len(good)

    async def play(self, wish: Doc) -> Doc:
        """One push by hand: `{"about":{"txn":…},"tamper":…,"override":{…},"with":[txn…],"copies":1,"deliver":true,"url":null}`."""
        unknown = [name for name in wish if name not in _WISHES]
        if unknown:
            raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")
        body, copies = self._wished(wish), int(wish.get("copies", 1))
        request = {"body_base64": base64.b64encode(body).decode(), "headers": _HEADERS}
        if not wish.get("deliver", True):
            return {"request": request, "answers": []}
        url = str(wish.get("url") or self._url())
        if wish.get("parallel"):
            found = list(await asyncio.gather(*(self._send(body, url) for _ in range(copies))))
        else:
            found = [await self._send(body, url) for _ in range(copies)]
        return {"request": request, "answers": [{**sent.view(), "accepted": good} for sent, good in found]}

    def _wished(self, wish: Doc) -> bytes:
        tamper, override = str(wish.get("tamper", "none")), wish.get("override") or {}
        if tamper not in TAMPERS and tamper != "other_token":
            raise ControlError(400, f"tamper 只能是 {'、'.join([*TAMPERS, 'other_token'])}")
        txns = [(wish.get("about") or {}).get("txn"), *(wish.get("with") or [])]
        frames = []
        for txn in txns:
            payment = self._partner.bills.payment(str(txn))
            if payment is None:
                raise ControlError(404, f"没有这笔缴款：{txn}")
            msg_id = str(wish.get("msg_id") or f"H{self._partner.store.next_number('push'):012d}")
            token = "another-secret-of-somebody-else" if tamper == "other_token" else None
            changed = {name: str(value) for name, value in override.items()}
            frames.append(self._frame(payment, msg_id, override=changed, token=token))
        return TAMPERS.get(tamper, TAMPERS["none"])(b"".join(frames))


async def _dial(address: str, body: bytes) -> Sent:
    """The same bytes over a plain connection, as the real front end sends them."""
    host, _, port = address.rpartition(":")
    writer: Any = None
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(body)
            await writer.drain()
            head = await reader.readexactly(8)
            return Sent(200, head + await reader.readexactly(int(head) - 8))
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
        return Sent(0, error=f"{type(error).__name__}: {error}".rstrip(": "))
    finally:
        if writer is not None:
            writer.close()
