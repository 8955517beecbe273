"""The e-receipt desk of the sandbox: numbers, issue, exchange for paper, red reversal (冲红) with its pre-check. No wire format here."""

import secrets
from collections.abc import Callable

from sandbox.control import ControlError
from sandbox.store import Doc, Store
from sandbox.unified_pay_bills import Refused

RECEIPT = "receipt"


class Receipts:
    """Receipts by the caller's own request number, so that a repeat never issues a second one."""

    def __init__(self, store: Store, *, now: Callable[[], float], code: str, url: Callable[[], str]) -> None:
        self._store, self._now, self._code, self._url = store, now, code, url

    def reserve(self, request_no: str, unit_code: str) -> Doc:
        """A running number of the series, kept for the request."""
        known = self.find(request_no)
        if known is not None:
            return known
        receipt = {
            "request_no": request_no, "code": self._code, "number": f"{self._store.next_number('receipt'):010d}",
            "check_code": secrets.token_hex(3), "unit_code": unit_code, "state": "RESERVED", "amount_fen": 0, "txn": "",
            "reserved_at": self._now(), "reversed_at": None, "red_number": "",
        }  # fmt: skip
        self._store.put(RECEIPT, request_no, receipt, "reserved")
        return receipt

    def issue(self, request_no: str, *, number: str, txn: str, amount_fen: int, payer: str) -> Doc:
        """换开: the reserved number becomes a receipt; once."""
        receipt = self.existing(request_no)
        if receipt["number"] != number:
            raise Refused("18101", "票据号码与预留的不一致")
        if receipt["state"] == "RESERVED":
            receipt |= {
                "state": "ISSUED",
                "txn": txn,
                "amount_fen": amount_fen,
                "payer": payer,
                "issued_at": self._now(),
            }
            self._store.put(RECEIPT, request_no, receipt, "issued")
        elif (receipt["txn"], receipt["amount_fen"]) != (txn, amount_fen):
            raise Refused("18102", "该票据已为另一笔缴款开具")
        return receipt

    def check(self, request_no: str) -> None:
        """Whether the receipt may be reversed now. Raises Refused."""
        receipt = self.existing(request_no)
        if receipt["state"] == "PAPER":
            raise Refused("18103", "电子票据已换开纸质票据，请先交回并作废纸质票据")
        if receipt["state"] not in ("ISSUED", "REVERSED"):
            raise Refused("18104", "票据尚未开具")

    def reverse(self, request_no: str, reason: str) -> Doc:
        """冲红; a second one answers the first."""
        self.check(request_no)
        receipt = self.existing(request_no)
        if receipt["state"] == "ISSUED":
            number = f"{self._store.next_number('receipt'):010d}"
            receipt |= {"state": "REVERSED", "reversed_at": self._now(), "red_number": number, "reason": reason}
            self._store.put(RECEIPT, request_no, receipt, "reversed")
        return receipt

    def find(self, request_no: str) -> Doc | None:
        return self._store.get(RECEIPT, request_no)

    def existing(self, request_no: str) -> Doc:
        receipt = self.find(request_no)
        if receipt is None:
            raise Refused("18100", "没有该票据")
        return receipt

    def all(self) -> list[Doc]:
        return self._store.all(RECEIPT)

    def link(self, receipt: Doc) -> str:
        """Where the payer looks at it."""
        return f"{self._url()}/receipt/{receipt['code']}-{receipt['number']}-{receipt['check_code']}"

    def by_link(self, code: str, number: str, check_code: str) -> Doc | None:
        wanted = (code, number, check_code)
        return next((r for r in self.all() if (r["code"], r["number"], r["check_code"]) == wanted), None)

    def to_paper(self, number: str) -> Doc:
        """Somebody prints it at a counter: from then on it cannot be reversed."""
        receipt = next((r for r in self.all() if number in (r["number"], r["request_no"])), None)
        if receipt is None:
            raise ControlError(404, f"没有这张票据：{number}")
        if receipt["state"] != "ISSUED":
            raise ControlError(409, "只有已开具、未冲红的电子票据可以换开纸质票据")
        receipt["state"] = "PAPER"
        self._store.put(RECEIPT, receipt["request_no"], receipt, "exchanged_to_paper")
        return receipt

    def void_paper(self, number: str) -> Doc:
        """The paper came back and was voided: the e-receipt counts again."""
        receipt = next((r for r in self.all() if number in (r["number"], r["request_no"])), None)
        if receipt is None or receipt["state"] != "PAPER":
            raise ControlError(409, "这张票据没有换开纸质票据")
        receipt["state"] = "ISSUED"
        self._store.put(RECEIPT, receipt["request_no"], receipt, "paper_voided")
        return receipt
