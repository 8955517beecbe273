"""Parcels of the EMS sandbox: ordered, cancelled, moved along; what the wire or a person may ask for is checked here."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from sandbox.control import ControlError
from sandbox.ems_network import BEFORE_PICKUP, FINISHED, OPERATIONS, Operation
from sandbox.store import Doc, Store

KIND = "parcel"
CHINA = dt.timezone(dt.timedelta(hours=8))
_STAMP = "%Y-%m-%d %H:%M:%S"
_PARTY = ("name", "prov", "city", "county", "address")
_MOBILE = re.compile(r"1[3-9]\d{9}")
# What makes two orders the same order; times and transport ids of a repeat may differ.
_CONTENT = ("sender", "receiver", "cargos", "bizProductNo", "contentsAttribute")


class EmsError(Exception):
    """A refusal with the carrier's return code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def stamp(at: float) -> str:
    """China time as the carrier writes it."""
    return dt.datetime.fromtimestamp(at, CHINA).strftime(_STAMP)


def read_stamp(text: str) -> float | None:
    """`yyyy-MM-dd HH:mm:ss` in China time to unix seconds."""
    try:
        found = dt.datetime.strptime(text, _STAMP).replace(tzinfo=CHINA)
    except ValueError:
        return None
    return found.timestamp() if found.strftime(_STAMP) == text else None


def required(doc: Doc, *names: str) -> None:
    """Raises EmsError for the first of these that is not a non-empty text."""
    for name in names:
        value = doc.get(name)
        if not isinstance(value, str) or not value.strip():
            raise EmsError("20001", f"缺少必填字段：{name}")


