"""A hand-written channel for the port `PaymentGateway`: it keeps orders like a partner does and misbehaves when told to."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernel import clock
from payments.gateways.base import (
    Ack,
    Capabilities,
    CloseOutcome,
    CloseResult,
    Evidence,
    EvidenceKind,
    Order,
    OrderDraft,
    Outcome,
    Refusal,
    Rejected,
    VerifiedNotice,
)
from payments.gateways.statement_port import StatementPort
from tests.payments.fake_refunds import FakeRefunds

MERCHANT, APP = "1900000109", "wxd678efh567hg6787"
_numbers = itertools.count(1)
CAPABILITIES = Capabilities(
    minimum_fen=1,
    maximum_fen=10**10,
    needs_payer_id=True,
    order_life_seconds=7200,
    least_life_seconds=90,
    client_action_life_seconds=6600,
)


@dataclass
class FakeOrder:
    """What the partner remembers of one order."""

    body: bytes
    state: str = "NOTPAY"
    txn_id: str | None = None
    payer: str = ""
    amount_fen: int = 0


@dataclass
class FakeChannel:
    """Answers honestly unless `faults` holds something for the call: "before" and "after" lose the reply, "not_sent", "refuse"."""

    channel: str = "wechat"
    partner: str = "wechat-pay"
    product: str = "jsapi"
    kept_headers = ("wechatpay-",)
    orders: dict[str, FakeOrder] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    proven_not_found: bool = False
    signed: dict[str, bytes] = field(default_factory=dict)  # prepared locally, not opened by the payer yet
    capabilities: Capabilities = CAPABILITIES
    statements: StatementPort | None = None
    txn_prefix: str = "4200"

    @property
    def products(self) -> dict[str, Capabilities]:
        return {self.product: self.capabilities}

    @property
    def offered(self) -> tuple[str, ...]:
        return (self.product,)

    refunds: FakeRefunds = field(default_factory=FakeRefunds)

    def order_body(self, draft: OrderDraft) -> bytes:
        return json.dumps({"no": draft.payment_no, "total": draft.amount_fen, "payer": draft.payer_id}).encode()

    async def prepare(self, order: Order) -> Evidence:
        self.calls.append(("prepare", order.payment_no))
        fault = self._fault("prepare")
        if fault == "not_sent":
            return self._say(order.payment_no, EvidenceKind.REPLY, Outcome.NOT_SENT)
        if fault == "before":
            return self._say(order.payment_no, EvidenceKind.REPLY, Outcome.NO_REPLY)
        if fault == "refuse":
            return self._say(order.payment_no, EvidenceKind.REPLY, Outcome.REFUSED)
        if fault == "crash":
            raise ValueError("a bug in the gateway")
        if self.capabilities.prepared_locally:
            self.signed[order.payment_no] = order.body
            return self.accepted(order.payment_no)
        known = self.orders.get(order.payment_no)
        if known is None:
            content = json.loads(order.body)
            known = FakeOrder(order.body, payer=content["payer"], amount_fen=content["total"])
            self.orders[order.payment_no] = known
        assert known.body == order.body, "a resend must carry the identical bytes"
        if fault == "after" or known.state != "NOTPAY":
            return self._say(order.payment_no, EvidenceKind.REPLY, Outcome.NO_REPLY)
        return self.accepted(order.payment_no)

    async def query(self, order: Order) -> Evidence:
        self.calls.append(("query", order.payment_no))
        if self._fault("query"):
            return self._say(order.payment_no, EvidenceKind.QUERY, Outcome.NO_REPLY)
        return self.answer(order.payment_no)

    async def close(self, order: Order) -> CloseResult:
        self.calls.append(("close", order.payment_no))
        if self._fault("close"):
            return CloseResult(CloseOutcome.UNKNOWN)
        known = self.orders.get(order.payment_no)
        if known is None:
            return CloseResult(CloseOutcome.UNKNOWN, "nothing to close yet")
        if known.state == "SUCCESS":
            return CloseResult(CloseOutcome.ALREADY_PAID)
        known.state = "CLOSED"
        return CloseResult(CloseOutcome.CLOSED)

    async def verify_notification(self, headers: Mapping[str, str], raw: bytes) -> VerifiedNotice | Rejected:
        if headers.get("Wechatpay-Signature") != "good":
            return Rejected(reason=Refusal.BAD_SIGNATURE)
        return self.open_stored(raw)

    def open_stored(self, raw: bytes) -> VerifiedNotice | Rejected:
        content = json.loads(raw)
        return VerifiedNotice(
            event_id=content["id"],
            event_type="TRANSACTION.SUCCESS",
            evidence=self.notice(content["no"], event_id=content["id"]),
            payment_no=content["no"],
        )

    def ack(self, verdict: VerifiedNotice | Rejected) -> Ack:
        return Ack(204 if isinstance(verdict, VerifiedNotice) else 401, {}, b"")

    def is_ours(self, evidence: Evidence) -> bool:
        return (evidence.merchant_id, evidence.app_id) == (MERCHANT, APP)

    async def refresh_keys(self, wanted: str = "") -> None:
        self.calls.append(("refresh_keys", ""))

    # What the partner's side of the story offers to tests.

    def open(self, payment_no: str) -> None:
        """The payer opens what was prepared locally: only now the partner has an order."""
        content = json.loads(self.signed[payment_no])
        self.orders[payment_no] = FakeOrder(self.signed[payment_no], amount_fen=content["total"])

    def pay(self, payment_no: str) -> None:
        """The payer pays in the cashier."""
        order = self.orders[payment_no]
        assert order.state == "NOTPAY"
        order.state, order.txn_id = "SUCCESS", f"{self.txn_prefix}{next(_numbers):024d}"

    def accepted(self, payment_no: str) -> Evidence:
        return self._say(
            payment_no, EvidenceKind.REPLY, Outcome.ACCEPTED, client_action={"package": f"prepay_id=wx{payment_no}"}
        )

    def answer(self, payment_no: str) -> Evidence:
        """What a query says now."""
        order = self.orders.get(payment_no)
        if order is None:
            return self._say(payment_no, EvidenceKind.QUERY, Outcome.NOT_FOUND, proven=self.proven_not_found)
        if order.state == "SUCCESS":
            return self._money(payment_no, EvidenceKind.QUERY, f"{payment_no}:{order.txn_id}")
        return self._say(payment_no, EvidenceKind.QUERY, Outcome.CLOSED if order.state == "CLOSED" else Outcome.NOTPAY)

    def notice(self, payment_no: str, *, event_id: str | None = None, **changed: object) -> Evidence:
        """The payment notice, with fields changed before "signing" if wanted."""
        return self._money(payment_no, EvidenceKind.NOTICE, event_id or f"EV-{payment_no}", **changed)

    def _money(self, payment_no: str, kind: EvidenceKind, source_id: str, **changed: object) -> Evidence:
        order = self.orders.get(payment_no) or FakeOrder(b"", txn_id="4200X", amount_fen=1000)
        content = {
            "channel_txn_id": order.txn_id,
            "amount_fen": order.amount_fen,
            "currency": "CNY",
            "merchant_id": MERCHANT,
            "app_id": APP,
            "payer_id": order.payer or None,
            "occurred_at": clock.now(),
        } | changed
        return Evidence(
            kind=kind,
            channel=self.channel,
            payment_no=payment_no,
            outcome=Outcome.PAID,
            observed_at=clock.now(),
            source_id=source_id,
            **content,
        )

    def _say(self, payment_no: str, kind: EvidenceKind, outcome: Outcome, **more: object) -> Evidence:
        return Evidence(
            kind=kind,
            channel=self.channel,
            payment_no=payment_no,
            outcome=outcome,
            observed_at=clock.now(),
            source_id=f"{payment_no}:{outcome}",
            **more,
        )

    def _fault(self, call: str) -> str | None:
        waiting = self.faults.get(call)
        return waiting.pop(0) if waiting else None

    def count(self, call: str) -> int:
        return sum(1 for name, _ in self.calls if name == call)
