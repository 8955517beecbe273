"""Bill requests and downloads of the Alipay sandbox, and the verb that spoils the next statement; no file format."""

import base64
import re
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.alipay_errors import refused
from sandbox.alipay_statement import (
    TRADE_COLUMNS,
    Row,
    account_file,
    payment_row,
    refund_row,
    row_key,
    trade_file,
    zipped,
)
from sandbox.alipay_times import BILL_URL_SECONDS, stamp
from sandbox.control import ControlError
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.alipay import Alipay

_DAY = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]")
_KINDS = ("trade", "signcustomer")
_WISHES = ("ready", "drop", "add", "change", "truncate", "summary", "extra_column", "drop_column", "not_zip")
_OLDEST_DAYS = 6 * 365


class Bills:
    """Registers the download and `POST /_control/statements/{day}`; the address comes from a gateway call."""

    def __init__(self, partner: "Alipay") -> None:
        self._partner = partner
        partner.route("GET", "/bill/download", self._download, call="bill_download")
        partner.control("POST", "/statements/{day}", self._wish)

    def offer(self, content: Doc) -> Doc:
        """The business fields of the bill call: where the file is for the next 30 seconds. Raises AlipayError."""
        partner, kind, day = self._partner, content["bill_type"], content["bill_date"]
        if kind not in _KINDS:
            raise refused("TYPE_NOT_SUPPORTED")
        wish = partner.store.get("statement", day) or {}
        self._check_ready(day, wish)
        rows = self._rows(day, wish)
        if not rows and partner.config["empty_bill"] == "error":
            raise refused("NO_BILL_DATA")
        seller = partner.setting("seller_id")
        made = trade_file if kind == "trade" else account_file
        files = made(rows, day=day, seller_id=seller, now=partner.now_s(), wish=wish)
        data = b"<html><body>error</body></html>" if wish.get("not_zip") else zipped(files)
        token = secrets.token_urlsafe(32)
        with partner.store.transaction():
            partner.store.put("bill", token, {"at": partner.now_s(), "content": base64.b64encode(data).decode()})
            # The wish was for the next fetch only; that a day is ready stays true.
            if wish:
                partner.store.put("statement", day, {"ready": wish.get("ready", True)})
        shown = {"bill_download_url": f"{partner.url}/bill/download?token={token}&downloadFileName={seller}.zip"}
        return shown if rows else {**shown, "bill_file_code": "EMPTY_DATA_WITH_BILL_FILE"}

    def _check_ready(self, day: str, wish: Doc) -> None:
        now = self._partner.now_s()
        if wish.get("ready") == "creating":
            raise refused("BILL_NOT_EXIST")
        if wish.get("ready") == "none":
            raise refused("NO_BILL_DATA")
        if wish.get("ready") is True:
            return
        current, yesterday = (stamp(now, "%Y-%m-%d")[: len(day)], stamp(now - 86400, "%Y-%m-%d"))
        if day >= current:
            raise refused("INVAILID_ARGUMENTS", "不能下载当日（当月）及以后的账单")
        if day == yesterday and stamp(now, "%H") < "09":
            raise refused("BILL_NOT_EXIST", "账单尚未生成")
        if day < stamp(now - _OLDEST_DAYS * 86400, "%Y-%m-%d")[: len(day)]:
            raise refused("BILL_DATE_BEFORE_REGISTRATION")

    def _rows(self, day: str, wish: Doc) -> list[Row]:
        """The rows of a day (or of a month) in order of time, after what the wish drops, changes and adds."""
        partner, found = self._partner, []
        rate, negative = int(partner.config["fee_per_10000"]), partner.config["refund_sign"] == "negative"
        for trade in partner.trades.all():
            if trade["payment"] is not None and _in(trade["payment"]["at"], day):
                found.append(payment_row(trade, rate))
        for refund in partner.refunds.all():
            if refund["status"] == "SUCCESS" and _in(refund["finished_at"], day):
                trade = partner.trades.existing(refund["out_trade_no"])
                found.append(refund_row(refund, trade, rate, negative=negative))
        found.sort(key=lambda row: row["完成时间"])
        changes, dropped = wish.get("change") or {}, wish.get("drop") or []
        kept = [{**row, **changes.get(row_key(row), {})} for row in found if row_key(row) not in dropped]
        blank = dict.fromkeys(TRADE_COLUMNS, "")
        return kept + [{**blank, "业务类型": "交易", **row} for row in wish.get("add") or []]

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """No signature: whoever has the address has the file, for 30 seconds."""
        partner = self._partner
        partner.note(request, verdict="none")
        await partner.fault(request)
        bill = partner.store.get("bill", request.query.get("token", ""))
        if bill is None or partner.now_s() > bill["at"] + BILL_URL_SECONDS:
            return web.Response(status=404, text="<html><body>文件已失效</body></html>", content_type="text/html")
        return web.Response(body=base64.b64decode(bill["content"]), content_type="application/zip")

    async def _wish(self, request: web.Request) -> Doc:
        wish, day = await self._partner.json(request), request.match_info["day"]
        unknown = [name for name in wish if name not in _WISHES]
        if unknown or _DAY.fullmatch(day) is None:
            raise ControlError(400, f"日期须为 yyyy-MM-dd；可用参数：{'、'.join(_WISHES)}")
        if wish.get("ready", True) not in (True, "creating", "none"):
            raise ControlError(400, "ready 只能是 true、creating 或 none")
        shapes: dict[str, type[Any]] = {"drop": list, "add": list, "change": dict}
        if any(not isinstance(wish.get(name, shape()), shape) for name, shape in shapes.items()):
            raise ControlError(400, "drop、add 必须是数组，change 必须是对象")
        wish.setdefault("ready", True)
        self._partner.store.put("statement", day, wish)
        return {"day": day, **wish}


def _in(at: float, day: str) -> bool:
    return stamp(at, "%Y-%m-%d").startswith(day)
