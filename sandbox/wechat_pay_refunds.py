"""Refunds of the WeChat Pay sandbox: accepted, asked for, finished; the money limits of an order are kept here."""

import hashlib
from collections.abc import Callable
from typing import Any

from sandbox.control import ControlError
from sandbox.store import Doc, Store
from sandbox.wechat_pay_errors import PayError, bad_field
from sandbox.wechat_pay_fields import ABNORMAL_REFUND, REFUND, read_body
from sandbox.wechat_pay_orders import PAID, Orders
from sandbox.wechat_pay_signing import random_text
from sandbox.wechat_pay_times import MAX_REFUNDS, REFUND_AGE_SECONDS, REFUND_GAP_SECONDS, china_digits, rfc3339

KIND = "refund"
FINAL = ("SUCCESS", "CLOSED", "ABNORMAL")
_NEXT = {"PROCESSING": FINAL, "ABNORMAL": ("SUCCESS",)}


class Refunds:
    """All refunds of the one merchant."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        *,
        now: Callable[[], float],
        time_scale: Callable[[], float],
        balance_fen: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._orders = orders
        self._now = now
        self._scale = time_scale
        self._balance_fen = balance_fen

    def ask(self, raw: bytes, *, nonce: str) -> Doc:
        """A new refund, or the same one again: the same number refunds once."""
        body = read_body(raw)
        REFUND(body, "")
        number = str(body["out_refund_no"])
        known = self._store.get(KIND, number)
        trace = {"at": self._now(), "nonce": nonce, "body_sha256": hashlib.sha256(raw).hexdigest()}
        if known is not None:
            if known["request"]["amount"] != body["amount"]:
                raise PayError("REFUND_FEE_MISMATCH")
            if known["request"] != body:
                raise PayError("INVALID_REQUEST", "退款请求与首次请求的参数不一致", business=True)
            known["asked"].append(trace)
            self._store.put(KIND, number, known, "asked_again")
            return known
        order = self._order_of(body)
        self._check_limits(order, body)
        refund = self._new(order, body, trace)
        with self._store.transaction():
            self._store.put(KIND, number, refund, "accepted")
            self._orders.refunded(order["out_trade_no"])
        return refund

    def _order_of(self, body: Doc) -> Doc:
        if "transaction_id" not in body and "out_trade_no" not in body:
            raise bad_field("/transaction_id", None, "transaction_id和out_trade_no必须填写一个")
        order = None
        if "transaction_id" in body:
            order = self._orders.by_transaction(body["transaction_id"])
        elif "out_trade_no" in body:
            order = self._orders.find(body["out_trade_no"])
        # An unpaid order is answered like one that does not exist.
        if order is None or order["state"] not in PAID:
            raise PayError("RESOURCE_NOT_EXISTS", "订单不存在")
        if "out_trade_no" in body and body["out_trade_no"] != order["out_trade_no"]:
            raise PayError("INVALID_REQUEST", "订单号不匹配", business=True)
        return order

    def _check_limits(self, order: Doc, body: Doc) -> None:
        payment, amount, now = order["payment"], body["amount"], self._now()
        if amount["total"] != payment["total_fen"]:
            raise PayError("INVALID_REQUEST", "订单金额与原订单不一致", business=True)
        if now > payment["at"] + REFUND_AGE_SECONDS:
            raise PayError("TRADE_OVERDUE")
        earlier = [r for r in self.of_order(order["out_trade_no"]) if r["status"] != "CLOSED"]
        if sum(r["refund_fen"] for r in earlier) + amount["refund"] > payment["total_fen"]:
            raise PayError("INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试", business=True)
        if len(earlier) >= MAX_REFUNDS:
            raise PayError("INVALID_REQUEST", "部分退款次数已超过50次", business=True)
        if earlier and now < earlier[-1]["created_at"] + REFUND_GAP_SECONDS * self._scale():
            raise PayError("FREQUENCY_LIMITED", "同一笔订单的两次部分退款需间隔1分钟")
        balance = self._balance_fen()
        if balance is not None and amount["refund"] > balance:
            raise PayError("NOT_ENOUGH")

    def _new(self, order: Doc, body: Doc, trace: Doc) -> Doc:
        now, payment = self._now(), order["payment"]
        serial = self._store.next_number("refund")
        refund_fen = int(body["amount"]["refund"])
        refund_id = f"503000{random_text(4, '0123456789')}{china_digits(now, '%Y%m%d')}{serial:011d}"
        self._store.put("refund_id", refund_id, {"out_refund_no": body["out_refund_no"]})
        return {
            "out_refund_no": body["out_refund_no"],
            "out_trade_no": order["out_trade_no"],
            "transaction_id": payment["transaction_id"],
            "refund_id": refund_id,
            "request": body,
            "status": "PROCESSING",
            "created_at": now,
            "finished_at": None,
            "refund_fen": refund_fen,
            "total_fen": payment["total_fen"],
            "payer_total_fen": payment["payer_total_fen"],
            # A coupon comes back in proportion, rounded in favour of the payer's own money.
            "payer_refund_fen": -(-refund_fen * payment["payer_total_fen"] // payment["total_fen"]),
            "asked": [trace],
        }

    def find(self, number: str) -> Doc | None:
        return self._store.get(KIND, number)

    def all(self) -> list[Doc]:
        return self._store.all(KIND)

    def of_order(self, number: str) -> list[Doc]:
        return [refund for refund in self._store.all(KIND) if refund["out_trade_no"] == number]

    def query(self, number: str) -> Doc:
        refund = self.find(number)
        if refund is None:
            raise PayError("RESOURCE_NOT_EXISTS", "退款单不存在")
        return refund

    def finish(self, number: str, status: str) -> Doc:
        """The outcome, decided by a test, a person or the timer."""
        refund = self.find(number)
        if refund is None:
            raise ControlError(404, f"没有这笔退款：{number}")
        if status not in FINAL:
            raise ControlError(400, f"退款结果只能是{'、'.join(FINAL)}")
        if status not in _NEXT.get(refund["status"], ()):
            raise ControlError(409, f"退款状态为{refund['status']}，不能变为{status}")
        refund["status"], refund["finished_at"] = status, self._now()
        self._store.put(KIND, number, refund, status.lower())
        return refund

    def apply_abnormal(self, refund_id: str, raw: bytes, unseal: Callable[[str], str | None]) -> Doc:
        """Send an ABNORMAL refund to a bank card; `unseal` opens an encrypted field, or returns None."""
        body = read_body(raw)
        ABNORMAL_REFUND(body, "")
        known = self._store.get("refund_id", refund_id)
        if known is None or known["out_refund_no"] != body["out_refund_no"]:
            raise PayError("RESOURCE_NOT_EXISTS", "退款单不存在")
        refund = self.query(body["out_refund_no"])
        if refund["status"] != "ABNORMAL":
            raise PayError("INVALID_REQUEST", "退款单状态不是退款异常", business=True)
        if body["type"] == "USER_BANK_CARD":
            for name in ("bank_type", "bank_account", "real_name"):
                if name not in body:
                    raise bad_field(f"/{name}", None, "缺少必填参数")
            for name in ("bank_account", "real_name"):
                if not unseal(body[name]):
                    raise bad_field(f"/{name}", None, "敏感字段解密失败")
        refund["status"] = "PROCESSING"
        self._store.put(KIND, refund["out_refund_no"], refund, "abnormal_applied")
        return refund

    def view(self, refund: Doc) -> Doc:
        """The refund object of the API: here the state is called `status`."""
        shown: dict[str, Any] = {
            "refund_id": refund["refund_id"],
            "out_refund_no": refund["out_refund_no"],
            "transaction_id": refund["transaction_id"],
            "out_trade_no": refund["out_trade_no"],
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": rfc3339(refund["created_at"]),
            "status": refund["status"],
            "funds_account": "AVAILABLE",
            "amount": {
                **self._amounts(refund),
                "settlement_refund": refund["payer_refund_fen"],
                "settlement_total": refund["payer_total_fen"],
                "discount_refund": refund["refund_fen"] - refund["payer_refund_fen"],
                "currency": "CNY",
                "refund_fee": 0,
            },
            "promotion_detail": [],
        }
        if refund["status"] == "SUCCESS":
            shown["success_time"] = rfc3339(refund["finished_at"])
        return shown

    def notice(self, refund: Doc, mchid: str) -> Doc:
        """The plaintext of a refund notice: here the state is called `refund_status`."""
        shown: dict[str, Any] = {
            "mchid": mchid,
            "out_trade_no": refund["out_trade_no"],
            "transaction_id": refund["transaction_id"],
            "out_refund_no": refund["out_refund_no"],
            "refund_id": refund["refund_id"],
            "refund_status": refund["status"],
            "user_received_account": "支付用户零钱",
            "amount": self._amounts(refund),
        }
        if refund["status"] == "SUCCESS":
            shown["success_time"] = rfc3339(refund["finished_at"])
        return shown

    @staticmethod
    def _amounts(refund: Doc) -> Doc:
        return {
            "total": refund["total_fen"],
            "refund": refund["refund_fen"],
            "payer_total": refund["payer_total_fen"],
            "payer_refund": refund["payer_refund_fen"],
        }
