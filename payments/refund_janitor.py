"""The timer of refunds: everything that is due is sent, asked about or sent again; what nobody answers comes to a person."""

import asyncio
from datetime import datetime

import structlog

from kernel import clock, db
from payments import differences, refund_asking, refund_pacing
from payments.models import Attempt, Refund
from payments.refund_states import LIVE, RESERVED, RefundState
from payments.settlement import Effect

log = structlog.get_logger(__name__)

_CHUNK = 8
_BUDGET_SECONDS = 40.0

Position = tuple[datetime, int]


async def check_refunds() -> None:
    """Works on every refund that is due, a few at a time. When a whole chunk got no answer the rest waits for the next tick."""
    deadline, after = clock.monotonic() + _BUDGET_SECONDS, None
    while clock.monotonic() < deadline:
        claimed, after = await _claim(after)
        if after is None:
            return
        effects = await asyncio.gather(*(_visit(refund_no) for refund_no in claimed))
        if len(effects) == _CHUNK and set(effects) == {Effect.SILENT}:
            log.warning("payments.channel_silent_for_refunds", waiting=len(claimed))
            return


async def _claim(after: Position | None) -> tuple[list[str], Position | None]:
    """Takes the next due refunds in the order of (next_check_at, id) and moves their next check before anybody is called."""
    now = clock.now()
    lock = "FOR UPDATE SKIP LOCKED" if db.engine() == "postgres" else ""
    keyset, params = ("AND (next_check_at, id) > (?, ?)", [db.at(after[0]), after[1]]) if after else ("", [])
    async with db.transaction():
        rows = await db.fetch(
            f"SELECT id, next_check_at FROM payments_refund WHERE next_check_at <= ? {keyset} "
            f"ORDER BY next_check_at, id LIMIT {_CHUNK} {lock}",
            db.at(now),
            *params,
        )
        if not rows:
            return [], None
        due = {r.id: r for r in await Refund.filter(id__in=[row["id"] for row in rows])}
        for refund in due.values():
            await _move(refund)
        position = (db.instant(rows[-1]["next_check_at"]) or now, int(rows[-1]["id"]))
        return [due[row["id"]].refund_no for row in rows if not due[row["id"]].review_required], position


async def _move(refund: Refund) -> None:
    refund.checks += 1
    if refund.state == RefundState.REQUESTED and refund.automatic:
        refund.ladder_from_at = refund.ladder_from_at or clock.now()
    elif refund.state not in RESERVED:
        refund.next_check_at = None
        await refund.save(update_fields=["checks", "next_check_at"])
        return
    refund_pacing.schedule(refund)
    if refund.next_check_at is None and refund.state in LIVE:
        refund.review_required = True
        attempt = await Attempt.get(id=refund.attempt_id)
        await differences.record_refund(
            differences.REFUND_STUCK, refund, attempt, detail="渠道多日没有给出退款结论，需要人工查对账单"
        )
    await refund.save(update_fields=["checks", "ladder_from_at", "next_check_at", "review_required"])


async def _visit(refund_no: str) -> Effect:
    try:
        return await refund_asking.work_on(refund_no)
    except Exception:  # one broken refund must not keep the others from being worked on
        log.exception("payments.refund_visit_failed", refund_no=refund_no)
        return Effect.NOTHING
