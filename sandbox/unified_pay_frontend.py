"""The finance front end (CNNONTAX): what each message number does and answers; 8970, 8983–8985, 8990, 8991, 8995 are invented."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.store import Doc
from sandbox.unified_pay_bills import Refused, digits
from sandbox.unified_pay_frames import Message

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

GENERAL, DONE = "5001", "00000"
Fields = dict[str, str]
# An order's and a refund's state in one digit.
ORDER_WORDS = {"OPEN": "0", "PAID": "1", "CLOSED": "2", "LAPSED": "3"}
REFUND_WORDS = {"PROCESSING": "0", "SUCCESS": "1", "FAILED": "2"}
RECEIPT_WORDS = {"RESERVED": "0", "ISSUED": "1", "PAPER": "2", "REVERSED": "3"}


def fen(text: str) -> int:
    """Yuan as the other side writes it. Raises Refused."""
    whole, _, decimals = text.partition(".")
    if not whole.isdigit() or len(decimals) > 2 or (decimals and not decimals.isdigit()) or not text.isascii():
        raise Refused("18001", "金额格式错误")
    return int(whole) * 100 + int(decimals.ljust(2, "0"))


def yuan(amount_fen: int) -> str:
    """Money as this platform writes it."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


class Frontend:
    """Works one message at a time. What it remembers lives in the partner's books."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        self._work: dict[str, Callable[[Message, bytes], tuple[str, Fields]]] = {
            "8994": self._order, "8997": self._status, "8995": self._close, "8990": self._refund, "8991": self._refund_status,
            "8999": self._reserve, "8981": self._issue, "8985": self._receipt, "8983": self._check, "8984": self._reverse,
            "8970": self._statement,
        }  # fmt: skip

    def calls(self) -> list[str]:
        """The message numbers that are understood."""
        return list(self._work)

    def work(self, message: Message, raw: bytes) -> tuple[str, Fields]:
        """Number and voucher of the answer."""
        handler = self._work.get(message.number)
        try:
            if handler is None:
                raise Refused("18000", "不支持的报文编号")
            return handler(message, raw)
        except Refused as refusal:
            return GENERAL, self.refusal(message.number, refusal.code, refusal.text)

    @staticmethod
    def refusal(number: str, code: str, text: str) -> Fields:
        """A general answer that says no."""
        return {"OriMsgNo": number, "Result": code, "Information": text}

    def _done(self, message: Message, information: str = "") -> tuple[str, Fields]:
        return GENERAL, {"OriMsgNo": message.number, "Result": DONE, "Information": information}

    def _order(self, message: Message, raw: bytes) -> tuple[str, Fields]:
        """Uploads the bill and opens the payment order in one message; answers the address behind the payment code."""
        got, partner = message.fields, self._partner
        pay_code, order_no = _needed(got, "PayCode"), _needed(got, "Hold2")
        if not (pay_code.isascii() and pay_code.isdigit() and len(pay_code) == 20):
            raise Refused("18002", "缴款码应为 20 位数字")
        if not pay_code.startswith(partner.config["region"]) or got.get("AdmDivCode") != partner.config["region"]:
            raise Refused("18003", "行政区划不符")
        if _needed(got, "ChgAgenCode") not in partner.config["units"]:
            raise Refused("18012", "没有该单位的代收费权限")
        amount = fen(_needed(got, "Amt"))
        items = _items(_needed(got, "PayInfo"))
        if amount < 1 or amount != sum(item["amount_fen"] for item in items):
            raise Refused("18001", "应缴金额与项目合计不符")
        facts = {
            "unit_code": got["ChgAgenCode"], "unit_name": got.get("ChgAgenName", ""), "amount_fen": amount, "items": items,
            "payer": got.get("PayerName", ""), "title": items[0]["name"],
        }  # fmt: skip
        with partner.store.transaction():
            partner.bills.register(pay_code, facts)
            partner.bills.place(pay_code, order_no, request=raw)
        return self._done(message, f"{partner.url}/pay/{order_no}")

    def _status(self, message: Message, _: bytes) -> tuple[str, Fields]:
        bills, pay_code, order_no = (
            self._partner.bills,
            _needed(message.fields, "PayCode"),
            message.fields.get("Hold2", ""),
        )
        bill, order = bills.existing(pay_code), bills.order(order_no) if order_no else None
        if order_no and order is None:
            raise Refused("18007", "没有该订单")
        answer = {"PayCode": pay_code, "Result": DONE, "PayStats": "1" if bill["state"] == "PAID" else "0"}
        if order is not None:
            answer["OrdStats"] = ORDER_WORDS[order["state"]]
            answer |= {
                "OrdEndDate": digits(order["ends_at"], "%Y%m%d"),
                "OrdEndTime": digits(order["ends_at"], "%H%M%S"),
            }
        payment = bills.payment_seen_from(pay_code, order_no)
        return "5997", answer | (confirmation(payment) if payment else {"Amt": yuan(bill["amount_fen"])})

    def _close(self, message: Message, _: bytes) -> tuple[str, Fields]:
        self._partner.bills.close(_needed(message.fields, "PayCode"), _needed(message.fields, "Hold2"))
        return self._done(message)

    def _refund(self, message: Message, _: bytes) -> tuple[str, Fields]:
        got, partner = message.fields, self._partner
        with partner.store.transaction():
            refund = partner.bills.refund(
                _needed(got, "RefundNo"), _needed(got, "TraNoBus"), fen(_needed(got, "RefundAmt")), got.get("Memo", "")
            )
            outcome = partner.config["auto_refund"]
            if outcome and refund["times_asked"] == 1:
                partner.callbacks.later("refund_outcome", {"no": refund["refund_no"], "state": outcome}, after_s=60)
        return self._refund_view(refund)

    def _refund_status(self, message: Message, _: bytes) -> tuple[str, Fields]:
        refund = self._partner.bills.find_refund(_needed(message.fields, "RefundNo"))
        if refund is None:
            raise Refused("18010", "没有该退款单")
        return self._refund_view(refund)

    def _refund_view(self, refund: Doc) -> tuple[str, Fields]:
        at = float(refund["finished_at"] or refund["created_at"])
        return "5990", {
            "Result": DONE, "RefundNo": refund["refund_no"], "RefStats": REFUND_WORDS[refund["state"]], "RefundId": refund["id"],
            "RefundAmt": yuan(refund["amount_fen"]), "TraNoBus": refund["txn"], "CfmDate": digits(at, "%Y%m%d"),
            "CfmTime": digits(at, "%H%M%S"),
        }  # fmt: skip

    def _reserve(self, message: Message, _: bytes) -> tuple[str, Fields]:
        got = message.fields
        receipt = self._partner.receipts.reserve(_needed(got, "Hold2"), _needed(got, "ChgAgenCode"))
        return self._done(message, receipt["number"])

    def _issue(self, message: Message, _: bytes) -> tuple[str, Fields]:
        got, partner = message.fields, self._partner
        payment = partner.bills.payment(_needed(got, "TraNoBus"))
        if payment is None or payment["pay_code"] != _needed(got, "PayCode"):
            raise Refused("18013", "没有该笔缴款")
        amount = fen(_needed(got, "Amt"))
        if amount < 1 or amount > payment["amount_fen"]:
            raise Refused("18001", "票据金额与缴款不符")
        receipt = partner.receipts.issue(
            _needed(got, "Trade_Id"),
            number=_needed(got, "BillNo"),
            txn=payment["txn"],
            amount_fen=amount,
            payer=payment["payer"],
        )
        return self._receipt_view(receipt)

    def _receipt(self, message: Message, _: bytes) -> tuple[str, Fields]:
        return self._receipt_view(self._partner.receipts.existing(_needed(message.fields, "Trade_Id")))

    def _receipt_view(self, receipt: Doc) -> tuple[str, Fields]:
        return "5981", {
            "Result": DONE, "Trade_Id": receipt["request_no"], "BillCode": receipt["code"], "BillNo": receipt["number"],
            "CheckCode": receipt["check_code"], "BillStats": RECEIPT_WORDS[receipt["state"]], "RedBillNo": receipt["red_number"],
            "Invoice_Url": "" if receipt["state"] == "RESERVED" else self._partner.receipts.link(receipt),
            "Issue_Date": digits(float(receipt.get("issued_at") or receipt["reserved_at"]), "%Y%m%d"),
        }  # fmt: skip

    def _check(self, message: Message, _: bytes) -> tuple[str, Fields]:
        self._partner.receipts.check(_needed(message.fields, "Trade_Id"))
        return self._done(message)

    def _reverse(self, message: Message, _: bytes) -> tuple[str, Fields]:
        receipt = self._partner.receipts.reverse(_needed(message.fields, "Trade_Id"), message.fields.get("Memo", ""))
        return self._done(message, receipt["red_number"])

    def _statement(self, message: Message, _: bytes) -> tuple[str, Fields]:
        return "5970", self._partner.statements.page(
            _needed(message.fields, "BillDate"), _needed(message.fields, "PageNo")
        )


def confirmation(payment: Doc) -> Fields:
    """The facts of a payment as 5996 and 5997 carry them."""
    return {
        "PayCode": payment["pay_code"], "CfmDate": digits(payment["at"], "%Y%m%d"), "CfmTime": digits(payment["at"], "%H%M%S"),
        "Amt": yuan(payment["amount_fen"]), "BankOutlet": payment["outlet"], "Operator": "", "PayMode": payment["way"],
        "TraNoBus": payment["txn"], "PayerName": payment["payer"], "PayerAcct": "", "PayerOpBk": "", "PayerOpBkNo": "",
        "RecAcctType": "1", "RecAcct": "", "Hold1": "", "Hold2": payment["order_no"],
    }  # fmt: skip


def _needed(fields: Fields, name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise Refused("18001", f"缺少必填项 {name}")
    return value


def _items(text: str) -> list[Doc]:
    """`code|name|amount|unit|quantity|limit|0.0-0.0#` per item, each ended by the sign #."""
    if not text.endswith("#"):
        raise Refused("18001", "PayInfo 没有以 # 结尾")
    items = []
    for group in text[:-1].split("#"):
        parts = group.split("|")
        if len(parts) != 7 or not parts[0] or not parts[1]:
            raise Refused("18001", "PayInfo 的项目格式错误")
        items.append({"code": parts[0], "name": parts[1], "amount_fen": fen(parts[2])})
    if any(item["amount_fen"] == 0 for item in items) or len({item["code"] for item in items}) != len(items):
        raise Refused("18001", "PayInfo 含金额为零或重复的项目")
    return items
