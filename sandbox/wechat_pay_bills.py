"""Bill requests and downloads of the WeChat Pay sandbox, and the verb that spoils the next statement; no file format."""

import base64
import gzip
import hashlib
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.wechat_pay_errors import PayError
from sandbox.wechat_pay_signing import random_text
from sandbox.wechat_pay_statement import (
    FLOW_COLUMNS,
    Row,
    columns,
    flow_rows,
    flow_summary,
    payment_row,
    refund_row,
    render,
    trade_summary,
)
from sandbox.wechat_pay_times import china_digits

if TYPE_CHECKING:
    from sandbox.wechat_pay import WechatPay

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_DOWNLOAD_SECONDS = 300
_NEW_COLUMN_AT = 9  # in the middle, where a reader by position is wrong about every sum after it
_WISHES = ("ready", "drop", "add", "change", "hash", "truncate", "extra_column", "summary", "flow")
_TRADE_TYPES = {"jsapi": "JSAPI", "h5": "MWEB"}


class Bills:
    """Registers the bill endpoints and `POST /_control/statements/{day}`."""

    def __init__(self, partner: "WechatPay") -> None:
        self._partner = partner
        partner.route("GET", "/v3/bill/tradebill", self._trade, call="bill")
        partner.route("GET", "/v3/bill/fundflowbill", self._flow, call="bill")
        partner.route("GET", "/v3/billdownload/file", self._download, call="download")
        partner.control("POST", "/statements/{day}", self._wish)

    async def _trade(self, request: web.Request) -> web.StreamResponse:
        def make(_: bytes, __: str) -> Doc:
            kind = request.query.get("bill_type", "ALL")
            if kind not in ("ALL", "SUCCESS", "REFUND"):
                raise PayError("PARAM_ERROR", "账单类型错误")
            day, wish = self._ready(request)
            rows = [row for row in self._rows(day, wish) if kind in ("ALL", row["交易状态"])]
            names, summary = columns(kind), trade_summary(rows)
            return self._offer(request, wish, names, rows, summary)

        return await self._partner.serve(request, request.query.get("bill_date"), make)

    async def _flow(self, request: web.Request) -> web.StreamResponse:
        def make(_: bytes, __: str) -> Doc:
            account = request.query.get("account_type", "BASIC")
            if account not in ("BASIC", "OPERATION", "FEES"):
                raise PayError("PARAM_ERROR", "资金账户类型错误")
            day, wish = self._ready(request)
            rows = _moved(flow_rows(self._rows(day, wish)), wish.get("flow") or {}) if account == "BASIC" else []
            if not rows:
                raise PayError("NO_STATEMENT_EXIST")
            return self._offer(request, {**wish, "flow": None}, FLOW_COLUMNS, rows, flow_summary(rows))

        return await self._partner.serve(request, request.query.get("bill_date"), make)

    def _ready(self, request: web.Request) -> tuple[str, Doc]:
        """The day that is asked for, and what the next statement of it should look like."""
        day = request.query.get("bill_date", "")
        if _DAY.fullmatch(day) is None:
            raise PayError("PARAM_ERROR", "账单日期格式错误")
        if request.query.get("tar_type") not in (None, "GZIP"):
            raise PayError("PARAM_ERROR", "压缩类型错误")
        wish = self._partner.store.get("statement", day) or {}
        now = self._partner.now_s()
        if wish.get("ready") == "creating":
            raise PayError("STATEMENT_CREATING")
        if wish.get("ready") == "none":
            raise PayError("NO_STATEMENT_EXIST")
        if wish.get("ready") is not True:
            if day >= china_digits(now, "%Y-%m-%d"):
                raise PayError("INVALID_REQUEST", "只能下载昨天及以前的账单")
            if day == china_digits(now - 86400, "%Y-%m-%d") and china_digits(now, "%H") < "09":
                raise PayError("STATEMENT_CREATING")
            if day < china_digits(now - 92 * 86400, "%Y-%m-%d"):
                raise PayError("INVALID_REQUEST", "只能下载三个月以内的账单")
        return day, wish

    def _rows(self, day: str, wish: Doc) -> list[Row]:
        """The day's rows in order of time, after what the wish drops, changes and adds."""
        partner, found = self._partner, []
        rate = int(partner.config["fee_per_10000"])
        for order in partner.orders.all():
            if order["payment"] is not None and china_digits(order["payment"]["at"], "%Y-%m-%d") == day:
                found.append(payment_row(order, _TRADE_TYPES[order["product"]], rate))
        for refund in partner.refunds.all():
            paid = partner.orders.find(refund["out_trade_no"])
            if paid is not None and china_digits(refund["created_at"], "%Y-%m-%d") == day:
                found.append(refund_row(refund, paid, _TRADE_TYPES[paid["product"]], rate))
        found.sort(key=lambda row: row["交易时间"])
        changes = wish.get("change") or {}
        kept = [{**row, **changes.get(_key(row), {})} for row in found if _key(row) not in (wish.get("drop") or [])]
        blank = dict.fromkeys(columns("ALL"), "")
        kept += [{**blank, "交易状态": "SUCCESS", **row} for row in wish.get("add") or []]
        if wish.get("extra_column"):
            kept = [{**row, str(wish["extra_column"]): "0"} for row in kept]
        if not kept:
            raise PayError("NO_STATEMENT_EXIST")
        return kept

    def _offer(self, request: web.Request, wish: Doc, names: tuple[str, ...], rows: list[Row], summary: Row) -> Doc:
        """Keep the file for five minutes and answer where it is. The hash is over the plain bytes, also for GZIP."""
        partner = self._partner
        if wish.get("extra_column"):
            names = (*names[:_NEW_COLUMN_AT], str(wish["extra_column"]), *names[_NEW_COLUMN_AT:])
        if wish.get("summary") == "wrong":
            summary = {**summary, next(iter(summary)): "0.0"}
        plain = render(names, rows, None if wish.get("truncate") else summary)
        digest = hashlib.sha1(plain, usedforsecurity=False).hexdigest()
        token = random_text(64)
        sent = gzip.compress(plain) if request.query.get("tar_type") == "GZIP" else plain
        kept = {"at": partner.now_s(), "content": base64.b64encode(sent).decode()}
        with partner.store.transaction():
            partner.store.put("bill", token, kept)
            # The wish was for the next fetch only; that a day is ready stays true, and so does what is wished of the other file.
            if wish:
                rest = {"ready": wish.get("ready", True), "flow": wish.get("flow")}
                partner.store.put("statement", request.query["bill_date"], rest)
        return {
            "hash_type": "SHA1",
            "hash_value": "0" * 40 if wish.get("hash") == "wrong" else digest,
            "download_url": f"{partner.url}/v3/billdownload/file?token={token}",
        }

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Needs a good signature like every call, but its answer carries none."""
        partner = self._partner
        raw = await request.read()
        try:
            nonce = partner.authenticate(request, raw)
            partner.note(request, verdict="ok", nonce=nonce)
            await partner.fault(request)
            bill = partner.store.get("bill", request.query.get("token", ""))
            if bill is None or partner.now_s() > bill["at"] + _DOWNLOAD_SECONDS:
                raise PayError("INVALID_REQUEST", "下载地址已失效，请重新申请账单")
        except PayError as error:
            partner.note(request, refused=error.code)
            return web.Response(body=error.body(), status=error.status, content_type="application/json")
        return web.Response(body=base64.b64decode(bill["content"]), content_type="application/octet-stream")

    async def _wish(self, request: web.Request) -> Doc:
        wish, day = await self._partner.json(request), request.match_info["day"]
        unknown = [name for name in wish if name not in _WISHES]
        if unknown or _DAY.fullmatch(day) is None:
            raise ControlError(400, f"日期须为 yyyy-MM-dd；可用参数：{'、'.join(_WISHES)}")
        if wish.get("ready", True) not in (True, "creating", "none"):
            raise ControlError(400, "ready 只能是 true、creating 或 none")
        shapes: dict[str, type[Any]] = {"drop": list, "add": list, "change": dict, "flow": dict}
        if any(not isinstance(wish.get(name, shape()), shape) for name, shape in shapes.items()):
            raise ControlError(400, "drop、add 必须是数组，change、flow 必须是对象")
        wish.setdefault("ready", True)
        self._partner.store.put("statement", day, wish)
        return {"day": day, **wish}


def _key(row: Row) -> str:
    """A refund row is known by its refund number, a payment row by its order number."""
    return row["商户退款单号"] if row["交易状态"] == "REFUND" else row["商户订单号"]


def _moved(rows: list[Row], wish: Doc) -> list[Row]:
    """The movements after what the wish drops, changes and adds; one is known by its voucher and kind: `number:交易`."""
    changes, dropped = wish.get("change") or {}, wish.get("drop") or []
    keyed = [(f"{row['业务凭证号']}:{row['业务类型']}", row) for row in rows]
    kept = [{**row, **changes.get(key, {})} for key, row in keyed if key not in dropped]
    return kept + [{**dict.fromkeys(FLOW_COLUMNS, ""), **row} for row in wish.get("add") or []]