class Parcels:
    """Everything the carrier knows about the contract customer's parcels."""

    def __init__(self, store: Store, *, now: Callable[[], float], on_duplicate: Callable[[], str]) -> None:
        self._store = store
        self._now = now
        self._on_duplicate = on_duplicate

    def order(self, body: object) -> Doc:
        """020003: one order in an array. The same order again gives the same waybill, or an error where so switched."""
        if not isinstance(body, list) or len(body) != 1 or not isinstance(body[0], dict):
            raise EmsError("20001", "报文必须是恰好一个订单的数组")
        order: Doc = body[0]
        self._check_order(order)
        number, user_id = str(order["logisticsOrderNo"]), str(order["ecommerceUserId"])
        known = self._store.get("order", number)
        if known is not None:
            parcel = self.find(known["waybillNo"])
            same = parcel is not None and all(parcel["order"].get(name) == order.get(name) for name in _CONTENT)
            if parcel is None or not same or self._on_duplicate() == "error":
                raise EmsError("20002", f"订单号重复：{number}")
            return parcel
        if self._store.get("ecommerce_user", user_id) is not None:
            raise EmsError("20002", "ecommerceUserId重复")
        serial = self._store.next_number("waybill", start=1)
        waybill_no = f"11{serial:011d}"
        parcel = {
            "waybillNo": waybill_no,
            "logisticsOrderNo": number,
            "order": order,
            "state": "BOOKED",
            "booked_at": self._now(),
            "track": [],
        }
        with self._store.transaction():
            self._store.put(KIND, waybill_no, parcel, "booked")
            self._store.put("order", number, {"waybillNo": waybill_no})
            self._store.put("ecommerce_user", user_id, {"logisticsOrderNo": number})
        return parcel

    def _check_order(self, order: Doc) -> None:
        required(order, "ecommerceUserId", "logisticsOrderNo", "createdTime", "bizProductNo")
        if read_stamp(order["createdTime"]) is None:
            raise EmsError("20001", "createdTime格式应为yyyy-MM-dd HH:mm:ss")
        if str(order.get("contentsAttribute")) not in ("1", "3"):
            raise EmsError("20001", "contentsAttribute只能是1（文件）或3（物品）")
        for side in ("sender", "receiver"):
            party = order.get(side)
            if not isinstance(party, dict):
                raise EmsError("20001", f"缺少必填字段：{side}")
            try:
                required(party, *_PARTY)
            except EmsError as error:
                raise EmsError("20001", f"{side}：{error.message}") from None
            mobile = party.get("mobile") or ""
            if not isinstance(mobile, str) or not (_MOBILE.fullmatch(mobile) or (not mobile and party.get("phone"))):
                raise EmsError("20001", f"{side}：手机号格式不正确")
        cargos = order.get("cargos")
        if not isinstance(cargos, list) or not cargos or not all(isinstance(one, dict) for one in cargos):
            raise EmsError("20001", "缺少必填字段：cargos")
        for cargo in cargos:
            required(cargo, "cargoName")
            if not re.fullmatch(r"[1-9]\d{0,5}", str(cargo.get("cargoWeight", ""))):
                raise EmsError("20001", "cargoWeight必须是克数")

    def cancel(self, body: object) -> Doc:
        """020006: possible until the parcel is picked up; cancelling twice is the same as once."""
        if not isinstance(body, dict):
            raise EmsError("20001", "报文必须是对象")
        required(body, "logisticsOrderNo", "waybillNo", "cancelReason")
        parcel = self.find(body["waybillNo"])
        if parcel is None or parcel["logisticsOrderNo"] != body["logisticsOrderNo"]:
            raise EmsError("20003", "未找到该订单")
        if parcel["state"] not in (*BEFORE_PICKUP, "CANCELLED"):
            raise EmsError("20004", "邮件已揽收，不能取消")
        if parcel["state"] != "CANCELLED":
            parcel["state"] = "CANCELLED"
            parcel["track"].append(self._entry(OPERATIONS["cancel"], self._now(), {"opDesc": body["cancelReason"]}))
            self._store.put(KIND, parcel["waybillNo"], parcel, "cancelled")
        return parcel

    def find(self, waybill_no: str) -> Doc | None:
        return self._store.get(KIND, waybill_no)

    def all(self) -> list[Doc]:
        return self._store.all(KIND)

    def move(
        self, waybill_no: str, name: str, *, at: float | None = None, details: Doc | None = None, track: bool = True
    ) -> Doc:
        """An event happens: a named one moves the parcel, a bare operation code only appears in the track.

        Returns the event. `track=False` makes an event that only a callback will ever tell.
        """
        parcel = self.find(waybill_no)
        if parcel is None:
            raise ControlError(404, f"没有这个邮件：{waybill_no}")
        operation = OPERATIONS.get(name) or Operation(name, "其他", "其他状态", None)
        self._check_move(parcel, name, operation)
        event = self._entry(operation, self._now() if at is None else at, details or {})
        if track:
            parcel["track"].append(event)
            # The order of arrival is not the order of events: the latest event decides the state.
            if operation.state and at_of(event) >= max(at_of(one) for one in parcel["track"]):
                parcel["state"] = operation.state
            self._store.put(KIND, waybill_no, parcel, name)
        return {"waybillNo": waybill_no, **event}

    def _check_move(self, parcel: Doc, name: str, operation: Operation) -> None:
        if name not in OPERATIONS:
            if not re.fullmatch(r"[0-9A-Z_]{1,16}", name):
                raise ControlError(400, f"没有这个事件：{name}；可用 {'、'.join(OPERATIONS)} 或操作码")
            return
        if parcel["state"] in FINISHED:
            raise ControlError(409, f"邮件状态为{parcel['state']}，不会再有“{operation.name}”")
        if name in ("assign", "cancel") and parcel["state"] not in BEFORE_PICKUP:
            raise ControlError(409, "邮件已揽收")

    @staticmethod
    def _entry(operation: Operation, at: float, details: Doc) -> Doc:
        entry: dict[str, Any] = {
            "opCode": operation.code,
            "opName": operation.name,
            "opDesc": operation.text,
            "opTime": stamp(at),
            "opOrgCity": "酒泉市",
            "opOrgCode": "73520001",
            "opOrgName": "玉门市寄递事业部",
            "operatorName": "沙箱投递员",
            "deliverCode": "10" if operation.state == "SIGNED" else "",
            "attemptDeliveryCode": "4" if operation.state in ("PROBLEM", "REFUSED") else "",
        }
        return {**entry, **details}


def at_of(event: Doc) -> float:
    return read_stamp(event["opTime"]) or 0.0
