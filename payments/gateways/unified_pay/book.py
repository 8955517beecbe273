"""What the gateway must know of our bills: the 缴款码 of an attempt and what is demanded. The table behind it is `payments.paycodes`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class DemandLine:
    """One chargeable item of a bill; equal codes are summed. Amount in fen."""

    code: str
    name: str
    quantity: int
    amount_fen: int


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one attempt asks the platform to collect, under which code. Amounts in fen."""

    pay_code: str
    bill_no: str
    unit_code: str
    title: str
    amount_fen: int
    lines: tuple[DemandLine, ...]
    order_ends_at: datetime
    registered: bool


class CodeBook(Protocol):
    """Codes are given once per bill and amount, committed before the platform hears of them."""

    async def demand(self, payment_no: str) -> Demand | None:
        """The demand of an attempt; makes the code on first use. None when there is no such attempt."""
        ...

    async def knows(self, pay_code: str) -> bool:
        """Whether the code is ours."""
        ...

    async def registered(self, pay_code: str) -> None:
        """The platform has the bill."""
        ...
