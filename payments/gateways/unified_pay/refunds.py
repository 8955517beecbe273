"""Refunds through the finance platform where the region has them; elsewhere every refund is forbidden before any call."""

import json

from kernel import clock
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import (
    RefundCapabilities,
    RefundDraft,
    RefundEvidence,
    RefundOrder,
    RefundOutcome,
    RepairDraft,
)
from payments.gateways.unified_pay import wording
from payments.gateways.unified_pay.answers import CHANNEL
from payments.gateways.unified_pay.client import Reply, UnifiedPayClient
from payments.money import CURRENCY

_STATES = {"processing": RefundOutcome.PROCESSING, "success": RefundOutcome.SUCCESS, "closed": RefundOutcome.CLOSED}


class UnifiedRefunds:
    """Money goes back by the number of the payment; our refund number makes a repeat harmless."""

    def __init__(self, client: UnifiedPayClient) -> None:
        self._client, self._profile = client, client.profile
        can = client.profile.refunds
        self.capabilities = RefundCapabilities(
            most_days=can.most_days if can else 0,
            most_parts=can.most_parts if can else 0,
            least_interval_seconds=can.least_interval_seconds if can else 0,
            first_query_seconds=can.first_query_seconds if can else 0,
            can_repair_abnormal=False,
        )

    def is_ours(self, evidence: RefundEvidence) -> bool:
        """Statements of this channel name no merchant."""
        return True

    def body(self, draft: RefundDraft) -> bytes:
        """What is committed before the first send: every fact of the request."""
        facts = {
            "refund_no": draft.refund_no, "txn": draft.channel_txn_id, "reason": draft.reason,
            "amount": wording.amount_text(self._profile, draft.amount_fen),
        }  # fmt: skip
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()

    async def send(self, order: RefundOrder) -> RefundEvidence:
        """Asks for the refund, or repeats the identical request."""
        if not self._client.can("refund"):
            return _plain(order, EvidenceKind.REPLY, RefundOutcome.REFUSED, "no refunds here", proven=True)
        reply = await self._client.call("refund", json.loads(order.body), msg_id=order.refund_no[:32])
        if not reply.sent:
            return _plain(order, EvidenceKind.REPLY, RefundOutcome.NOT_SENT, reply.reason)
        if self._profile.means(reply.result, "refund_refused"):
            return _plain(order, EvidenceKind.REPLY, RefundOutcome.REFUSED, reply.reason, proven=True)
        if self._profile.means(reply.result, "not_enough"):
            return _plain(order, EvidenceKind.REPLY, RefundOutcome.NOT_ENOUGH, reply.reason, proven=True)
        return self._read(order, reply, EvidenceKind.REPLY)

    async def query(self, order: RefundOrder) -> RefundEvidence:
        """Asks about the refund by our number."""
        if not self._client.can("refund_query"):
            return _plain(order, EvidenceKind.QUERY, RefundOutcome.NO_REPLY, "no refunds here")
        reply = await self._client.call("refund_query", {"refund_no": order.refund_no})
        if self._profile.means(reply.result, "no_such_refund"):
            return _plain(order, EvidenceKind.QUERY, RefundOutcome.NOT_FOUND, reply.reason, proven=True)
        return self._read(order, reply, EvidenceKind.QUERY)

    def repair_body(self, draft: RepairDraft) -> bytes:
        """Never asked: the capability says no."""
        raise ValueError("this channel cannot send a refund on")

    async def repair_abnormal(self, order: RefundOrder, *, channel_refund_id: str, body: bytes) -> RefundEvidence:
        """Never asked: the capability says no."""
        return _plain(order, EvidenceKind.REPLY, RefundOutcome.NOT_SENT, "this channel cannot send a refund on")

    def _read(self, order: RefundOrder, reply: Reply, kind: EvidenceKind) -> RefundEvidence:
        """A state word we do not know is NO_REPLY: the refund is asked about again."""
        outcome = _STATES.get(self._profile.word("refund", reply.get("refund")))
        amount = wording.amount_fen(self._profile, reply.get("amount"))
        known = self._profile.means(reply.result, "done") and reply.get("refund_no") == order.refund_no
        if not known or outcome is None or amount is None:
            return _plain(order, kind, RefundOutcome.NO_REPLY, reply.reason or "incomplete")
        return RefundEvidence(
            kind=kind,
            channel=CHANNEL,
            refund_no=order.refund_no,
            payment_no=order.payment_no,
            outcome=outcome,
            observed_at=clock.now(),
            source_id=f"{order.refund_no}:{outcome}"[:80],
            channel_refund_id=reply.get("refund_id")[:64] or None,
            amount_fen=amount,
            currency=CURRENCY,
            occurred_at=wording.moment(reply.get("paid_date"), reply.get("paid_time")),
        )


def _plain(
    order: RefundOrder, kind: EvidenceKind, outcome: RefundOutcome, reason: str, *, proven: bool = False
) -> RefundEvidence:
    return RefundEvidence(
        kind=kind,
        channel=CHANNEL,
        refund_no=order.refund_no,
        payment_no=order.payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{order.refund_no}:{outcome}"[:80],
        reason=reason[:120],
        proven=proven,
    )
