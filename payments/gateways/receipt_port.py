"""The e-receipt side of a channel (财政电子票据): what `gateway.receipts` takes and answers. Results are values: no exception crosses."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class ReceiptOutcome(StrEnum):
    """What a statement says about a receipt. NO_REPLY and NOT_FOUND conclude nothing: the same number is used again."""

    NOT_SENT = "not_sent"
    NO_REPLY = "no_reply"
    NOT_FOUND = "not_found"
    RESERVED = "reserved"  # a number is kept, nothing is issued yet
    ISSUED = "issued"  # and may be reversed
    ON_PAPER = "on_paper"  # exchanged for paper: it cannot be reversed before the paper came back
    REVERSED = "reversed"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class ReceiptOrder:
    """One receipt under our own number, which makes every call repeatable. `amount_fen` is what the payer paid into the bill."""

    request_no: str
    payment_no: str
    channel_txn_id: str
    unit_code: str
    amount_fen: int


@dataclass(frozen=True, kw_only=True)
class ReceiptEvidence:
    """One statement about one receipt."""

    outcome: ReceiptOutcome
    code: str = ""
    number: str = ""
    check_code: str = ""
    url: str = ""
    red_number: str = ""
    reason: str = ""


class ReceiptPort(Protocol):
    """How one channel issues and reverses e-receipts."""

    async def issue(self, order: ReceiptOrder) -> ReceiptEvidence:
        """Issues the receipt, or answers the one that was issued under this number before."""
        ...

    async def query(self, order: ReceiptOrder) -> ReceiptEvidence:
        """How the receipt stands now."""
        ...

    async def check_reversible(self, order: ReceiptOrder) -> ReceiptEvidence:
        """Before a refund: ISSUED (or REVERSED) may be reversed, ON_PAPER may not, anything else is not known."""
        ...

    async def reverse(self, order: ReceiptOrder, reason: str) -> ReceiptEvidence:
        """冲红. REVERSED, ON_PAPER, REFUSED, or not known."""
        ...


@runtime_checkable
class GivesReceipts(Protocol):
    """A gateway that may have a receipt side."""

    receipts: ReceiptPort | None
