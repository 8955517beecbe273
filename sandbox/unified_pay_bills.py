"""Bills, orders, payments and refunds of the unified payment sandbox: what the finance side knows; no wire format here."""

import datetime as dt
import hashlib
from collections.abc import Callable

from sandbox.control import ControlError
from sandbox.store import Doc, Store

BILL, ORDER, PAYMENT, REFUND = "bill", "order", "payment", "refund"
ORDER_LIFE_SECONDS = 29 * 60 + 54  # as seen in a real answer
SHORTEST_LIFE_SECONDS = 1.0
COUNTER, PHONE = "01", "21"  # 柜面；手机扫码
CHINA = dt.timezone(dt.timedelta(hours=8))


class Refused(Exception):
    """A business refusal with the platform's code and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def digits(at: float, form: str) -> str:
    """A moment in Chinese time."""
    return dt.datetime.fromtimestamp(at, CHINA).strftime(form)


class Bills:
    """Everything is found by the 缴款码; money is remembered per payment, because a code can be paid twice by accident."""

    def __init__(self, store: Store, *, now: Callable[[], float], time_scale: Callable[[], float]) -> None:
        self._store, self._now, self._scale = store, now, time_scale

    def register(self, pay_code: str, facts: Doc) -> Doc:
        """A new bill, or the same one again. Another amount under a known code is refused."""
        known = self.find(pay_code)
        if known is None:
            bill = {**facts, "pay_code": pay_code, "state": "UNPAID", "created_at": self._now(), "payments": []}
            self._store.put(BILL, pay_code, bill, "registered")
            return bill
        if (known["amount_fen"], known["unit_code"]) != (facts["amount_fen"], facts["unit_code"]):
            raise Refused("18005", "缴款码已存在，金额或执收单位不一致")
        return known

    def find(self, pay_code: str) -> Doc | None:
        return self._store.get(BILL, pay_code)

    def existing(self, pay_code: str) -> Doc:
        bill = self.find(pay_code)
        if bill is None:
            raise Refused("18004", "没有该缴款码")
        return bill

    def place(self, pay_code: str, order_no: str, *, request: bytes) -> Doc:
        """Opens an order with a short life of its own; the identical request answers the same order."""
        bill, seen = self.existing(pay_code), hashlib.sha256(request).hexdigest()
        order = self.order(order_no)
        if order is not None:
            if order["pay_code"] != pay_code or order["sha256"] != seen:
                raise Refused("18006", "订单号已用于另一笔缴款")
            if order["state"] == "LAPSED":
                raise Refused("18008", "订单已失效，请换新的订单号")
            if order["state"] == "CLOSED":
                raise Refused("18009", "订单已关闭")
        if bill["state"] == "PAID":
            raise Refused("232", "该缴款单已缴款")
        if order is None:
            now = self._now()
            life = max(ORDER_LIFE_SECONDS * self._scale(), SHORTEST_LIFE_SECONDS)
            order = {
                "order_no": order_no, "pay_code": pay_code, "state": "OPEN", "amount_fen": bill["amount_fen"],
                "created_at": now, "ends_at": now + life, "sha256": seen, "times_created": 0, "payment": None, "declined": 0,
            }  # fmt: skip
        order["times_created"] += 1
        self._store.put(ORDER, order_no, order, "placed")
        return order

    def order(self, order_no: str) -> Doc | None:
        """The order as it is now: one whose life is over has lapsed."""
        order = self._store.get(ORDER, order_no)
        if order is not None and order["state"] == "OPEN" and self._now() >= order["ends_at"]:
            order["state"] = "LAPSED"
            self._store.put(ORDER, order_no, order, "lapsed")
        return order

    def orders(self) -> list[Doc]:
        return [order for number, _ in self._store.items(ORDER) if (order := self.order(number)) is not None]

    def orders_of(self, pay_code: str) -> list[Doc]:
        return [order for order in self.orders() if order["pay_code"] == pay_code]

    def close(self, pay_code: str, order_no: str) -> None:
        """Re-entrant. A paid order refuses, and so does any order of a paid bill."""
        order = self.order(order_no)
        if order is None or order["pay_code"] != pay_code:
            raise Refused("18007", "没有该订单")
        if order["state"] == "PAID" or self.existing(pay_code)["state"] == "PAID":
            raise Refused("232", "该缴款单已缴款")
        if order["state"] in ("OPEN", "LAPSED"):
            order["state"] = "CLOSED"
            self._store.put(ORDER, order_no, order, "closed")

    def pay(
        self, pay_code: str, *, order_no: str | None = None, way: str | None = None, amount_fen: int | None = None,
        at: float | None = None, payer: str | None = None, force: bool = False,
    ) -> Doc:  # fmt: skip
        """Somebody pays: through an order, or with the bare code at a counter. `force` lets money in that should not come."""
        bill = self.find(pay_code)
        if bill is None:
            raise ControlError(404, f"没有这个缴款码：{pay_code}")
        order = self.order(order_no) if order_no else None
        if order_no and order is None:
            raise ControlError(404, f"没有这个订单：{order_no}")
        if not force and bill["state"] == "PAID":
            raise ControlError(409, "该缴款单已缴款")
        if not force and order is not None and order["state"] != "OPEN":
            raise ControlError(409, "订单已失效或已关闭，请回到手机上重新发起缴款")
        moment = self._now() if at is None else at
        payment: Doc = {
            "txn": f"{digits(moment, '%Y%m%d')}{self._store.next_number('txn'):012d}", "pay_code": pay_code,
            "order_no": order_no or "", "amount_fen": bill["amount_fen"] if amount_fen is None else amount_fen, "at": moment,
            "way": way or (PHONE if order else COUNTER), "payer": payer or bill.get("payer") or "沙箱缴款人",
            "outlet": "沙箱银行城关支行" if order is None else "",
        }  # fmt: skip
        with self._store.transaction():
            self._store.put(PAYMENT, payment["txn"], payment, "paid")
            bill["state"] = "PAID"
            bill["payments"].append(payment["txn"])
            self._store.put(BILL, pay_code, bill, "paid")
            if order is not None:
                order["state"], order["payment"] = "PAID", payment["txn"]
                self._store.put(ORDER, order["order_no"], order, "paid")
        return payment

    def payment(self, txn: str) -> Doc | None:
        return self._store.get(PAYMENT, txn)

    def payments(self) -> list[Doc]:
        return self._store.all(PAYMENT)

    def payment_seen_from(self, pay_code: str, order_no: str) -> Doc | None:
        """What a query answers: the order's own payment if it has one, otherwise the first of the code."""
        order, bill = self.order(order_no) if order_no else None, self.existing(pay_code)
        if order is not None and order["payment"]:
            return self.payment(order["payment"])
        return self.payment(bill["payments"][0]) if bill["payments"] else None

    def decline(self, order_no: str) -> Doc:
        """The payer gives up at the cashier; the order stays open until its end."""
        order = self.order(order_no)
        if order is None or order["state"] != "OPEN":
            raise ControlError(409, "订单已失效或已缴款")
        order["declined"] += 1
        self._store.put(ORDER, order_no, order, "declined")
        return order

    def refund(self, refund_no: str, txn: str, amount_fen: int, reason: str) -> Doc:
        """One refund per number; the same number with other content is refused, and so is more than was paid."""
        known, payment = self._store.get(REFUND, refund_no), self.payment(txn)
        if known is not None:
            if (known["txn"], known["amount_fen"]) != (txn, amount_fen):
                raise Refused("18012", "退款单号已用于另一笔退款")
            known["times_asked"] += 1
            self._store.put(REFUND, refund_no, known, "asked_again")
            return known
        if payment is None:
            raise Refused("18013", "没有该笔缴款")
        back = sum(r["amount_fen"] for r in self.refunds() if r["txn"] == txn and r["state"] != "FAILED")
        if amount_fen < 1 or back + amount_fen > payment["amount_fen"]:
            raise Refused("18014", "退款金额超过已缴金额")
        refund = {
            "refund_no": refund_no, "txn": txn, "pay_code": payment["pay_code"], "amount_fen": amount_fen, "reason": reason,
            "state": "PROCESSING", "id": f"T{self._store.next_number('refund'):015d}", "created_at": self._now(),
            "finished_at": None, "times_asked": 1,
        }  # fmt: skip
        self._store.put(REFUND, refund_no, refund, "asked")
        return refund

    def find_refund(self, refund_no: str) -> Doc | None:
        return self._store.get(REFUND, refund_no)

    def refunds(self) -> list[Doc]:
        return self._store.all(REFUND)

    def finish_refund(self, refund_no: str, state: str) -> Doc:
        refund = self.find_refund(refund_no)
        if refund is None:
            raise ControlError(404, f"没有这笔退款：{refund_no}")
        if state not in ("SUCCESS", "FAILED"):
            raise ControlError(400, "state 只能是 SUCCESS 或 FAILED")
        if refund["state"] != "PROCESSING":
            raise ControlError(409, "这笔退款已有结果")
        refund["state"], refund["finished_at"] = state, self._now()
        self._store.put(REFUND, refund_no, refund, state.lower())
        return refund
