"""Our side of the comparison, read in pages: the payments and refunds of a day, and whatever a file names beyond them."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from kernel import clock, db
from payments.gateways.statement_port import LineKind
from payments.reconciliation.scratch import BATCH, Ours
from payments.states import SETTLED

_SETTLED = frozenset(str(state) for state in SETTLED)
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


def _payment(row: dict[str, object], *, that_day: bool) -> Ours:
    return Ours(
        kind=LineKind.PAYMENT,
        number=str(row["payment_no"]),
        channel_txn_id=str(row["channel_txn_id"]) if row["channel_txn_id"] is not None else None,
        amount_fen=int(str(row["amount_fen"])),
        currency=str(row["currency"]),
        settled=row["state"] in _SETTLED,
        that_day=that_day,
    )
