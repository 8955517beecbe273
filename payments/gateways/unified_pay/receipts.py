"""E-receipts (财政电子票据) through the finance platform: reserve a number, issue, look, check and reverse (冲红)."""

from payments.gateways.receipt_port import ReceiptEvidence, ReceiptOrder, ReceiptOutcome
from payments.gateways.unified_pay import wording
from payments.gateways.unified_pay.book import CodeBook
from payments.gateways.unified_pay.client import Reply, UnifiedPayClient

_STATES = {
    "reserved": ReceiptOutcome.RESERVED,
    "issued": ReceiptOutcome.ISSUED,
    "on_paper": ReceiptOutcome.ON_PAPER,
    "reversed": ReceiptOutcome.REVERSED,
}


class UnifiedReceipts:
    """Every call carries our own number, so a repeat finds what the first one did."""

    def __init__(self, client: UnifiedPayClient, book: CodeBook) -> None:
        self._client, self._book, self._profile = client, book, client.profile

    async def issue(self, order: ReceiptOrder) -> ReceiptEvidence:
        """Two calls: a number is kept for our request, then the receipt is issued under it."""
        demand = await self._book.demand(order.payment_no)
        if demand is None:
            return ReceiptEvidence(outcome=ReceiptOutcome.NOT_SENT, reason="no code for this payment")
        unit = self._profile.units.get(order.unit_code)
        unit_code = unit.code if unit else order.unit_code
        kept = await self._client.call("receipt_number", {"request_no": order.request_no, "unit_code": unit_code})
        if not self._done(kept) or not kept.get("receipt_number"):
            return self._failed(kept)
        reply = await self._client.call(
            "receipt_issue",
            {
                "request_no": order.request_no, "receipt_number": kept.get("receipt_number"), "pay_code": demand.pay_code,
                "txn": order.channel_txn_id, "amount": wording.amount_text(self._profile, order.amount_fen),
                "unit_code": unit_code,
            },
        )  # fmt: skip
        return self._standing(reply) if self._done(reply) else self._failed(reply)

    async def query(self, order: ReceiptOrder) -> ReceiptEvidence:
        """How the receipt stands now."""
        reply = await self._client.call("receipt_query", {"request_no": order.request_no})
        if self._profile.means(reply.result, "no_such_receipt"):
            return ReceiptEvidence(outcome=ReceiptOutcome.NOT_FOUND, reason=reply.reason)
        return self._standing(reply) if self._done(reply) else self._failed(reply)

    async def check_reversible(self, order: ReceiptOrder) -> ReceiptEvidence:
        """The platform's own pre-check."""
        reply = await self._client.call("receipt_check", {"request_no": order.request_no})
        return ReceiptEvidence(outcome=ReceiptOutcome.ISSUED) if self._done(reply) else self._failed(reply)

    async def reverse(self, order: ReceiptOrder, reason: str) -> ReceiptEvidence:
        """冲红; where the answer is lost, the receipt itself is asked."""
        reply = await self._client.call("receipt_reverse", {"request_no": order.request_no, "reason": reason})
        if self._done(reply):
            return ReceiptEvidence(outcome=ReceiptOutcome.REVERSED, red_number=reply.get("red_number")[:40])
        found = self._failed(reply)
        return await self.query(order) if found.outcome is ReceiptOutcome.NO_REPLY else found

    def _done(self, reply: Reply) -> bool:
        return self._profile.means(reply.result, "done")

    def _failed(self, reply: Reply) -> ReceiptEvidence:
        if not reply.sent:
            return ReceiptEvidence(outcome=ReceiptOutcome.NOT_SENT, reason=reply.reason)
        if self._profile.means(reply.result, "on_paper"):
            return ReceiptEvidence(outcome=ReceiptOutcome.ON_PAPER, reason=reply.reason)
        if self._profile.means(reply.result, "receipt_refused", "no_such_receipt", "refused", "refund_refused"):
            return ReceiptEvidence(outcome=ReceiptOutcome.REFUSED, reason=reply.reason)
        return ReceiptEvidence(outcome=ReceiptOutcome.NO_REPLY, reason=reply.reason)

    def _standing(self, reply: Reply) -> ReceiptEvidence:
        outcome = _STATES.get(self._profile.word("receipt", reply.get("receipt")), ReceiptOutcome.NO_REPLY)
        return ReceiptEvidence(
            outcome=outcome,
            code=reply.get("receipt_code")[:40],
            number=reply.get("receipt_number")[:40],
            check_code=reply.get("check_code")[:20],
            url=reply.get("url")[:500],
            red_number=reply.get("red_number")[:40],
            reason="" if outcome is not ReceiptOutcome.NO_REPLY else "unknown word for the receipt",
        )
