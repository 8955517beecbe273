"""The statement side of a channel: what `gateway.statements` fetches and reads, line by line, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class StatementKind(StrEnum):
    """Which of the channel's daily files."""

    TRADE = "trade"  # what was paid and refunded
    FUND = "fund"  # what moved on the merchant's account


class LineKind(StrEnum):
    """What one line of a file is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    SETTLEMENT = "settlement"  # money that left the channel for the bank
    FEE = "fee"
    OTHER = "other"  # known to the file, unknown to us: shown, never dropped


@dataclass(frozen=True, kw_only=True)
class StatementLine:
    """One line. Amounts in fen and never negative; `line_no` counts from 1 within the list of the file."""

    line_no: int
    kind: LineKind
    amount_fen: int
    currency: str
    happened_at: datetime
    payment_no: str | None = None
    channel_txn_id: str | None = None
    refund_no: str | None = None
    channel_refund_id: str | None = None
    fee_fen: int = 0
    incoming: bool = True  # of FUND lines: whether the merchant's balance grew
    status: str = ""  # the channel's own word
    flow_no: str | None = None  # the account movement of a FUND line


@dataclass(frozen=True, kw_only=True)
class StatementTotals:
    """What the file says of itself at its end. None where the channel gives no such figure."""

    lines: int | None
    paid_fen: int | None
    refunded_fen: int | None
    fee_fen: int | None


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file on our disk. `proof` says what vouches for its bytes ("sha1" of a signed answer, "https" where there is no hash)."""

    path: Path
    sha256: str
    proof: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class NotFetched:
    """Why there is no file. `again_seconds` is when asking again makes sense; None: never for this day."""

    reason: str  # creating | none | unknown | bad-hash | too-large
    again_seconds: int | None


class StatementInvalid(Exception):
    """The file is broken, truncated or does not add up: nothing of it may be used."""


class StatementFile(Protocol):
    """An opened file: its lines once, then its totals."""

    def lines(self) -> Iterator[StatementLine]:
        """The lines in order; raises StatementInvalid at the first that cannot be read, or at the end when the totals differ."""
        ...

    @property
    def totals(self) -> StatementTotals:
        """After the last line."""
        ...


class StatementPort(Protocol):
    """How one channel shows its books."""

    kinds: tuple[StatementKind, ...]
    ready_hour: int  # Beijing time of the following day

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched | NotFetched:
        """Downloads the file of a day into a new file in the folder `into`, streamed and hashed."""
        ...

    def open(self, path: Path, kind: StatementKind) -> StatementFile:
        """Reads a fetched file; works on a thread, never on the loop."""
        ...
