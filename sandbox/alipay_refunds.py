"""Refunds of the Alipay sandbox: done at once or later, replayed, asked for; the money limits of a trade are kept here."""

from collections.abc import Callable
from typing import Any

from sandbox.alipay_errors import AlipayError, bad_field, refused
from sandbox.alipay_times import REFUND_GAP_SECONDS, fen_of, stamp, yuan
from sandbox.alipay_trades import Trades, buyer, total_fen
from sandbox.control import ControlError
from sandbox.store import Doc, Store

KIND = "refund"


class Refunds:
    """All refunds of the one merchant, known by trade and `out_request_no`."""

    def __init__(
        self,
        store: Store,
        trades: Trades,
        *,
        now: Callable[[], float],
        time_scale: Callable[[], float],
        setting: Callable[[str], Any],
    ) -> None:
        self._store = store
        self._trades = trades
        self._now = now
        self._scale = time_scale
        self._setting = setting

    def ask(self, content: Doc) -> tuple[Doc, Doc, bool]:
        """The trade, the refund, and whether money moved just now: the same number refunds once."""
        trade = self._trades.of(content)
        amount = fen_of(content["refund_amount"]) or 0
        number = content.get("out_request_no")
        if number is None:
            if amount != total_fen(trade):
                raise bad_field("out_request_no", "部分退款时必传")
            number = trade["out_trade_no"]
        known = self._store.get(KIND, _key(trade, str(number)))
        if known is not None and known["refund_fen"] != amount:
            raise refused("ACQ.DISCORDANT_REPEAT_REQUEST")
        if known is not None and known["status"] != "CLOSED":
            known["asked"].append({"at": self._now()})
            self._store.put(KIND, _key(trade, str(number)), known, "asked_again")
            return trade, known, False
        self._check_state(trade)
        self._check_limits(trade, amount)
        refund = known or {
            "out_request_no": number,
            "out_trade_no": trade["out_trade_no"],
            "trade_no": trade["trade_no"],
            "refund_fen": amount,
            "total_fen": total_fen(trade),
            "asked": [],
        }
        refund |= {"request": content, "status": "PROCESSING", "created_at": self._now(), "finished_at": None}
        refund["asked"].append({"at": self._now()})
        with self._store.transaction():
            self._store.put(KIND, _key(trade, str(number)), refund, "accepted")
            if self._setting("refund_outcome") == "pending":
                return trade, refund, False
            refund, trade = self._finish(refund, "SUCCESS")
        return trade, refund, True

    def _check_state(self, trade: Doc) -> None:
        if trade["status"] == "WAIT_BUYER_PAY":
            raise refused("ACQ.TRADE_STATUS_ERROR")
        if trade["status"] == "TRADE_FINISHED":
            raise refused("ACQ.TRADE_HAS_FINISHED")
        if trade["status"] == "TRADE_CLOSED":
            raise refused("ACQ.TRADE_HAS_CLOSE")

    def _check_limits(self, trade: Doc, amount: int) -> None:
        earlier = [refund for refund in self.of_trade(trade["out_trade_no"]) if refund["status"] != "CLOSED"]
        if sum(refund["refund_fen"] for refund in earlier) + amount > total_fen(trade):
            raise refused("ACQ.REASON_TRADE_REFUND_FEE_ERR")
        last = max((refund["created_at"] for refund in earlier), default=None)
        if last is not None and self._now() < last + REFUND_GAP_SECONDS * self._scale():
            # The rule is documented, its code is not: too early is answered like too often, and can be repeated.
            raise AlipayError("40005", "isv.method-call-limited", "同一笔交易的两次退款须间隔3秒")
        balance = self._setting("balance_fen")
        if balance is not None and amount > balance:
            raise refused("ACQ.SELLER_BALANCE_NOT_ENOUGH")

    def finish(self, number: str, status: str) -> tuple[Doc, Doc]:
        """The outcome of a refund under way, decided by a test or a person: (trade, refund)."""
        refund = self.existing(number)
        if status not in ("SUCCESS", "CLOSED"):
            raise ControlError(400, "退款结果只能是 SUCCESS 或 CLOSED")
        if refund["status"] != "PROCESSING":
            raise ControlError(409, f"退款状态为{refund['status']}，不能变为{status}")
        refund, trade = self._finish(refund, status)
        return trade, refund

    def _finish(self, refund: Doc, status: str) -> tuple[Doc, Doc]:
        refund["status"], refund["finished_at"] = status, self._now()
        trade = self._trades.existing(refund["out_trade_no"])
        with self._store.transaction():
            self._store.put(KIND, _key(trade, refund["out_request_no"]), refund, status.lower())
            if trade["status"] == "TRADE_SUCCESS" and self.refunded_fen(trade) >= total_fen(trade):
                self._trades.close_refunded(trade)
        return refund, trade

    def refunded_fen(self, trade: Doc) -> int:
        """The trade's cumulative refunds."""
        return sum(r["refund_fen"] for r in self.of_trade(trade["out_trade_no"]) if r["status"] == "SUCCESS")

    def all(self) -> list[Doc]:
        """Every refund, oldest first."""
        return self._store.all(KIND)

    def of_trade(self, number: str) -> list[Doc]:
        """The refunds of one trade, oldest first."""
        return [refund for refund in self.all() if refund["out_trade_no"] == number]

    def existing(self, number: str) -> Doc:
        """The refund of a control request, by `out_request_no` or, when trades share one, `trade:request`."""
        found = [r for r in self.all() if number in (r["out_request_no"], f"{r['out_trade_no']}:{r['out_request_no']}")]
        if not found:
            raise ControlError(404, f"没有这笔退款：{number}")
        if len(found) > 1:
            raise ControlError(409, "几笔交易用了同一个退款请求号，请用“订单号:退款请求号”指明")
        return found[0]

    def history(self, refund: Doc) -> list[Doc]:
        """Every state the refund has been in."""
        return self._store.history(KIND, _key(refund, refund["out_request_no"]))

    def answer(self, trade: Doc, refund: Doc, *, moved: bool) -> Doc:
        """The business fields of `alipay.trade.refund`; `refund_fee` is cumulative for the trade."""
        shown: Doc = {
            "trade_no": trade["trade_no"],
            "out_trade_no": trade["out_trade_no"],
            "buyer_logon_id": "159****5620",
            "refund_fee": yuan(self.refunded_fen(trade)),
            "fund_change": "Y" if moved else "N",
            **buyer(trade),
        }
        if refund["status"] == "SUCCESS":
            shown["gmt_refund_pay"] = stamp(refund["finished_at"])
            if "refund_detail_item_list" in refund["request"].get("query_options", []):
                shown["refund_detail_item_list"] = _details(refund)
                shown["send_back_fee"] = yuan(refund["refund_fen"])
        return shown

    def query(self, content: Doc) -> Doc:
        """The business fields of the refund query: nothing at all unless this very refund is done."""
        trade = self._trades.of(content)
        refund = self._store.get(KIND, _key(trade, content["out_request_no"]))
        if refund is None or refund["status"] != "SUCCESS":
            return {}
        if self._now() < refund["finished_at"] + float(self._setting("refund_query_after_s")) * self._scale():
            return {}
        options = content.get("query_options", [])
        shown: Doc = {
            "trade_no": trade["trade_no"],
            "out_trade_no": trade["out_trade_no"],
            "out_request_no": refund["out_request_no"],
            "total_amount": yuan(refund["total_fen"]),
            "refund_amount": yuan(refund["refund_fen"]),
            "refund_status": "REFUND_SUCCESS",
        }
        if "refund_reason" in refund["request"]:
            shown["refund_reason"] = refund["request"]["refund_reason"]
        if "gmt_refund_pay" in options:
            shown["gmt_refund_pay"] = stamp(refund["finished_at"])
        if "refund_detail_item_list" in options:
            shown["refund_detail_item_list"] = _details(refund)
        return shown


def _key(trade: Doc, number: str) -> str:
    return f"{trade['out_trade_no']}:{number}"


def _details(refund: Doc) -> list[dict[str, str]]:
    return [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(refund["refund_fen"])}]
