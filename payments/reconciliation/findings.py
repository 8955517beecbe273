"""What a comparison leaves in the database: differences, the few lines worth keeping, and the end of what waited for this file."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

import structlog

from kernel import clock, db
from payments import differences
from payments.gateways.statement_port import StatementKind
from payments.models import Difference
from payments.reconciliation import runs
from payments.reconciliation.matching import MATCH, OTHER_DAY
from payments.reconciliation.models import ReconLine, ReconRun
from payments.reconciliation.scratch import Desk, Found
from payments.reconciliation.states import CLASSES, DifferenceState, difference_class

log = structlog.get_logger(__name__)

# What the next days' files may still explain, and for how many days that is waited for.
CARRIED_CLASSES = ("LOCAL_ONLY", "REFUND_LOCAL_ONLY", "SETTLEMENT_SHORT", "SETTLEMENT_OVER")
CARRY_DAYS = 3
_BATCH = 200
_OF_TRADE = (
    "LOCAL_ONLY", "REFUND_LOCAL_ONLY", "DUPLICATE_LINE", "STATUS_OURS_PAID_THEIRS_NOT", "FEE", "UNKNOWN_LINE",
)  # fmt: skip
_OF_FUND = ("SETTLEMENT_SHORT", "SETTLEMENT_OVER", "FEE", "UNKNOWN_LINE")
_OPPOSITE = {"SETTLEMENT_SHORT": "SETTLEMENT_OVER", "SETTLEMENT_OVER": "SETTLEMENT_SHORT"}


async def forget_lines(run: ReconRun) -> None:
    """Before a file is compared anew."""
    await db.execute("DELETE FROM payments_recon_line WHERE run_id = ?", run.id)


async def keep(run: ReconRun, batch: Sequence[Found]) -> Counter[str]:
    """Writes one batch in one transaction: all of it, or nothing. Answers how many of each class remain as differences."""
    async with db.transaction():
        await _arrived(run.day_on, [f.number for f in batch if f.class_name in (OTHER_DAY, MATCH) and f.number])
        explained = await _seen_on_another_day(run, batch) | await _paired(run, batch)
        kept = [f for f in batch if (f.class_name, f.key) not in explained]
        await _lines(run, [f for f in batch if f.line_no])
        found = [f for f in kept if f.class_name not in (OTHER_DAY, MATCH)]
        await _differences(run, found)
    return Counter(f.class_name for f in found)


async def heal(run: ReconRun, desk: Desk) -> None:
    """After a file was compared anew: what it no longer shows is over. Only classes of which nothing was posted or asked."""
    classes = _OF_TRADE if run.kind == StatementKind.TRADE.value else _OF_FUND
    rows = await Difference.filter(
        channel=run.channel, day_on=run.day_on, class_name__in=classes, state__in=[DifferenceState.OPEN, DifferenceState.CARRIED]
    ).order_by("id")  # fmt: skip
    for row in rows:
        if _is_of(run, row.class_name, row.key) and not await desk.do(desk.scratch.is_found, row.class_name, row.key):
            await _end([row.key], (row.class_name,), "渠道更正后的账单已无此差异")


def _is_of(run: ReconRun, class_name: str, key: str) -> bool:
    """FEE and UNKNOWN_LINE exist for both files; their keys say for which."""
    if class_name not in ("FEE", "UNKNOWN_LINE"):
        return True
    of_fund = key.endswith(":account") or ":fund:" in key
    return of_fund == (run.kind == StatementKind.FUND.value)


async def _seen_on_another_day(run: ReconRun, batch: Sequence[Found]) -> set[tuple[str, str]]:
    """Rows of ours without a line here whose line stood in the file of another day that was compared earlier."""
    numbers = [f.number for f in batch if f.line_no == 0 and f.class_name.endswith("LOCAL_ONLY") and f.number]
    if not numbers:
        return set()
    rows = await db.fetch(
        f"SELECT DISTINCT number FROM payments_recon_line WHERE class_name IN ('OTHER_DAY', 'MATCH') AND run_id <> ? "
        f"AND number {db.any_of(numbers, 'text')}",
        run.id,
        *db.values_of(numbers),
    )
    seen = {row["number"] for row in rows}
    return {(f.class_name, f.key) for f in batch if f.line_no == 0 and f.number in seen}


async def _paired(run: ReconRun, batch: Sequence[Found]) -> set[tuple[str, str]]:
    """Money that moved a day earlier or later than the trade bill says: the same amount is missing there and too much here."""
    moved = [f for f in batch if f.class_name in _OPPOSITE and f.number]
    if not moved:
        return set()
    keys = [f.key for f in moved]
    rows = await db.fetch(
        f"SELECT class_name, key, ours_fen, theirs_fen FROM payments_difference WHERE class_name IN ('SETTLEMENT_SHORT', "
        f"'SETTLEMENT_OVER') AND state IN ('carried', 'open') AND day_on <> ? AND key {db.any_of(keys, 'text')}",
        runs.day_value(run.day_on),
        *db.values_of(keys),
    )
    waiting = {(row["class_name"], row["key"]): (row["theirs_fen"] or 0) - (row["ours_fen"] or 0) for row in rows}
    found = set()
    for f in moved:
        opposite = (_OPPOSITE[f.class_name], f.key)
        if waiting.get(opposite) == (f.ours_fen or 0) - (f.theirs_fen or 0):
            await _end([opposite[1]], (opposite[0],), f"{run.day_on.isoformat()} 的资金账单已见同额资金")
            found.add((f.class_name, f.key))
    return found


async def _arrived(day: date, numbers: list[str]) -> None:
    if numbers:
        await _end(numbers, ("LOCAL_ONLY", "REFUND_LOCAL_ONLY"), f"{day.isoformat()} 的账单已见")


async def _end(keys: Sequence[str], classes: Sequence[str], resolution: str) -> None:
    """Differences that waited for another file and are explained by it."""
    for name in classes:
        await db.execute(
            f"UPDATE payments_difference SET state = 'auto_fixed', resolution = ?, resolved_at = ? "
            f"WHERE class_name = ? AND state IN ('carried', 'open') AND key {db.any_of(keys, 'text')}",
            resolution, db.at(clock.now()), name, *db.values_of(keys),
        )  # fmt: skip


async def _lines(run: ReconRun, batch: Sequence[Found]) -> None:
    await ReconLine.bulk_create(
        [
            ReconLine(
                run=run, line_no=f.line_no, class_name=f.class_name, number=f.number[:64] if f.number else None,
                channel_txn_id=f.channel_txn_id[:64] if f.channel_txn_id else None, amount_fen=f.theirs_fen or 0,
                currency=f.currency[:8], fees_fen=f.fees_fen, happened_at=f.happened_at or clock.now(),
            )
            for f in batch
        ],
        batch_size=_BATCH,
    )  # fmt: skip


async def _differences(run: ReconRun, batch: Sequence[Found]) -> None:
    for start in range(0, len(batch), _BATCH):
        piece = batch[start : start + _BATCH]
        now, day = db.at(clock.now()), runs.day_value(run.day_on)
        values = ", ".join("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" for _ in piece)
        params = [
            value
            for f in piece
            for value in (
                f.class_name, f.key[:120], run.channel, f.payment_no[:64] if f.payment_no else None, f.ours_fen, f.theirs_fen,
                f"{run.day_on.isoformat()} 账单：{difference_class(f.class_name).label}",
                str(_first_state(f)), day, now,
            )
        ]  # fmt: skip
        added = await db.fetch(
            "INSERT INTO payments_difference (class_name, key, channel, payment_no, ours_fen, theirs_fen, detail, state, day_on, "
            f"created_at) VALUES {values} ON CONFLICT (class_name, key) DO NOTHING RETURNING class_name",
            *params,
        )
        await _belong_to_the_day(run, piece)
        for name, count in Counter(row["class_name"] for row in added).items():
            differences.count(name, count)
            level = log.error if CLASSES[name].critical and name not in CARRIED_CLASSES else log.warning
            level("payments.differences", class_name=name, count=count, channel=run.channel, day=run.day_on.isoformat())


def _first_state(f: Found) -> DifferenceState:
    """A line that says itself that the refund failed waits for no other file."""
    said_so = f.class_name == "REFUND_LOCAL_ONLY" and f.line_no > 0
    return DifferenceState.CARRIED if f.class_name in CARRIED_CLASSES and not said_so else DifferenceState.OPEN


async def _belong_to_the_day(run: ReconRun, piece: Sequence[Found]) -> None:
    """What settlement had noticed before the file came stands in the day's report too."""
    keys = [f.key[:120] for f in piece]
    await db.execute(
        f"UPDATE payments_difference SET day_on = ? WHERE day_on IS NULL AND channel = ? AND key {db.any_of(keys, 'text')}",
        runs.day_value(run.day_on), run.channel, *db.values_of(keys),
    )  # fmt: skip


async def conclude(row: Difference, *, fixed: bool, text: str) -> None:
    """Notes what the first action found: either the difference is over, or a person goes on and nobody asks again by itself."""
    now = db.at(clock.now())
    await db.execute(
        "UPDATE payments_difference SET state = ?, resolution = ?, acted_at = ?, resolved_at = ?, detail = ? "
        "WHERE id = ? AND state = 'open'",
        str(DifferenceState.AUTO_FIXED if fixed else DifferenceState.OPEN), text if fixed else None, now, now if fixed else None,
        row.detail if fixed else f"{row.detail}；{text}"[:200], row.id,
    )  # fmt: skip
