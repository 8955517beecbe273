"""Orders of the WeChat Pay sandbox: placed, asked for, closed, paid; refunds live in `wechat_pay_refunds`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.control import ControlError
from sandbox.store import Doc, Store
from sandbox.wechat_pay_errors import PayError, bad_field
from sandbox.wechat_pay_fields import CLOSE, H5_ORDER, JSAPI_ORDER, parse_moment, read_body
from sandbox.wechat_pay_signing import random_text
from sandbox.wechat_pay_times import H5_SECONDS, ORDER_LIFE_SECONDS, PREPAY_SECONDS, china_digits, life, rfc3339

KIND = "order"
PAID = ("SUCCESS", "REFUND")
_DESCRIPTIONS = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款，退款详情请查询退款单",
    "CLOSED": "订单已关闭",
}
_TRADE_TYPES = {"jsapi": "JSAPI", "h5": "MWEB"}
_HEADER_MISMATCH = "http header中的mchid与post payload中的mchid不匹配"


@dataclass(frozen=True, kw_only=True)
class Merchant:
    """Who the sandbox believes in."""

    mchid: str
    appids: tuple[str, ...]


class Orders:
    """All orders of the one merchant."""

    def __init__(
        self,
        store: Store,
        *,
        merchant: Callable[[], Merchant],
        now: Callable[[], float],
        time_scale: Callable[[], float],
    ) -> None:
        self._store = store
        self._merchant = merchant
        self._now = now
        self._scale = time_scale

    def place(self, product: str, raw: bytes, *, nonce: str) -> str:
        """A new or repeated order; returns the fresh prepay id. An identical repeat is welcome, a difference is not."""
        body = read_body(raw)
        (JSAPI_ORDER if product == "jsapi" else H5_ORDER)(body, "")
        if body["mchid"] != self._merchant().mchid:
            raise PayError("PARAM_ERROR", _HEADER_MISMATCH)
        if body["appid"] not in self._merchant().appids:
            raise PayError("APPID_MCHID_NOT_MATCH")
        number = str(body["out_trade_no"])
        order = self.find(number)
        if order is None:
            order = self._new(product, body)
        elif order["state"] in PAID:
            raise PayError("ORDERPAID")
        elif order["state"] == "CLOSED":
            raise PayError("ORDER_CLOSED")
        elif order["product"] != product or order["request"] != body:
            raise PayError("OUT_TRADE_NO_USED")
        now = self._now()
        prepay_id = f"wx{china_digits(now, '%Y%m%d%H%M%S')}{random_text(20, '0123456789abcdef')}"
        prepay = {
            "prepay_id": prepay_id,
            "at": now,
            "nonce": nonce,
            "body_sha256": hashlib.sha256(raw).hexdigest(),
        }
        order["prepays"].append(prepay)
        with self._store.transaction():
            self._store.put(KIND, number, order, "placed" if len(order["prepays"]) == 1 else "placed_again")
            self._store.put("prepay", prepay_id, {"out_trade_no": number, "at": now})
        return prepay_id

    def _new(self, product: str, body: Doc) -> Doc:
        now = self._now()
        expires = parse_moment(body["time_expire"]) if "time_expire" in body else None
        if expires is not None and expires <= now:
            raise bad_field("/time_expire", body["time_expire"], "订单失效时间必须晚于当前时间")
        return {
            "out_trade_no": body["out_trade_no"],
            "product": product,
            "request": body,
            "state": "NOTPAY",
            "created_at": now,
            "expires_at": expires,
            "amount_fen": body["amount"]["total"],
            "prepays": [],
            "failed_tries": [],
            "payment": None,
            "closed_at": None,
        }

    def find(self, number: str) -> Doc | None:
        """The order as it is now: one that nobody paid within its life has been closed by WeChat."""
        order = self._store.get(KIND, number)
        if order is None or order["state"] != "NOTPAY":
            return order
        if self._now() > order["created_at"] + life(ORDER_LIFE_SECONDS, self._scale()):
            self._close(order, "timed_out")
        return order

    def by_transaction(self, transaction_id: str) -> Doc | None:
        paid = self._store.get("transaction", transaction_id)
        return None if paid is None else self.find(paid["out_trade_no"])

    def by_prepay(self, prepay_id: str) -> tuple[Doc, float] | None:
        """The order a prepay id belongs to, and when that id was issued."""
        prepay = self._store.get("prepay", prepay_id)
        order = None if prepay is None else self.find(prepay["out_trade_no"])
        return None if prepay is None or order is None else (order, float(prepay["at"]))

    def all(self) -> list[Doc]:
        return [order for number, _ in self._store.items(KIND) if (order := self.find(number)) is not None]

    def query(self, number: str) -> Doc:
        order = self.find(number)
        if order is None:
            raise PayError("ORDER_NOT_EXIST")
        return self.view(order)

    def query_transaction(self, transaction_id: str) -> Doc:
        order = self.by_transaction(transaction_id)
        if order is None:
            raise PayError("ORDER_NOT_EXIST")
        return self.view(order)

    def close_by_merchant(self, number: str, raw: bytes) -> None:
        """Re-entrant: closing a closed order succeeds again."""
        body = read_body(raw)
        CLOSE(body, "")
        if body["mchid"] != self._merchant().mchid:
            raise PayError("PARAM_ERROR", _HEADER_MISMATCH)
        order = self.find(number)
        if order is None:
            raise PayError("ORDER_NOT_EXIST")
        if order["state"] in PAID:
            raise PayError("ORDERPAID")
        if order["state"] == "NOTPAY":
            self._close(order, "closed_by_merchant")

    def close_by_partner(self, number: str) -> Doc:
        """The partner's own time-out, played by hand."""
        order = self._existing(number)
        if order["state"] in PAID:
            raise ControlError(409, "订单已支付，不能关闭")
        if order["state"] == "NOTPAY":
            self._close(order, "timed_out")
        return order

    def _close(self, order: Doc, event: str) -> None:
        order["state"], order["closed_at"] = "CLOSED", self._now()
        self._store.put(KIND, order["out_trade_no"], order, event)

    def fail_try(self, number: str, reason: str) -> Doc:
        """The payer's bank refused or the payer gave up: the order stays unpaid and may be paid later."""
        order = self._existing(number)
        if order["state"] != "NOTPAY":
            raise ControlError(409, f"订单状态为{order['state']}，不会再有支付尝试")
        order["failed_tries"].append({"at": self._now(), "reason": reason})
        self._store.put(KIND, number, order, "try_failed")
        return order

    def pay(
        self,
        number: str,
        *,
        payer: str | None = None,
        at: float | None = None,
        amount_fen: int | None = None,
        coupon_fen: int = 0,
        force: bool = False,
    ) -> Doc:
        """The payer pays now. `force` lets money arrive where it should not: on a closed or an expired order."""
        order = self._existing(number)
        moment = self._now() if at is None else at
        if order["state"] in PAID:
            raise ControlError(409, "订单已支付，同一订单不会收两次钱；要模拟重复缴费请再下一单")
        if not force:
            self._check_payable(order, moment)
        total = order["amount_fen"] if amount_fen is None else amount_fen
        if total < 1 or not 0 <= coupon_fen < total:
            raise ControlError(409, "金额必须是正整数分，优惠必须小于金额")
        serial = self._store.next_number("transaction")
        transaction_id = f"4200002{random_text(3, '0123456789')}{china_digits(moment, '%Y%m%d')}{serial:010d}"
        order["state"] = "SUCCESS"
        order["payment"] = {
            "transaction_id": transaction_id,
            "at": moment,
            "openid": payer or order["request"].get("payer", {}).get("openid") or "oSandboxPayer0000000000000000",
            "total_fen": total,
            "payer_total_fen": total - coupon_fen,
            "bank_type": "OTHERS",
        }
        with self._store.transaction():
            self._store.put(KIND, number, order, "paid")
            self._store.put("transaction", transaction_id, {"out_trade_no": number})
        return order

    def _check_payable(self, order: Doc, moment: float) -> None:
        if order["state"] == "CLOSED":
            raise ControlError(409, "订单已关闭，不能支付")
        if order["expires_at"] is not None and moment > order["expires_at"]:
            raise ControlError(409, "订单已过期，不能支付")
        span = life(PREPAY_SECONDS if order["product"] == "jsapi" else H5_SECONDS, self._scale())
        if moment > order["prepays"][-1]["at"] + span:
            raise ControlError(409, "支付会话已过期，需要商户重新下单取得新的会话")

    def refunded(self, number: str) -> None:
        """Any accepted refund, even a partial one, turns the order's state into REFUND."""
        order = self._existing(number)
        if order["state"] == "SUCCESS":
            order["state"] = "REFUND"
            self._store.put(KIND, number, order, "refund_accepted")

    def _existing(self, number: str) -> Doc:
        order = self.find(number)
        if order is None:
            raise ControlError(404, f"没有这个订单：{number}")
        return order

    def view(self, order: Doc) -> Doc:
        """The order object of the API and of the payment notice."""
        request, payment = order["request"], order["payment"]
        shown: dict[str, Any] = {
            "appid": request["appid"],
            "mchid": request["mchid"],
            "out_trade_no": order["out_trade_no"],
            "trade_state": order["state"],
            "trade_state_desc": _DESCRIPTIONS[order["state"]],
            "amount": {"total": order["amount_fen"], "currency": "CNY"},
        }
        if "attach" in request:
            shown["attach"] = request["attach"]
        if payment is not None:
            discount = payment["total_fen"] - payment["payer_total_fen"]
            shown |= {
                "transaction_id": payment["transaction_id"],
                "trade_type": _TRADE_TYPES[order["product"]],
                "bank_type": payment["bank_type"],
                "success_time": rfc3339(payment["at"]),
                "payer": {"openid": payment["openid"]},
                "promotion_detail": [_coupon(discount)] if discount else [],
            }
            shown["amount"] = {
                "total": payment["total_fen"],
                "payer_total": payment["payer_total_fen"],
                "currency": "CNY",
                "payer_currency": "CNY",
            }
        return shown


def _coupon(fen: int) -> Doc:
    return {
        "coupon_id": "109519",
        "name": "沙箱代金券",
        "scope": "GLOBAL",
        "type": "CASH",
        "amount": fen,
        "stock_id": "931386",
        "wechatpay_contribute": fen,
        "merchant_contribute": 0,
        "other_contribute": 0,
        "currency": "CNY",
    }
