"""The EMS open platform on the wire: one endpoint, encrypted requests, plain answers, pushed track events."""

import base64
import json
import secrets
import string
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.callbacks import Callback
from sandbox.ems_control import ControlVerbs
from sandbox.ems_envelope import EnvelopeError, encode_outer, seal, unseal
from sandbox.ems_network import BEFORE_PICKUP, OPERATIONS, label_pdf, parse_address, postage_fen, yuan
from sandbox.ems_parcels import EmsError, Parcels, at_of, read_stamp, required, stamp
from sandbox.exchange import EXCHANGE
from sandbox.partner import Partner, Run
from sandbox.store import Doc

_COMMON = ("apiCode", "senderNo", "authorization", "msgType", "timeStamp", "version", "logitcsInterface")
_CALLBACK_PATH = "/api/v1/callbacks/courier/ems"
_MINUTE, _HOUR = 60, 3600
_REPEAT_GAPS_SECONDS = (30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, *([_HOUR] * 24))
_EMPTY_WORDS = "未查询到邮件信息"
_WORDS = {"OUT": "OUT_FOR_DELIVERY", "PROBLEM": "ATTEMPT_FAILED"}
_MEANINGS = {one.code: _WORDS.get(one.state, one.state) for one in OPERATIONS.values() if one.state} | {
    "457": "IN_TRANSIT",
    "711": "SIGNED",
    "747": "SIGNED",
}


