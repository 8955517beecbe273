"""Our side of the comparison, read in pages: the payments and refunds of a day, and whatever a file names beyond them."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from kernel import clock, db
from payments.gateways.statement_port import LineKind
from payments.reconciliation.scratch import BATCH, Ours
from payments.refund_states import RefundState
from payments.states import SETTLED

_SETTLED = frozenset(str(state) for state in SETTLED)
_TAKEN = frozenset(
    str(state)
    for state in (RefundState.PROCESSING, RefundState.SUCCESS, RefundState.ABNORMAL, RefundState.SUCCESS_OFFLINE)
)
_REFUND_COLUMNS = (
    "r.id, r.refund_no, r.channel_refund_id, r.amount_fen, r.currency, r.state, r.sent_at, a.payment_no "
    "FROM payments_refund r JOIN payments_attempt a ON a.id = r.attempt_id"
)
_COLUMNS = "id, payment_no, channel_txn_id, amount_fen, currency, state, paid_at"


def bounds(day: date) -> tuple[datetime, datetime]:
    """A day in Beijing as instants: from its first moment to that of the next day."""
    start = datetime.combine(day, time(), tzinfo=clock.SHANGHAI).astimezone(UTC)
    return start, start + timedelta(days=1)


async def payments_of(channel: str, day: date) -> AsyncIterator[list[Ours]]:
    """Every payment whose money came that day, by (paid_at, id)."""
    start, end = bounds(day)
    at, last = start, 0
    while True:
        rows = await db.fetch(
            f"SELECT {_COLUMNS} FROM payments_attempt WHERE channel = ? AND paid_at >= ? AND paid_at < ? "
            f"AND (paid_at, id) > (?, ?) ORDER BY paid_at, id LIMIT ?",
            channel, db.at(start), db.at(end), db.at(at), last, BATCH,
        )  # fmt: skip
        if not rows:
            return
        yield [_payment(row, that_day=True) for row in rows]
        at, last = db.instant(rows[-1]["paid_at"]) or end, int(rows[-1]["id"])


async def payments_named(channel: str, numbers: Sequence[str]) -> list[Ours]:
    """The payments with these numbers, of any day and in any state."""
    if not numbers:
        return []
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM payments_attempt WHERE channel = ? AND payment_no {db.any_of(numbers, 'text')}",
        channel,
        *db.values_of(numbers),
    )
    return [_payment(row, that_day=False) for row in rows]


async def refunds_of(channel: str, day: date) -> AsyncIterator[list[Ours]]:
    """Every refund that the channel took from us that day, by (sent_at, id): its file dates refunds by their beginning."""
    start, end = bounds(day)
    at, last = start, 0
    while True:
        rows = await db.fetch(
            f"SELECT {_REFUND_COLUMNS} WHERE r.channel = ? AND r.sent_at >= ? AND r.sent_at < ? AND (r.sent_at, r.id) > (?, ?) "
            "ORDER BY r.sent_at, r.id LIMIT ?",
            channel, db.at(start), db.at(end), db.at(at), last, BATCH,
        )  # fmt: skip
        if not rows:
            return
        yield [_refund(row, that_day=True) for row in rows]
        at, last = db.instant(rows[-1]["sent_at"]) or end, int(rows[-1]["id"])


async def refunds_named(channel: str, numbers: Sequence[str]) -> list[Ours]:
    """The refunds with these numbers, of any day and in any state."""
    if not numbers:
        return []
    rows = await db.fetch(
        f"SELECT {_REFUND_COLUMNS} WHERE r.channel = ? AND r.refund_no {db.any_of(numbers, 'text')}",
        channel,
        *db.values_of(numbers),
    )
    return [_refund(row, that_day=False) for row in rows]


def is_taken(state: str, channel_refund_id: str | None) -> bool:
    """Whether the channel has taken a refund from us, whatever became of it: only then its file has a line of it.

    An abnormal one without a number of the channel was never there.
    """
    return state in _TAKEN and channel_refund_id is not None


def _refund(row: dict[str, Any], *, that_day: bool) -> Ours:
    return Ours(
        kind=LineKind.REFUND,
        number=row["refund_no"],
        channel_txn_id=row["channel_refund_id"],
        amount_fen=int(row["amount_fen"]),
        currency=row["currency"],
        settled=is_taken(row["state"], row["channel_refund_id"]),
        that_day=that_day,
        payment_no=row["payment_no"],
    )


def _payment(row: dict[str, Any], *, that_day: bool) -> Ours:
    return Ours(
        kind=LineKind.PAYMENT,
        number=row["payment_no"],
        channel_txn_id=row["channel_txn_id"],
        amount_fen=int(row["amount_fen"]),
        currency=row["currency"],
        settled=row["state"] in _SETTLED,
        that_day=that_day,
    )
