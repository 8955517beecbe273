"""Timers: attempts that are due to be asked about, bills past their deadline, keys to fetch, the nightly check of the books."""

import asyncio
from datetime import datetime, timedelta

import structlog

from kernel import clock, db, metrics
from kernel.outbox import Delivery
from kernel.problems import DatabaseUnavailable
from payments import asking, bills, differences, invariants, pacing, runtime
from payments.models import Attempt, Bill
from payments.settlement import Effect
from payments.states import ACTIVE, BillState

log = structlog.get_logger(__name__)

_CHUNK = 8
_BUDGET_SECONDS = 40.0
_VIOLATIONS = metrics.gauge("payments_ledger_violations", "Broken invariants found by the last check")

Position = tuple[datetime, int]


async def check_attempts() -> None:
    """Asks about every attempt that is due, a few at a time. When a whole chunk got no answer the rest waits for the next tick."""
    deadline, after = clock.monotonic() + _BUDGET_SECONDS, None
    while clock.monotonic() < deadline:
        claimed, after = await _claim(after)
        if not claimed:
            return
        effects = await asyncio.gather(*(_visit(payment_no) for payment_no in claimed))
        if len(effects) == _CHUNK and set(effects) == {Effect.SILENT}:
            log.warning("payments.channel_silent", waiting=len(claimed))
            return


async def expire_bills() -> None:
    """Lets bills past their deadline expire, in pages by (deadline, id)."""
    limit = clock.now() - timedelta(seconds=bills.EXPIRY_GRACE_SECONDS)
    last: Position | None = None
    while True:
        query = Bill.filter(state=BillState.OPEN, expires_at__lte=limit)
        if last is not None:
            query = query.filter(expires_at__gte=last[0])
        page = [
            b
            for b in await query.order_by("expires_at", "id").limit(100)
            if last is None or (b.expires_at, b.id) > last
        ]
        if not page:
            return
        for bill in page:
            try:
                await bills.expire_bill(bill_id=bill.id)
            except DatabaseUnavailable:
                raise
            except Exception:  # one broken bill must not keep the others open
                log.exception("payments.expiry_failed", bill_no=bill.bill_no)
        last = (page[-1].expires_at, page[-1].id)


async def refresh_keys() -> None:
    """Fetches the keys of every channel; also while no traffic comes, so that none runs out unnoticed."""
    for gateway in runtime.gateways():
        await gateway.refresh_keys()


async def refresh_keys_of(delivery: Delivery) -> None:
    """The promise made when a message named a key we do not have."""
    await runtime.gateway(str(delivery.payload["channel"])).refresh_keys(str(delivery.payload.get("serial", "")))


async def check_ledger() -> None:
    """Nightly proof that the books agree with themselves; a violation is an alarm, never repaired by itself."""
    report = await invariants.ledger_check()
    _VIOLATIONS.set(len(report.violations))
    if report.violations:
        log.error("payments.ledger_violations", count=len(report.violations), first=list(report.violations[:20]))


async def _claim(after: Position | None) -> tuple[list[str], Position | None]:
    """Takes the next due attempts in the order of (next_check_at, id) and moves their next check before anybody is called."""
    now = clock.now()
    lock = "FOR UPDATE SKIP LOCKED" if db.engine() == "postgres" else ""
    keyset, params = ("AND (next_check_at, id) > (?, ?)", [db.at(after[0]), after[1]]) if after else ("", [])
    async with db.transaction():
        rows = await db.fetch(
            f"SELECT id, next_check_at FROM payments_attempt WHERE next_check_at <= ? {keyset} "
            f"ORDER BY next_check_at, id LIMIT {_CHUNK} {lock}",
            db.at(now),
            *params,
        )
        attempts = {a.id: a for a in await Attempt.filter(id__in=[row["id"] for row in rows])} if rows else {}
        for attempt in attempts.values():
            await _move(attempt)
        if not rows:
            return [], after
        position = (db.instant(rows[-1]["next_check_at"]) or now, int(rows[-1]["id"]))
        return [attempts[row["id"]].payment_no for row in rows if attempts[row["id"]].state in ACTIVE], position


async def _move(attempt: Attempt) -> None:
    attempt.checks += 1
    pacing.schedule(attempt)
    if attempt.state not in ACTIVE:
        attempt.next_check_at = None
    elif attempt.next_check_at is None:
        attempt.review_required = True
        await differences.record(
            differences.STUCK, attempt.payment_no, attempt=attempt, detail="渠道七天没有给出结论，需要人工查对账单"
        )
    await attempt.save(update_fields=["checks", "next_check_at", "review_required"])


async def _visit(payment_no: str) -> Effect:
    try:
        return await asking.work_on(payment_no)
    except Exception:  # one broken attempt must not keep the others from being asked about
        log.exception("payments.visit_failed", payment_no=payment_no)
        return Effect.NOTHING
