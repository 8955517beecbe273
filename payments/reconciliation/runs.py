"""Rows of runs: finding or making them, taking one day for one process, and every step of their state."""

from datetime import date, timedelta
from typing import Any

import structlog

from kernel import clock, db, ids
from kernel.problems import Conflict
from payments.gateways.statement_port import StatementKind
from payments.reconciliation.models import ReconRun
from payments.reconciliation.states import RUN, RunAction, RunState

log = structlog.get_logger(__name__)

_HOLD = timedelta(minutes=30)


class DayBusy(Conflict):
    """Another process works on this day."""

    code, title = "reconciliation-busy", "这一天的对账正在进行"


class ClaimLost(Exception):
    """The day was given to another process because this one was silent for too long: it must not write any more."""


async def of_day(channel: str, day: date, kinds: tuple[StatementKind, ...]) -> dict[StatementKind, ReconRun]:
    """The day's runs in the order of `kinds`; missing ones are made."""
    rows = [
        ReconRun(channel=channel, day_on=day, kind=kind.value, state=RunState.PENDING, next_try_at=clock.now())
        for kind in kinds
    ]
    await ReconRun.bulk_create(rows, ignore_conflicts=True)
    found = await ReconRun.filter(channel=channel, day_on=day)
    return {kind: next(run for run in found if run.kind == kind.value) for kind in kinds}


def day_value(day: date) -> Any:
    """A day as a parameter of raw SQL, in the form the field stores."""
    return day if db.engine() == "postgres" else day.isoformat()


async def take(runs: dict[StatementKind, ReconRun]) -> str:
    """Claims a day by the row of its first file. Raises DayBusy."""
    claim, first, now = ids.public_id(), next(iter(runs.values())), clock.now()
    done = await db.execute(
        "UPDATE payments_recon_run SET claim = ?, claimed_until = ? WHERE id = ? AND (claimed_until IS NULL OR claimed_until < ?)",
        claim, db.at(now + _HOLD), first.id, db.at(now),
    )  # fmt: skip
    if done != 1:
        raise DayBusy
    return claim


async def keep(runs: dict[StatementKind, ReconRun], claim: str) -> None:
    """Says that this process still works. Raises ClaimLost."""
    first = next(iter(runs.values()))
    done = await db.execute(
        "UPDATE payments_recon_run SET claimed_until = ? WHERE id = ? AND claim = ?",
        db.at(clock.now() + _HOLD), first.id, claim,
    )  # fmt: skip
    if done != 1:
        raise ClaimLost


async def release(runs: dict[StatementKind, ReconRun], claim: str) -> None:
    """Gives the day back."""
    first = next(iter(runs.values()))
    await db.execute(
        "UPDATE payments_recon_run SET claim = NULL, claimed_until = NULL WHERE id = ? AND claim = ?", first.id, claim
    )


async def step(run: ReconRun, action: RunAction, **changed: Any) -> None:
    """Moves a run by its table and writes it. Raises IllegalTransition."""
    before = run.state
    run.state = RunState(RUN.step(run.state, action, by="system"))
    run.update_from_dict(changed)
    await run.save(update_fields=["state", *changed])
    log.info(
        "payments.reconciliation", channel=run.channel, day=run.day_on.isoformat(), kind=run.kind, state=str(run.state),
        before=str(before), reason=run.reason,
    )  # fmt: skip


async def again_later(run: ReconRun, action: RunAction, *, reason: str, seconds: int) -> None:
    """NOT_READY or BREAK: the run is tried again by the job."""
    await step(
        run, action, reason=reason[:120], tries=run.tries + 1, next_try_at=clock.now() + timedelta(seconds=seconds)
    )
    if action is RunAction.BREAK:
        log.error(
            "payments.reconciliation_failed",
            channel=run.channel,
            day=run.day_on.isoformat(),
            kind=run.kind,
            reason=reason,
        )
