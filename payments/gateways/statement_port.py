"""The statement side of a channel: what `gateway.statements` fetches and reads, line by line, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec


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


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Amounts in fen and never negative, except the fee; `line_no` counts from 1 within the list of the file.

    A struct and not a dataclass, because a file may have a million of them.
    """

    line_no: int
    kind: LineKind
    amount_fen: int  # of a payment: what we asked for; of a refund: what we asked to give back
    currency: str
    happened_at: datetime
    payment_no: str | None = None
    channel_txn_id: str | None = None
    refund_no: str | None = None
    channel_refund_id: str | None = None
    fee_fen: int = 0  # what the channel keeps for it; below zero: what it gives back with a refund
    settle_fen: int | None = (
        None  # TRADE: what moves on the merchant's account, fee apart; None: the same as the amount
    )
    incoming: bool = True  # of FUND lines: whether the merchant's balance grew
    status: str = ""  # the channel's own word
    done: bool = True  # False: the file names it and says that it did not happen (revoked, failed)
    ours: bool = True  # False: another application of the same merchant; counted in the totals, never matched
    flow_no: str | None = None  # the account movement of a FUND line


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file on our disk. `proof` says what vouches for its bytes ("sha1" of a signed answer, "https" where there is no hash).

    `sha256` is over the content without its packing, so that the same content fetched twice has the same hash.
    """

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


class StatementPort(Protocol):
    """How one channel shows its books."""

    kinds: tuple[StatementKind, ...]
    ready_hour: int  # Beijing time of the following day
    # True: the FUND file of a day pays the day's trades out in sums. False: it shows every movement by itself.
    settles_in_sums: bool

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched | NotFetched:
        """Downloads the file of a day into a new file in the folder `into`, streamed and hashed. Never raises."""
        ...

    def lines(self, path: Path, kind: StatementKind) -> Iterator[StatementLine]:
        """The lines of a fetched file in order; works on a thread, never on the loop.

        Raises StatementInvalid at the first line that cannot be read, or at the end when count or sums differ from what the
        file says of itself. Nothing may be used before the last line came.
        """
        ...
