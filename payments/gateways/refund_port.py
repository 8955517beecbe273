"""The refund side of a channel: what `gateway.refunds` takes and answers. Results are values: no exception crosses this border."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from payments.gateways.base import EvidenceKind


class RefundOutcome(StrEnum):
    """What a statement says about a refund. SUCCESS, CLOSED, ABNORMAL and REFUSED conclude."""

    NOT_SENT = "not_sent"  # certainly nothing left us
    NO_REPLY = "no_reply"
    NOT_FOUND = "not_found"  # never "failed": the same number with the same bytes is sent again
    NOT_ENOUGH = "not_enough"  # the merchant's balance is too small: the same number after a top-up
    PROCESSING = "processing"
    SUCCESS = "success"
    CLOSED = "closed"  # the channel gave up; nothing moved, a new refund needs a new number
    ABNORMAL = "abnormal"  # the money left the merchant and did not reach the payer: a person decides
    REFUSED = "refused"  # a proven business refusal of this request


@dataclass(frozen=True, kw_only=True)
class RefundEvidence:
    """One statement about one refund. `proven` is False only for NOT_SENT, NO_REPLY and an unsigned NOT_FOUND.

    `amount_fen` is the amount of this refund, never a running total of the order.
    """

    kind: EvidenceKind
    channel: str
    refund_no: str
    payment_no: str
    outcome: RefundOutcome
    observed_at: datetime
    source_id: str
    raw_ref: str = ""
    channel_refund_id: str | None = None
    amount_fen: int | None = None
    currency: str | None = None
    merchant_id: str | None = None
    occurred_at: datetime | None = None
    reason: str = ""
    proven: bool = True


@dataclass(frozen=True, kw_only=True)
class RefundDraft:
    """What a gateway needs to write the body of a refund; pure, no call happens. Amounts in fen."""

    refund_no: str
    payment_no: str
    channel_txn_id: str
    amount_fen: int
    paid_fen: int  # what the payer paid with this order
    currency: str
    reason: str  # shown to the payer by the channel; at most 80 bytes of UTF-8 and without personal data


@dataclass(frozen=True, kw_only=True)
class RefundOrder:
    """What a gateway is told about a refund. `body` holds the exact bytes that were committed before the first send."""

    refund_no: str
    payment_no: str
    channel_txn_id: str
    amount_fen: int
    currency: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RefundCapabilities:
    """What the channel can do; the core refuses or delays the rest before any call."""

    most_days: int  # after the payment; later the money goes back another way
    most_parts: int  # refunds of one order
    least_interval_seconds: int  # between two refunds of one order
    first_query_seconds: int  # not sooner after the send
    can_repair_abnormal: bool


@dataclass(frozen=True, kw_only=True)
class RepairDraft:
    """What is needed to send an ABNORMAL refund on: to the payer's bank card, or without one to the merchant's own."""

    refund_no: str
    bank_type: str = ""  # the channel's word for the bank
    account: str = field(default="", repr=False)
    holder: str = field(default="", repr=False)


class RefundPort(Protocol):
    """How one channel gives money back."""

    capabilities: RefundCapabilities

    def is_ours(self, evidence: RefundEvidence) -> bool:
        """Whether the merchant named by the evidence is ours; asked only when it names one."""
        ...

    def body(self, draft: RefundDraft) -> bytes:
        """The exact bytes to commit and send. Pure."""
        ...

    async def send(self, order: RefundOrder) -> RefundEvidence:
        """Asks for the refund, or repeats the identical request with a fresh signature. Never NOT_FOUND."""
        ...

    async def query(self, order: RefundOrder) -> RefundEvidence:
        """Asks about the refund. Never NOT_SENT for a conclusion, never "failed" for an empty answer."""
        ...

    def repair_body(self, draft: RepairDraft) -> bytes:
        """The exact bytes that send an ABNORMAL refund on; only where `can_repair_abnormal`."""
        ...

    async def repair_abnormal(self, order: RefundOrder, *, channel_refund_id: str, body: bytes) -> RefundEvidence:
        """Sends an ABNORMAL refund on to another account; only where `can_repair_abnormal`."""
        ...


def describe(evidence: RefundEvidence) -> Mapping[str, Any]:
    """What may be logged of a statement."""
    return {
        "channel": evidence.channel,
        "refund_no": evidence.refund_no,
        "payment_no": evidence.payment_no,
        "kind": str(evidence.kind),
        "outcome": str(evidence.outcome),
        "reason": evidence.reason,
    }
