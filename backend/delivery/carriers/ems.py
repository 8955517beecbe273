"""EMS open platform as a carrier: form-encoded calls in an SM4 envelope, answers in four shapes, callbacks; no rows.

Contract customers only. A time-out, HTML, an empty `00000` or a code we do not know means "unknown": the caller asks
again with the same `logisticsOrderNo`, which the carrier treats as one order.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog

from backend.delivery.carriers.base import (
    CONTENTS,
    BadCallback,
    Callback,
    CarrierEvent,
    CarrierRefused,
    CarrierReply,
    CarrierUnclear,
    Order,
    OrderExists,
    Party,
)
from backend.delivery.carriers.ems_envelope import (
    OK,
    BadEnvelope,
    body_of,
    decrypt,
    encrypt,
    items_of,
    time_of,
    time_text,
)
from backend.delivery.settings import EmsSettings
from backend.delivery.states import Canonical
from backend.formats import phones
from kernel import clock
from kernel.http import NoAnswer, NotSent, Partner

log = structlog.get_logger(__name__)

CREATE, CANCEL, TRACK, CALLBACK, ESTIMATE = "020003", "020006", "040001", "040002", "050005"
_VERSION = "V1.0.0"
_DUPLICATE_SIGNS = ("重复", "已存在")
_TOO_LATE_SIGNS = ("已揽收", "已收寄", "不能取消", "无法取消", "不允许取消")
_ALREADY_SIGNS = ("已取消", "已撤单")
_DEAREST_FEN = 100_000  # an estimate above 1,000 yuan for a letter is a mistake of somebody's
_TEXT_LENGTH = 500


class Ems:
    """One contract with EMS. `partner` is the door, `settings` the contract."""

    code = "ems"

    def __init__(self, settings: EmsSettings, partner: Partner) -> None:
        self._settings, self._partner = settings, partner
        self._meanings = dict(settings.opcodes)

    async def quote(self, *, sender: Party, receiver: Party, grams: int) -> int:
        """050005: the estimate in fen. Raises CarrierUnclear, CarrierRefused."""
        answer = await self._call(
            ESTIMATE,
            {
                "productCode": self._settings.quote_product,
                "weight": str(grams),
                "senderInfo": sender.whole_address,
                "receiveInfo": receiver.whole_address,
            },
        )
        self._require_ok(answer)
        for item in items_of(body_of(answer)):
            for name in ("totalFee", "realFee", "standardFee"):
                if item.get(name) is not None:
                    return _fen(item[name])
        raise CarrierUnclear("no fee in the estimate")

    async def create(self, order: Order) -> str:
        """020003: the waybill of our order number. Raises CarrierRefused, CarrierUnclear, OrderExists."""
        answer = await self._call(CREATE, [self._order(order)])
        waybill = _waybill(answer)
        if str(answer.get("retCode")) == OK:
            if waybill is None:
                raise CarrierUnclear("accepted without a waybill")
            return waybill
        if self._is_duplicate(answer):
            # The order is there; a duplicate error may or may not repeat its waybill, and no call asks by our number.
            if waybill is None:
                raise OrderExists("the order exists, its waybill was not told")
            return waybill
        self._require_ok(answer)
        raise CarrierUnclear("not accepted")

    async def cancel(self, *, delivery_no: str, waybill_no: str, reason: str) -> bool:
        """020006: True when cancelled (also when it already was), False when the parcel is picked up."""
        answer = await self._call(
            CANCEL, {"logisticsOrderNo": delivery_no, "waybillNo": waybill_no, "cancelReason": reason}
        )
        message = str(answer.get("retMsg") or "")
        if str(answer.get("retCode")) == OK or any(sign in message for sign in _ALREADY_SIGNS):
            return True
        if any(sign in message for sign in _TOO_LATE_SIGNS):
            return False
        raise CarrierUnclear(f"cancel answered {_code(answer)}")

    async def track(self, waybill_no: str) -> tuple[CarrierEvent, ...]:
        """040001: the whole track. An empty `00000` is "unknown"."""
        answer = await self._call(TRACK, {"waybillNo": waybill_no, "direction": "0"})
        if str(answer.get("retCode")) != OK:
            raise CarrierUnclear(f"track answered {_code(answer)}")
        events = []
        for item in items_of(body_of(answer)):
            try:
                events.append(self._event({"waybillNo": waybill_no, **item}))
            except BadEnvelope:
                log.warning("ems.track_line_unreadable", code=str(item.get("opCode"))[:20])
        return tuple(event for event in events if event.waybill_no == waybill_no)

    def parse_callback(self, headers: Mapping[str, str], raw: bytes) -> Callback:
        """040002: opens and checks the envelope. Raises BadCallback for anything that is not provably for us."""
        allowed = self._settings.callback_addresses
        if allowed and {k.lower(): v for k, v in headers.items()}.get("x-real-ip", "") not in allowed:
            raise BadCallback("source address")
        outer = _outer(raw)
        if outer.get("senderNo") != self._settings.sender_no or outer.get("method") not in (CALLBACK, None):
            raise BadCallback("not for this contract")
        try:
            document = decrypt(outer.get("logitcsInterface", ""), self._settings.signing_text)
            events = tuple(self._event(item) for item in items_of(document))
        except BadEnvelope as error:
            raise BadCallback(str(error)) from None
        if not events:
            raise BadCallback("no event")
        canonical = json.dumps(document, ensure_ascii=False, sort_keys=True)
        return Callback(hashlib.sha256(canonical.encode()).hexdigest(), str(outer.get("serialNo") or "")[:64], events)

    def acknowledge(self, reply_token: str, *, accepted: bool) -> CarrierReply:
        """The carrier sends again until it reads 00000."""
        body = {
            "serialNo": reply_token,
            "code": OK if accepted else "99999",
            "codeMessage": "成功" if accepted else "失败",
            "senderNo": self._settings.sender_no,
        }
        text = json.dumps(body, ensure_ascii=False).encode()
        return CarrierReply(200, {"Content-Type": "application/json; charset=utf-8"}, text)

    async def _call(self, api: str, document: Any) -> dict[str, Any]:
        fields = {
            "apiCode": api,
            "senderNo": self._settings.sender_no,
            "authorization": self._settings.authorization,
            "msgType": "0",
            "timeStamp": time_text(clock.now()),
            "version": _VERSION,
            "logitcsInterface": encrypt(document, self._settings.signing_text),
        }
        try:
            answer = await self._partner.request(
                "POST",
                self._settings.api_path,
                headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
                body=urlencode(fields).encode(),
                call=api,
            )
        except (NotSent, NoAnswer) as error:
            raise CarrierUnclear(f"{api}: {error.reason}") from None
        if answer.status != 200:
            raise CarrierUnclear(f"{api}: HTTP {answer.status}")
        try:
            decoded = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise CarrierUnclear(f"{api}: not JSON") from None
        if not isinstance(decoded, dict):
            raise CarrierUnclear(f"{api}: not an object")
        return decoded

    def _require_ok(self, answer: dict[str, Any]) -> None:
        code = _code(answer)
        if code == OK:
            return
        if code in self._settings.refused_codes:
            # The carrier's words may repeat what we sent: no phone or house number goes into our records.
            raise CarrierRefused(code, re.sub(r"\d{3,}", "***", str(answer.get("retMsg") or ""))[:120])
        raise CarrierUnclear(f"answered {code}")

    def _is_duplicate(self, answer: dict[str, Any]) -> bool:
        message = str(answer.get("retMsg") or "")
        return _code(answer) in self._settings.duplicate_codes or any(sign in message for sign in _DUPLICATE_SIGNS)

    def _order(self, order: Order) -> dict[str, Any]:
        return {
            "ecommerceUserId": order.delivery_no,
            "logisticsOrderNo": order.delivery_no,
            "createdTime": time_text(order.created_at),
            "contentsAttribute": self._settings.contents,
            "bizProductNo": self._settings.product_no,
            "paymentMode": self._settings.payment_mode,
            "remarks": "",
            "sender": _party(order.sender),
            "receiver": _party(order.receiver),
            "cargos": [{"cargoName": CONTENTS, "cargoWeight": order.grams}],
        }

    def _event(self, item: dict[str, Any]) -> CarrierEvent:
        code, waybill = str(item.get("opCode") or ""), str(item.get("waybillNo") or "")
        if not code or not waybill or len(code) > 40 or len(waybill) > 40:
            raise BadEnvelope("no code or waybill")
        return CarrierEvent(
            carrier=self.code,
            waybill_no=waybill,
            code=code,
            canonical=self._meanings.get(code, Canonical.UNKNOWN),
            at=time_of(item.get("opTime")),
            place=str(item.get("opOrgName") or item.get("opOrgCity") or "")[:100],
            text=str(item.get("opDesc") or item.get("opName") or "")[:_TEXT_LENGTH],
        )


def _outer(raw: bytes) -> dict[str, Any]:
    """The outer fields, sent as JSON or as a form."""
    try:
        text = raw.decode("utf-8")
        outer = json.loads(text) if text.lstrip().startswith("{") else dict(parse_qsl(text))
    except (ValueError, RecursionError):
        raise BadCallback("unreadable") from None
    if not isinstance(outer, dict):
        raise BadCallback("not an object")
    return outer


def _party(party: Party) -> dict[str, str]:
    mobile = phones.is_mobile(party.phone)
    return {
        "name": party.name,
        "mobile": party.phone if mobile else "",
        "phone": "" if mobile else party.phone,
        "postCode": "",
        "prov": party.province,
        "city": party.city,
        "county": party.county,
        "address": party.address,
    }


def _waybill(answer: dict[str, Any]) -> str | None:
    for item in items_of(body_of(answer)):
        found = item.get("waybillNo")
        if isinstance(found, str) and 0 < len(found) <= 40:
            return found
    return None


def _code(answer: dict[str, Any]) -> str:
    return str(answer.get("retCode"))[:20]


def _fen(yuan: Any) -> int:
    """The carrier's yuan as exact fen; a negative, endless or absurd amount is no price. Raises CarrierUnclear."""
    with suppress(InvalidOperation):  # a word instead of a number is answered below
        fen = Decimal(str(yuan)) * 100
        if fen.is_finite() and fen == fen.to_integral_value() and 0 < fen <= _DEAREST_FEN:
            return int(fen)
    raise CarrierUnclear("no usable fee")
