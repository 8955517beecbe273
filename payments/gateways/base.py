"""The port every payment channel implements, and its result types. Results are values: no exception crosses this border."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from payments.gateways.statement_port import StatementPort

if TYPE_CHECKING:
    from payments.gateways.refund_port import RefundEvidence, RefundPort


class EvidenceKind(StrEnum):
    """How a statement reached us."""

    NOTICE = "notice"
    QUERY = "query"
    REPLY = "reply"
    BILL_LINE = "bill_line"
    OPERATOR = "operator"


class Outcome(StrEnum):
    """What a statement says about an order. Only the last three conclude."""

    NOT_SENT = "not_sent"  # certainly nothing left us
    ACCEPTED = "accepted"
    NO_REPLY = "no_reply"
    NOT_FOUND = "not_found"
    NOTPAY = "notpay"
    REFUSED = "refused"
    CLOSED = "closed"
    PAID = "paid"


@dataclass(frozen=True, kw_only=True)
class CodeSeen:
    """A statement about a 缴款码 of ours rather than about an order: the code may be paid where no order of ours was involved."""

    pay_code: str
    order_no: str = ""  # the order of ours that was paid, if the statement names one
    elsewhere: bool = False  # paid in a way that no order of ours uses, such as a bank counter


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One statement about one order. `proven` is False only for NOT_SENT, NO_REPLY and an unsigned NOT_FOUND."""

    kind: EvidenceKind
    channel: str
    payment_no: str
    outcome: Outcome
    observed_at: datetime
    source_id: str
    raw_ref: str = ""
    channel_txn_id: str | None = None
    amount_fen: int | None = None
    currency: str | None = None
    merchant_id: str | None = None
    app_id: str | None = None
    payer_id: str | None = field(default=None, repr=False)  # personal data: compared, never stored or logged
    occurred_at: datetime | None = None
    reason: str = ""
    proven: bool = True
    client_action: Mapping[str, str] | None = field(default=None, repr=False)
    code: CodeSeen | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a gateway is told about an attempt. `body` holds the exact bytes that were committed before the first send."""

    payment_no: str
    product: str
    amount_fen: int
    currency: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OrderDraft:
    """What a gateway needs to write the body of a new order; pure, no call happens."""

    payment_no: str
    product: str
    amount_fen: int
    currency: str
    description: str
    expires_at: datetime
    payer_id: str = field(repr=False)
    payer_address: str | None = field(
        default=None, repr=False
    )  # the phone's IP address, for products that must name it


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a product of the channel can do; the core refuses the rest before any call."""

    minimum_fen: int
    maximum_fen: int
    needs_payer_id: bool
    order_life_seconds: int  # longest life of an order we ask for
    least_life_seconds: int  # shorter ones are refused by the channel or useless to the payer
    client_action_life_seconds: int  # after this the phone needs a fresh one for the same order
    needs_payer_address: bool = False
    # The phone gets something we signed ourselves; the channel has no order before the payer opens it. "No such order" then
    # means "not opened yet", and only the end of what was signed ends it.
    prepared_locally: bool = False
    # The bill stays payable at the channel when an order has ended: a new order may be opened while the old one is still watched.
    bill_outlives_order: bool = False


class CloseOutcome(StrEnum):
    """Answer to a close: only CLOSED concludes."""

    CLOSED = "closed"
    ALREADY_PAID = "already_paid"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CloseResult:
    """What came of a close and why it is not known, if it is not."""

    outcome: CloseOutcome
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifiedNotice:
    """A notice whose proof holds: about an order (`evidence`), about a refund (`refund`), or about nothing of ours."""

    event_id: str
    event_type: str
    evidence: Evidence | None
    refund: "RefundEvidence | None" = None
    refund_no: str | None = None
    payment_no: str | None = None
    reply_to: str = ""  # the message's own number, where the acknowledgement must name it
    ask_about: str | None = None  # an unproven hint: nothing is believed, but this 缴款码 is asked about at once
    ask: bool = False  # it says nothing that counts, and is a reason to ask about the order now


class Refusal(StrEnum):
    """Why a notice was not accepted; `ack` turns it into what the partner expects."""

    MISSING_HEADER = "missing-header"
    BAD_TIMESTAMP = "bad-timestamp"
    UNKNOWN_SERIAL = "unknown-serial"
    BAD_SIGNATURE = "bad-signature"
    PROBE = "probe"  # the partner tests whether we verify
    NOT_JSON = "not-json"
    BAD_FRAME = "bad-frame"  # a length or a header that cannot be
    UNPARSABLE = "unparsable"  # not a message of this partner at all
    UNREADABLE = "unreadable"  # verified, but it cannot be opened: our key is wrong
    FOREIGN = "foreign"  # verified, opened, and meant for another merchant or app
    NOT_STORED = "not-stored"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A notice that is not accepted."""

    reason: Refusal
    detail: str = ""
    serial: str = ""


@dataclass(frozen=True)
class Ack:
    """Exactly what goes back to the partner."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of the channel that verifies its messages."""

    serial: str
    pem: str
    effective_at: datetime
    expires_at: datetime


class CertificateStore(Protocol):
    """Where certificates live that all processes of the product share."""

    async def load(self, channel: str) -> list[Certificate]: ...

    async def save(self, channel: str, certificates: list[Certificate]) -> None: ...


class KeyNews(Protocol):
    """Told when a message names a key we do not have."""

    async def __call__(self, channel: str, serial: str = "") -> None: ...


class PaymentGateway(Protocol):
    """One payment channel."""

    channel: str
    partner: str  # the name of its inbox
    products: Mapping[str, Capabilities]  # all it can speak about: orders of a product outlive its being offered
    offered: tuple[str, ...]  # the products that new payments may use here
    kept_headers: tuple[str, ...]  # headers of a notice that are stored with it, by how they begin, in lower case
    statements: StatementPort | None  # None: the channel gives no daily files, so nothing of it can be reconciled

    @property
    def refunds(self) -> "RefundPort":
        """The refund side."""
        ...

    def order_body(self, draft: OrderDraft) -> bytes:
        """The exact bytes to commit and send. Pure."""
        ...

    async def prepare(self, order: Order) -> Evidence:
        """Creates the order, or repeats the identical request. ACCEPTED, REFUSED (a proven no), NOT_SENT or NO_REPLY."""
        ...

    async def query(self, order: Order) -> Evidence:
        """Asks about the order. PAID, NOTPAY, CLOSED, NOT_FOUND or NO_REPLY."""
        ...

    async def close(self, order: Order) -> CloseResult:
        """Asks the channel to close the order."""
        ...

    async def verify_notification(self, headers: Mapping[str, str], raw: bytes) -> VerifiedNotice | Rejected:
        """Checks the received bytes in the order the protocol prescribes, then opens them."""
        ...

    def open_stored(self, raw: bytes) -> VerifiedNotice | Rejected:
        """Opens a notice that was verified when it was received."""
        ...

    def ack(self, verdict: VerifiedNotice | Rejected) -> Ack:
        """The answer this partner expects."""
        ...

    def is_ours(self, evidence: Evidence) -> bool:
        """Whether merchant and application of the evidence are ours."""
        ...

    async def refresh_keys(self, wanted: str = "") -> None:
        """Fetches the channel's current keys, or the one of the serial `wanted`; a failure keeps the old ones."""
        ...


def describe(evidence: Evidence) -> dict[str, Any]:
    """What may be logged of a statement."""
    return {
        "channel": evidence.channel,
        "payment_no": evidence.payment_no,
        "kind": str(evidence.kind),
        "outcome": str(evidence.outcome),
        "reason": evidence.reason,
    }
