"""The refund side of the hand-written channel: it keeps refunds like a partner does and misbehaves when told to."""

import itertools
import json
from dataclasses import dataclass, field

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

MERCHANT = "1900000109"
_numbers = itertools.count(1)
CAPABILITIES = RefundCapabilities(
    most_days=365, most_parts=50, least_interval_seconds=60, first_query_seconds=60, can_repair_abnormal=True
)


@dataclass
class FakeRefund:
    """What the partner remembers of one refund."""

    body: bytes
    payment_no: str
    amount_fen: int
    refund_id: str
    state: str = "PROCESSING"
    asked: int = 1


@dataclass
class FakeRefunds:
    """Honest unless `faults` holds something: "before", "after", "not_sent", "refuse", "not_enough"; for query "silent"."""

    channel: str = "wechat"
    capabilities: RefundCapabilities = CAPABILITIES
    refunds: dict[str, FakeRefund] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    at_once: str = ""  # the state a new refund has at once; otherwise PROCESSING
    proven_not_found: bool = True

    def is_ours(self, evidence: RefundEvidence) -> bool:
        return evidence.merchant_id == MERCHANT

    def body(self, draft: RefundDraft) -> bytes:
        return json.dumps({"no": draft.refund_no, "fen": draft.amount_fen, "of": draft.paid_fen}).encode()

    async def send(self, order: RefundOrder) -> RefundEvidence:
        self.calls.append(("refund", order.refund_no))
        plain = {"not_sent": "not_sent", "before": "no_reply", "refuse": "refused", "not_enough": "not_enough"}
        fault = self._fault("refund")
        if fault == "crash":
            raise ValueError("a bug in the gateway")
        if fault in plain:
            return self.say(order.refund_no, EvidenceKind.REPLY, RefundOutcome(plain[fault]), order.payment_no)
        known = self.refunds.get(order.refund_no)
        if known is None:
            content = json.loads(order.body)
            known = FakeRefund(order.body, order.payment_no, content["fen"], f"5030{next(_numbers):020d}")
            known.state = self.at_once or known.state
            self.refunds[order.refund_no] = known
        else:
            known.asked += 1
        assert known.body == order.body, "a resend must carry the identical bytes"
        if fault == "after":
            return self.say(order.refund_no, EvidenceKind.REPLY, RefundOutcome.NO_REPLY, order.payment_no)
        return self.state(order.refund_no, EvidenceKind.REPLY)

    async def query(self, order: RefundOrder) -> RefundEvidence:
        self.calls.append(("refund_query", order.refund_no))
        if self._fault("refund_query"):
            return self.say(order.refund_no, EvidenceKind.QUERY, RefundOutcome.NO_REPLY, order.payment_no)
        return self.answer(order.refund_no, order.payment_no)

    def repair_body(self, draft: RepairDraft) -> bytes:
        return json.dumps({"no": draft.refund_no, "bank": draft.bank_type}).encode()

    async def repair_abnormal(self, order: RefundOrder, *, channel_refund_id: str, body: bytes) -> RefundEvidence:
        self.calls.append(("repair", order.refund_no))
        known = self.refunds[order.refund_no]
        assert known.refund_id == channel_refund_id
        if self._fault("repair"):
            return self.say(order.refund_no, EvidenceKind.REPLY, RefundOutcome.REFUSED, order.payment_no)
        known.state = "PROCESSING"
        return self.state(order.refund_no, EvidenceKind.REPLY)

    # What the partner's side of the story offers to tests.

    def finish(self, refund_no: str, state: str = "SUCCESS") -> None:
        self.refunds[refund_no].state = state

    def answer(self, refund_no: str, payment_no: str = "") -> RefundEvidence:
        """What a query says now."""
        if refund_no not in self.refunds:
            outcome = RefundOutcome.NOT_FOUND
            return self.say(refund_no, EvidenceKind.QUERY, outcome, payment_no, proven=self.proven_not_found)
        return self.state(refund_no, EvidenceKind.QUERY)

    def notice(self, refund_no: str, *, event_id: str | None = None, **changed: object) -> RefundEvidence:
        """The refund notice, with fields changed before "signing" if wanted."""
        state = self.refunds[refund_no].state
        event_id = event_id or f"EV-{refund_no}-{state}"
        return self.state(
            refund_no,
            EvidenceKind.NOTICE,
            source_id=event_id,
            **({"merchant_id": MERCHANT, "currency": None} | changed),
        )

    def state(self, refund_no: str, kind: EvidenceKind, **changed: object) -> RefundEvidence:
        known = self.refunds[refund_no]
        content = {
            "payment_no": known.payment_no,
            "outcome": RefundOutcome(known.state.lower()),
            "source_id": f"{refund_no}:{known.state}",
            "channel_refund_id": known.refund_id,
            "amount_fen": known.amount_fen,
            "currency": "CNY",
            "occurred_at": clock.now() if known.state == "SUCCESS" else None,
        } | changed
        return RefundEvidence(
            kind=kind, channel=self.channel, refund_no=refund_no, observed_at=clock.now(), **content
        )  # fmt: skip

    def say(
        self, refund_no: str, kind: EvidenceKind, outcome: RefundOutcome, payment_no: str, *, proven: bool | None = None
    ) -> RefundEvidence:
        concludes = outcome in (RefundOutcome.REFUSED, RefundOutcome.NOT_ENOUGH)
        return RefundEvidence(
            kind=kind,
            channel=self.channel,
            refund_no=refund_no,
            payment_no=payment_no,
            outcome=outcome,
            observed_at=clock.now(),
            source_id=f"{refund_no}:{outcome}",
            reason=str(outcome),
            proven=concludes if proven is None else proven,
        )

    def count(self, call: str) -> int:
        return sum(1 for name, _ in self.calls if name == call)

    def _fault(self, call: str) -> str | None:
        waiting = self.faults.get(call)
        return waiting.pop(0) if waiting else None
