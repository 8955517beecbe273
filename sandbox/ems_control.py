"""The `/_control` verbs of the EMS sandbox: play the courier, a whole route, and a push service that misbehaves."""

import base64
import datetime as dt
import json
import random
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.ems_envelope import encode_outer, seal
from sandbox.ems_network import OPERATIONS, ROUTES
from sandbox.ems_parcels import KIND, read_stamp, stamp
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.ems import Ems

_EVENT_FIELDS = ("name", "at", "copies", "delay_ms", "callback", "track", "suffix", "details")
_ROUTE_FIELDS = ("ends", "step_s", "pause_ms", "copies", "arrival", "callback")
_ARRIVALS = ("in_order", "reversed", "shuffled")


class ControlVerbs:
    """Registers the verbs on the partner."""

    def __init__(self, partner: "Ems") -> None:
        self._partner = partner
        partner.control("GET", "/parcels", self._parcels)
        partner.control("GET", "/parcels/{no}", self._parcel)
        partner.control("POST", "/parcels/{no}/event", self._event)
        partner.control("POST", "/parcels/{no}/route", self._route)
        partner.control("POST", "/callbacks/forge", self._forge)

    async def _parcels(self, _: web.Request) -> Doc:
        return {"parcels": self._partner.parcels.all(), "events": list(OPERATIONS), "routes": list(ROUTES)}

    async def _parcel(self, request: web.Request) -> Doc:
        number = request.match_info["no"]
        parcel = self._partner.parcels.find(number)
        if parcel is None:
            raise ControlError(404, f"没有这个邮件：{number}")
        pushes = [push for push in self._partner.store.all("push") if push["waybillNo"] == number]
        return {**parcel, "pushes": pushes, "history": self._partner.store.history(KIND, number)}

    async def _event(self, request: web.Request) -> Doc:
        """One event: in the track and, unless `callback` is false, pushed to the product."""
        partner, wish = self._partner, await self._partner.json(request)
        _refuse_unknown(wish, _EVENT_FIELDS)
        details = wish.get("details") or {}
        if not isinstance(details, dict):
            raise ControlError(400, "details 必须是对象")
        suffix = wish.get("suffix")
        if suffix not in (None, True, False):
            raise ControlError(400, "suffix 只能是 true、false 或 null")
        copies, delay_s = int(_number(wish, "copies", 1)), _number(wish, "delay_ms", 0) / 1000
        if not 0 < copies <= 100:
            raise ControlError(400, "copies 必须在 1 到 100 之间")
        with partner.store.transaction():
            event = partner.parcels.move(
                request.match_info["no"],
                str(wish.get("name") or ""),
                at=_moment(wish.get("at")),
                details=details,
                track=wish.get("track", True) is not False,
            )
            if wish.get("callback", True) is not False:
                partner.queue_event(event, copies=copies, delay_s=delay_s, suffix=suffix)
        return {"event": event, "parcel": partner.parcels.find(request.match_info["no"])}

    async def _route(self, request: web.Request) -> Doc:
        """A whole way with its end; `arrival` mixes up the pushes while the times of the events stay in order."""
        partner, wish = self._partner, await self._partner.json(request)
        _refuse_unknown(wish, _ROUTE_FIELDS)
        names = ROUTES.get(str(wish.get("ends", "delivered")))
        arrival = wish.get("arrival", "in_order")
        if names is None or arrival not in _ARRIVALS:
            raise ControlError(400, f"ends 只能是{'、'.join(ROUTES)}，arrival 只能是{'、'.join(_ARRIVALS)}")
        step_s, pause_s = _number(wish, "step_s", 60), _number(wish, "pause_ms", 100) / 1000
        copies = int(_number(wish, "copies", 1))
        begin = partner.now_s() - step_s * (len(names) - 1)
        places = list(range(len(names)))
        if arrival == "reversed":
            places.reverse()
        elif arrival == "shuffled":
            random.shuffle(places)
        events = []
        with partner.store.transaction():
            for index, name in enumerate(names):
                event = partner.parcels.move(request.match_info["no"], name, at=begin + step_s * index)
                events.append(event)
                if wish.get("callback", True) is not False:
                    partner.queue_event(event, copies=copies, delay_s=pause_s * places[index])
        return {"events": events, "parcel": partner.parcels.find(request.match_info["no"])}

    async def _forge(self, request: web.Request) -> Doc:
        """A push that EMS would never make: another sender number, another key, plain text. Sent once, never repeated."""
        partner, wish = self._partner, await self._partner.json(request)
        _refuse_unknown(wish, ("event", "senderNo", "other_key", "text", "suffix", "envelope", "serialNo"))
        sign_key = base64.b64encode(random.randbytes(16)).decode() if wish.get("other_key") else partner.sign_key
        text = wish.get("text")
        if text is None:
            text = json.dumps(wish.get("event") or {}, ensure_ascii=False)
        envelope = wish.get("envelope") or seal(str(text), sign_key, suffix=bool(wish.get("suffix")))
        outer = {
            "logitcsInterface": str(envelope),
            "method": "040002",
            "msgType": "0",
            "senderNo": str(wish.get("senderNo") or partner.sender_no),
            "serialNo": str(wish.get("serialNo") or random.randbytes(16).hex()),
            "timeStamp": stamp(partner.now_s()),
            "version": "V1.0.0",
        }
        headers, body = encode_outer(outer, str(partner.config["callback_format"]))
        url = partner.notify_url("/api/v1/callbacks/courier/ems")
        sent = await partner.post(url, headers=headers, body=body)
        return {"request": {"url": url, "headers": headers, "body": body.decode()}, "answer": sent.view()}


def _moment(value: Any) -> float | None:
    """RFC 3339, or the carrier's own notation in China time; None stays None."""
    if value is None:
        return None
    at = read_stamp(str(value))
    if at is not None:
        return at
    try:
        found = dt.datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ControlError(400, "at 必须是 RFC 3339 时刻或 yyyy-MM-dd HH:mm:ss")
    return found.timestamp()


def _number(wish: Doc, name: str, usual: float) -> float:
    value: Any = wish.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError(400, f"{name} 必须是数")
    return float(value)


def _refuse_unknown(wish: Doc, known: tuple[str, ...]) -> None:
    unknown = [name for name in wish if name not in known]
    if unknown:
        raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")
