"""Trades of the Alipay sandbox: created, asked for, closed, paid; refunds live in `alipay_refunds`."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.alipay_errors import bad_field, refused
from sandbox.alipay_times import (
    REFUND_AGE_SECONDS,
    TRADE_LIFE_SECONDS,
    digits,
    fen_of,
    life,
    parse_stamp,
    stamp,
    timeout_seconds,
    yuan,
)
from sandbox.control import ControlError
from sandbox.store import Doc, Store

KIND = "trade"
PAID = ("TRADE_SUCCESS", "TRADE_FINISHED")
# Integrators have met all three words for "this trade cannot be closed".
_CLOSE_REFUSALS = {
    "TRADE_SUCCESS": "ACQ.TRADE_STATUS_ERROR",
    "TRADE_FINISHED": "ACQ.REASON_TRADE_STATUS_INVALID",
    "TRADE_CLOSED": "ACQ.REASON_ILLEGAL_STATUS",
}
_USUAL_BUYER = "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One authenticated request for a trade: the method, its `biz_content` and what else must be remembered."""

    method: str
    content: Doc
    app_id: str
    notify_url: str | None = None
    return_url: str | None = None
    charset: str = "utf-8"


class Trades:
    """All trades of the one merchant."""

    def __init__(
        self, store: Store, *, seller_id: Callable[[], str], now: Callable[[], float], time_scale: Callable[[], float]
    ) -> None:
        self._store = store
        self._seller_id = seller_id
        self._now = now
        self._scale = time_scale

    def place(self, asked: Asked) -> Doc:
        """A new trade, or the same one again: an identical repeat is welcome, a difference is not."""
        content, number = asked.content, str(asked.content["out_trade_no"])
        seller = self._seller_id()
        if content.get("buyer_id") == seller:
            raise refused("ACQ.BUYER_SELLER_EQUAL")
        if content.get("seller_id") not in (None, seller):
            raise bad_field("seller_id", "不是签约的收款账号")
        trade = self.find(number)
        if trade is None:
            trade = self._new(asked)
        elif trade["status"] in PAID:
            raise refused("ACQ.TRADE_HAS_SUCCESS")
        elif trade["status"] == "TRADE_CLOSED":
            raise refused("ACQ.TRADE_HAS_CLOSE")
        elif trade["method"] != asked.method or trade["request"] != content:
            raise refused("ACQ.CONTEXT_INCONSISTENT")
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        trade["asked"].append({"at": self._now(), "content_sha256": hashlib.sha256(text.encode()).hexdigest()})
        self._store.put(KIND, number, trade, "placed" if len(trade["asked"]) == 1 else "placed_again")
        return trade

    def _new(self, asked: Asked) -> Doc:
        now, content = self._now(), asked.content
        serial = self._store.next_number("trade")
        trade_no = f"{stamp(now, '%Y%m%d')}2200{digits(6)}{serial:010d}"
        self._store.put("trade_no", trade_no, {"out_trade_no": content["out_trade_no"]})
        return {
            "out_trade_no": content["out_trade_no"],
            "trade_no": trade_no,
            "method": asked.method,
            "request": content,
            "app_id": asked.app_id,
            "notify_url": asked.notify_url,
            "return_url": asked.return_url,
            "charset": asked.charset,
            "status": "WAIT_BUYER_PAY",
            "created_at": now,
            "expires_at": self._expiry(content, now),
            "amount_fen": fen_of(content["total_amount"]),
            "asked": [],
            "failed_tries": [],
            "payment": None,
            "closed_at": None,
        }

    def _expiry(self, content: Doc, now: float) -> float:
        """`time_expire` wins over `timeout_express`; without either a trade lives 15 days."""
        if "time_expire" in content:
            expires = parse_stamp(content["time_expire"]) or 0.0
            if expires <= now:
                raise refused("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
            if expires > now + TRADE_LIFE_SECONDS:
                raise bad_field("time_expire", "不能晚于15天之后")
            return expires
        if "timeout_express" in content:
            seconds = timeout_seconds(content["timeout_express"], now)
            if seconds is None:
                raise bad_field("timeout_express", "取值范围为1m到15d或1c，不接受小数")
            return now + life(seconds, self._scale())
        return now + life(TRADE_LIFE_SECONDS, self._scale())

    def find(self, number: str) -> Doc | None:
        """The trade as it is now: closed when nobody paid in time, final when it can no longer be refunded."""
        trade = self._store.get(KIND, number)
        if trade is None:
            return None
        if trade["status"] == "WAIT_BUYER_PAY" and self._now() > trade["expires_at"]:
            self._close(trade, "timed_out")
        elif trade["status"] == "TRADE_SUCCESS" and self._now() > trade["payment"]["at"] + REFUND_AGE_SECONDS:
            trade["status"] = "TRADE_FINISHED"
            self._store.put(KIND, number, trade, "finished")
        return trade

    def all(self) -> list[Doc]:
        """Every trade, oldest first."""
        return [trade for number, _ in self._store.items(KIND) if (trade := self.find(number)) is not None]

    def of(self, content: Doc) -> Doc:
        """The trade that `trade_no` or else `out_trade_no` names; if both are given, `trade_no` wins."""
        number = content.get("out_trade_no")
        if content.get("trade_no"):
            known = self._store.get("trade_no", str(content["trade_no"]))
            number = known["out_trade_no"] if known else None
        trade = self.find(str(number)) if number else None
        if trade is None:
            raise refused("ACQ.TRADE_NOT_EXIST")
        return trade

    def close_by_merchant(self, content: Doc) -> Doc:
        """Only a trade that waits for its buyer can be closed."""
        trade = self.of(content)
        if trade["status"] != "WAIT_BUYER_PAY":
            raise refused(_CLOSE_REFUSALS[trade["status"]])
        self._close(trade, "closed_by_merchant")
        return trade

    def close_by_partner(self, number: str) -> Doc:
        """The partner's own time-out, played by hand."""
        trade = self.existing(number)
        if trade["status"] in PAID:
            raise ControlError(409, "交易已支付，不能关闭")
        if trade["status"] == "WAIT_BUYER_PAY":
            self._close(trade, "timed_out")
        return trade

    def close_refunded(self, trade: Doc) -> None:
        """A full refund closes the trade; its payment date stays."""
        self._close(trade, "refunded_fully")

    def _close(self, trade: Doc, event: str) -> None:
        trade["status"], trade["closed_at"] = "TRADE_CLOSED", self._now()
        self._store.put(KIND, trade["out_trade_no"], trade, event)

    def finish(self, number: str) -> Doc:
        """The time for refunds is over, played by hand."""
        trade = self.existing(number)
        if trade["status"] != "TRADE_SUCCESS":
            raise ControlError(409, f"交易状态为{trade['status']}，不能变为TRADE_FINISHED")
        trade["status"] = "TRADE_FINISHED"
        self._store.put(KIND, number, trade, "finished")
        return trade

    def fail_try(self, number: str, reason: str) -> Doc:
        """The payer's bank refused or the payer gave up: the trade stays unpaid and may be paid later."""
        trade = self.existing(number)
        if trade["status"] != "WAIT_BUYER_PAY":
            raise ControlError(409, f"交易状态为{trade['status']}，不会再有支付尝试")
        trade["failed_tries"].append({"at": self._now(), "reason": reason})
        self._store.put(KIND, number, trade, "try_failed")
        return trade

    def pay(
        self,
        number: str,
        *,
        payer: str | None = None,
        at: float | None = None,
        amount_fen: int | None = None,
        discount_fen: int = 0,
        finished: bool = False,
        force: bool = False,
    ) -> Doc:
        """The payer pays now. `force` lets money arrive where it should not: on a closed or an expired trade."""
        trade = self.existing(number)
        if trade["payment"] is not None:
            raise ControlError(409, "交易已支付，同一笔交易不会收两次钱；要模拟重复缴费请再发起一笔")
        if not force and trade["status"] != "WAIT_BUYER_PAY":
            raise ControlError(409, "交易已关闭或已过期，不能支付")
        total = trade["amount_fen"] if amount_fen is None else amount_fen
        if total < 1 or not 0 <= discount_fen < total:
            raise ControlError(409, "金额必须是正整数分，优惠必须小于金额")
        request = trade["request"]
        trade["status"], trade["closed_at"] = "TRADE_FINISHED" if finished else "TRADE_SUCCESS", None
        trade["payment"] = {
            "at": self._now() if at is None else at,
            "buyer": payer or request.get("buyer_id") or request.get("buyer_open_id") or _USUAL_BUYER,
            "total_fen": total,
            "discount_fen": discount_fen,
        }
        self._store.put(KIND, number, trade, "paid")
        return trade

    def existing(self, number: str) -> Doc:
        """The trade of a control request. Raises ControlError 404."""
        trade = self.find(number)
        if trade is None:
            raise ControlError(404, f"没有这笔交易：{number}（手机网站支付在打开收银台之后才有交易）")
        return trade


def total_fen(trade: Doc) -> int:
    """What the trade is about: the amount really paid once it is paid."""
    payment = trade["payment"]
    return int(trade["amount_fen"] if payment is None else payment["total_fen"])


def buyer(trade: Doc) -> dict[str, str]:
    """How a buyer is named: by the old user number or, for newer applications, by an open id."""
    payment, request = trade["payment"], trade["request"]
    found = payment["buyer"] if payment else request.get("buyer_id") or request.get("buyer_open_id")
    if not found:
        return {}
    return {"buyer_user_id" if str(found).startswith("2088") else "buyer_open_id": str(found)}


def fund_bills(trade: Doc) -> list[dict[str, str]]:
    """Where the money came from."""
    payment = trade["payment"]
    if payment is None:
        return []
    bills = [{"amount": yuan(payment["total_fen"] - payment["discount_fen"]), "fund_channel": "ALIPAYACCOUNT"}]
    if payment["discount_fen"]:
        bills.append({"amount": yuan(payment["discount_fen"]), "fund_channel": "MCOUPON"})
    return bills


def query_view(trade: Doc, options: list[str]) -> Doc:
    """The business fields of `alipay.trade.query`."""
    payment = trade["payment"]
    discount = payment["discount_fen"] if payment else 0
    paid = total_fen(trade) - discount if payment else 0
    shown: dict[str, Any] = {
        "trade_no": trade["trade_no"],
        "out_trade_no": trade["out_trade_no"],
        "buyer_logon_id": "159****5620",
        "trade_status": trade["status"],
        "total_amount": yuan(total_fen(trade)),
        "receipt_amount": yuan(paid),
        "buyer_pay_amount": yuan(paid),
        "point_amount": "0.00",
        "invoice_amount": yuan(paid),
        **buyer(trade),
    }
    if payment is not None:
        shown["send_pay_date"] = stamp(payment["at"])
        if "fund_bill_list" in options:
            shown["fund_bill_list"] = fund_bills(trade)
    return shown