class Ems(Partner):
    """The carrier, for one contract customer."""

    name, title, port_offset = "ems", "EMS 快递", 5
    default_config: ClassVar[Doc] = {
        "duplicate_order": "same",  # same | error
        "ret_body": "string",  # string | object: integrators report both
        "callback_format": "json",  # json | form
        "callback_suffix": "without",  # without | with | alternate
        "max_skew_s": 600,
        "out_of_range": ["肃北蒙古族自治县", "阿克塞哈萨克族自治县"],
        "empty_track": False,
    }
    # `ret_body`: null | empty | object | items, for the answers that integrators report.
    fault_effects = ("ret_body",)

    def setup(self) -> None:
        self.sender_no = self.keys.secret("ems_sender.no", 14, string.digits)
        self.authorization = self.keys.secret("ems_authorization.key", 32)
        self.sign_key = self.keys.text("ems_sign.key", lambda: base64.b64encode(secrets.token_bytes(16)).decode())
        self.parcels = Parcels(self.store, now=self.now_s, on_duplicate=lambda: str(self.config["duplicate_order"]))
        self._calls: dict[str, Callable[[Any], object]] = {
            "020003": self._order,
            "020006": self._cancel,
            "030005": self._range,
            "040001": self._track,
            "010004": self._label,
            "050001": self._actual_postage,
            "050005": self._estimate,
            "060001": self._parse_address,
        }
        for path in ("open", "test"):
            self.route("POST", f"/amp-prod-api/f/amp/api/{path}", self._serve, call="open")
        self.route("GET", "/labels/{no}.pdf", self._label_file, call="label")
        self.callbacks.on("event", self._push, ladder=_REPEAT_GAPS_SECONDS)
        ControlVerbs(self)

    def environment(self) -> dict[str, str]:
        return {
            "EMS_BASE_URL": self.url,
            "EMS_SENDER_NO": self.sender_no,
            "EMS_AUTHORIZATION": self.authorization,
            "EMS_SIGN_KEY": self.sign_key,
            # A contract's annex tells these; here they are what ems_network and ems_parcels made up or took over.
            "EMS_OPCODES": ",".join(f"{code}={word}" for code, word in _MEANINGS.items()),
            "EMS_REFUSED_CODES": "20001,20005",
            "EMS_DUPLICATE_CODES": "20002",
        }

    # -- the envelope ----------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            fields = self._fields(request, await request.read())
            code = fields["apiCode"]
            request[EXCHANGE].call = code
            body = self._open(fields["logitcsInterface"])
            number = _number_in(body)
            self.note(request, verdict="ok", number=number, content=body)
            work = self._calls.get(code)
            if work is None:
                raise EmsError("10009", f"未知的接口代码：{code}")
            effect = await self.fault(request, code, number)
            content = work(body)
        except EmsError as error:
            self.note(request, refused=error.code, verdict=request[EXCHANGE].facts.get("verdict") or error.message)
            return self.answer(self._envelope(error.code, error.message, None))
        message = "成功" if content is not None or code != "040001" else _EMPTY_WORDS
        return self.answer(self._envelope("00000", message, self._worded(content, effect.get("ret_body"))))

    def _fields(self, request: web.Request, raw: bytes) -> dict[str, str]:
        """The form; who is calling and when are checked before anything is decrypted."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise EmsError("10002", "Content-Type必须为application/x-www-form-urlencoded")
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError:
            raise EmsError("10002", "表单格式错误") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise EmsError("10002", "表单字段重复")
        for name in _COMMON:
            if not fields.get(name):
                raise EmsError("10001", f"缺少公共参数：{name}")
        if fields["version"] != "V1.0.0" or fields["msgType"] != "0":
            raise EmsError("10010", "version必须为V1.0.0，msgType必须为0")
        proven = secrets.compare_digest(fields["authorization"].encode(), self.authorization.encode())
        if fields["senderNo"] != self.sender_no or not proven:
            raise EmsError("10003", "协议客户号或授权码错误")
        at = read_stamp(fields["timeStamp"])
        if at is None or abs(self.now_s() - at) > float(self.config["max_skew_s"]):
            raise EmsError("10004", "timeStamp格式错误或与服务器时间相差过大")
        return fields

    def _open(self, envelope: str) -> Any:
        try:
            return json.loads(unseal(envelope, self.sign_key))
        except EnvelopeError as error:
            raise EmsError("10006", str(error)) from None
        except ValueError:
            raise EmsError("10008", "明文不是合法的JSON") from None

    def _envelope(self, code: str, message: str, body: object) -> Doc:
        return {
            "serialNo": secrets.token_hex(16),
            "retCode": code,
            "retMsg": message,
            "retDate": stamp(self.now_s()),
            "retBody": body,
        }

    def _worded(self, content: object, how: str | None) -> object:
        """retBody is a JSON text inside JSON, sometimes an object; a label is plain text."""
        if how in ("null", "empty"):
            return None if how == "null" else ""
        if content is None or isinstance(content, str):
            return content
        if how == "items":
            content = {"responseItems": [content]}
        if how == "object" or (how is None and self.config["ret_body"] == "object"):
            return content
        return json.dumps(content, ensure_ascii=False)

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        word = "99999" if code is None else str(code)
        return self.answer(self._envelope(word, "系统繁忙，请稍后重试", None), status=status)

    # -- the calls -------------------------------------------------------------------------------------------------

    def _order(self, body: Any) -> Doc:
        parcel = self.parcels.order(body)
        return {"waybillNo": parcel["waybillNo"], "logisticsOrderNo": parcel["logisticsOrderNo"]}

    def _cancel(self, body: Any) -> Doc:
        return {"waybillNo": self.parcels.cancel(body)["waybillNo"]}

    def _range(self, body: Any) -> Doc:
        """Can a courier come there? Only the county, the city or a magic word in the address decides."""
        doc = _object(body)
        required(doc, "address", "prov", "city", "county", "bizProductNo", "senderNo")
        if str(doc.get("type")) not in ("1", "2", "3"):
            raise EmsError("20001", "type只能是1、2、3")
        beyond = doc["county"] in self.config["out_of_range"] or doc["city"] in self.config["out_of_range"]
        return {"status": "1" if beyond or "超范围" in doc["address"] else "0"}

    def _track(self, body: Any) -> Doc | None:
        """00000 also for what the carrier does not know: then the body is empty, which is "unknown", not "no movement"."""
        doc = _object(body)
        required(doc, "waybillNo")
        if str(doc.get("direction")) != "0":
            raise EmsError("20001", "direction必须为0")
        parcel = self.parcels.find(doc["waybillNo"])
        events = [] if parcel is None else [e for e in parcel["track"] if at_of(e) <= self.now_s()]
        if not events or self.config["empty_track"]:
            return None
        items = [{"waybillNo": doc["waybillNo"], **event} for event in sorted(events, key=at_of)]
        return {"responseItems": items}

    def _label(self, body: Any) -> str:
        doc = _object(body)
        required(doc, "waybillNo")
        if str(doc.get("type")) != "129":
            raise EmsError("20001", "type必须为129")
        if self.parcels.find(doc["waybillNo"]) is None:
            raise EmsError("20003", "未找到该邮件")
        if str(doc.get("getURL", "")) == "1":
            return f"{self.url}/labels/{doc['waybillNo']}.pdf"
        return base64.b64encode(label_pdf(doc["waybillNo"])).decode()

    async def _label_file(self, request: web.Request) -> web.StreamResponse:
        if self.parcels.find(request.match_info["no"]) is None:
            raise web.HTTPNotFound
        return web.Response(body=label_pdf(request.match_info["no"]), content_type="application/pdf")

    def _actual_postage(self, body: Any) -> Doc:
        doc = _object(body)
        required(doc, "logisticsOrderNo", "waybillNo")
        parcel = self.parcels.find(doc["waybillNo"])
        if parcel is None or parcel["logisticsOrderNo"] != doc["logisticsOrderNo"]:
            raise EmsError("20003", "未找到该订单")
        if parcel["state"] in (*BEFORE_PICKUP, "CANCELLED"):
            raise EmsError("20006", "邮件尚未计费")
        order = parcel["order"]
        weight_g = sum(int(cargo["cargoWeight"]) for cargo in order["cargos"])
        fen = postage_fen(_whole(order["sender"]), _whole(order["receiver"]), weight_g)
        if fen is None:
            raise EmsError("20005", "地址无法识别")
        return {"postageTotal": yuan(fen), "realWeight": str(weight_g)}

    def _estimate(self, body: Any) -> Doc:
        doc = _object(body)
        required(doc, "productCode", "weight", "senderInfo", "receiveInfo")
        if not (doc["weight"].isascii() and doc["weight"].isdigit() and 0 < int(doc["weight"]) <= 100_000):
            raise EmsError("20001", "weight必须是克数（文本）")
        if len(doc["productCode"]) != 15 or not doc["productCode"].isdigit():
            raise EmsError("20001", "productCode必须是15位数字")
        fen = postage_fen(doc["senderInfo"], doc["receiveInfo"], int(doc["weight"]))
        if fen is None:
            raise EmsError("20005", "地址无法识别")
        return {"totalFee": yuan(fen), "realFee": yuan(fen), "standardFee": yuan(fen)}

    def _parse_address(self, body: Any) -> list[Doc]:
        if not isinstance(body, list) or not body:
            raise EmsError("20001", "报文必须是数组")
        found = []
        for one in body:
            doc = _object(one)
            required(doc, "wholeAddress")
            found.append({"wholeAddress": doc["wholeAddress"], **parse_address(doc["wholeAddress"])})
        return found

    # -- pushed events (040002) ------------------------------------------------------------------------------------

    def queue_event(
        self, event: Doc, *, copies: int = 1, delay_s: float = 0, suffix: bool | None = None, serial: str | None = None
    ) -> str:
        """Push one event, `copies` times under one serial number; call it inside the transaction of the event."""
        if suffix is None:
            wish = self.config["callback_suffix"]
            suffix = wish == "with" or (wish == "alternate" and self.store.next_number("push") % 2 == 0)
        serial = serial or secrets.token_hex(16)
        for _ in range(copies):
            payload = {"event": event, "suffix": suffix, "serialNo": serial}
            self.callbacks.later("event", payload, after_s=delay_s, scaled=False)
        return serial

    async def _push(self, callback: Callback) -> bool:
        """Done only when the product answers 00000 for this serial number."""
        payload = callback.payload
        text = json.dumps(payload["event"], ensure_ascii=False, separators=(",", ":"))
        outer = {
            "logitcsInterface": seal(text, self.sign_key, suffix=bool(payload["suffix"])),
            "method": "040002",
            "msgType": "0",
            "senderNo": self.sender_no,
            "serialNo": payload["serialNo"],
            "timeStamp": stamp(self.now_s()),
            "version": "V1.0.0",
        }
        headers, body = encode_outer(outer, str(self.config["callback_format"]))
        sent = await self.post(self.notify_url(_CALLBACK_PATH), headers=headers, body=body, timeout_s=10)
        done = sent.status == 200 and _acknowledges(sent.body, payload["serialNo"])
        record = {"at": self.now_s(), "acknowledged": done, **sent.view()}
        key = f"{callback.id:08d}"
        push = self.store.get("push", key) or {"waybillNo": payload["event"].get("waybillNo"), **payload, "tries": []}
        push["tries"].append(record)
        self.store.put("push", key, push, "acknowledged" if done else "refused")
        return done


def _acknowledges(body: bytes, serial: str) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("code") == "00000" and answer.get("serialNo") == serial


def _object(body: Any) -> Doc:
    if not isinstance(body, dict):
        raise EmsError("20001", "报文必须是对象")
    return body


def _whole(party: Doc) -> str:
    return "".join(party[name] for name in ("prov", "city", "county", "address"))


def _number_in(body: Any) -> str | None:
    """The order or waybill number a request is about, for faults and the log."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return None
    found = first.get("logisticsOrderNo") or first.get("waybillNo")
    return found if isinstance(found, str) else None


def build(run: Run) -> Ems:
    """Called by the sandbox program."""
    return Ems(run)
