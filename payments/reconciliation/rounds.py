"""Which days are due, and the whole round of one of them: compare, act on what was found, end what was carried long enough."""

from collections.abc import Callable
from datetime import date, timedelta

import structlog

from kernel import clock
from kernel.problems import DatabaseUnavailable
from payments import runtime
from payments.gateways.base import PaymentGateway
from payments.reconciliation import actions, comparing, runs
from payments.reconciliation.models import ReconRun
from payments.reconciliation.states import COMPARED

log = structlog.get_logger(__name__)

_KEPT_DAYS = 85  # channels keep their files for three months


async def reconcile(
    *, channel: str, day: date, again: bool = False, progress: Callable[[str], None] = lambda _: None
) -> list[ReconRun]:
    """The whole round of a day. Raises ChannelUnavailable, DayBusy."""
    found = await comparing.compare_day(channel=channel, day=day, again=again, progress=progress)
    await actions.act(channel)
    if found and all(run.state in COMPARED for run in found):
        await actions.end_carrying(channel, day)
    return found


async def run_due() -> None:
    """What the timer does: every channel's days that are due, oldest first, and actions that were left over."""
    for gateway in runtime.gateways():
        if gateway.statements is None:
            continue
        for day in await due_days(gateway):
            try:
                await reconcile(channel=gateway.channel, day=day)
            except runs.DayBusy:
                log.info("payments.reconciliation_busy", channel=gateway.channel, day=day.isoformat())
            except DatabaseUnavailable:
                raise
            except Exception:  # one day or channel that cannot be worked must not keep the others from being worked
                log.exception("payments.reconciliation_broken", channel=gateway.channel, day=day.isoformat())
        await actions.act(gateway.channel)


async def due_days(gateway: PaymentGateway) -> list[date]:
    """Yesterday once the channel's hour has come, days since the last run, and days whose next try is due; oldest first."""
    port, now, today = gateway.statements, clock.now(), clock.today()
    if port is None:
        return []
    ready = clock.local(now).hour >= port.ready_hour
    last = today - timedelta(days=1 if ready else 2)
    known = await ReconRun.filter(channel=gateway.channel, day_on__gte=today - timedelta(days=_KEPT_DAYS))
    by_day: dict[date, list[ReconRun]] = {}
    for run in known:
        by_day.setdefault(run.day_on, []).append(run)
    # A new installation begins with yesterday; afterwards no day is ever left out.
    first = min(by_day, default=last if ready else today)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if day not in by_day or any(_due(run) for run in by_day[day])]


def _due(run: ReconRun) -> bool:
    if run.state in COMPARED:
        return False
    return run.next_try_at is None or run.next_try_at <= clock.now()
