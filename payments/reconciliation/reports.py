"""What people read of the reconciliation: days, runs, differences, signatures; computed from rows, never stored."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta

import msgspec

from kernel import clock
from kernel.problems import NotFound
from payments.models import Difference
from payments.reconciliation.models import ReconRun, ReconSignature
from payments.reconciliation.states import (
    COMPARED,
    DIFFERENCE_LABELS,
    RUN,
    UNFINISHED,
    DifferenceState,
    difference_class,
)

_PAGE = 500
CHANNELS = {"wechat": "微信支付", "alipay": "支付宝", "unified": "统一公共支付平台"}
KINDS = {"trade": "交易账单", "fund": "资金账单"}


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One file of one day; amounts in fen."""

    channel: str
    day: date
    kind: str
    state: str
    label: str
    reason: str | None
    lines: int
    matched: int
    other_day: int
    foreign: int
    differences: int
    paid_fen: int
    refunded_fen: int
    fees_fen: int
    ours_fen: int
    next_try_at: datetime | None


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True):
    """One difference as finance reads it; amounts in fen."""

    number: int
    day: date | None
    channel: str
    class_name: str
    label: str
    state: str
    state_label: str
    critical: bool
    owner: str
    payment_no: str | None
    ours_fen: int | None
    theirs_fen: int | None
    detail: str
    resolution: str | None
    resolved_by: str | None
    approved_by: str | None
    since_at: datetime
    resolved_at: datetime | None


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one channel."""

    channel: str
    day: date
    runs: list[RunView]
    unfinished: int
    signers: list[str]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel's reconciliation stands; for `doctor`."""

    channel: str
    last_day: date | None
    late: list[RunView]
    critical: int


async def days(*, channel: str | None = None, limit: int = 14) -> list[DayReport]:
    """The latest days, newest first."""
    query = ReconRun.filter(channel=channel) if channel else ReconRun.all()
    rows = await query.filter(day_on__gte=clock.today() - timedelta(days=limit)).order_by("-day_on", "channel", "id")
    keys = list(dict.fromkeys((row.channel, row.day_on) for row in rows))
    return [await _report(name, day, [r for r in rows if (r.channel, r.day_on) == (name, day)]) for name, day in keys]


async def day_report(*, channel: str, day: date) -> DayReport:
    """One day. Raises NotFound."""
    rows = await ReconRun.filter(channel=channel, day_on=day).order_by("id")
    if not rows:
        raise NotFound("这一天没有对账记录")
    return await _report(channel, day, rows)


async def differences_of(*, channel: str, day: date) -> AsyncIterator[DifferenceView]:
    """Every difference of a day, in pages, oldest first."""
    last = 0
    while page := await Difference.filter(channel=channel, day_on=day, id__gt=last).order_by("id").limit(_PAGE):
        for row in page:
            yield difference_view(row)
        last = page[-1].id


async def unfinished(*, limit: int = 200) -> list[DifferenceView]:
    """What still needs somebody, of any day, oldest first."""
    rows = await Difference.filter(state__in=[str(s) for s in UNFINISHED]).order_by("id").limit(limit)
    return [difference_view(row) for row in rows]


async def difference(difference_id: int) -> DifferenceView:
    """One difference. Raises NotFound."""
    row = await Difference.get_or_none(id=difference_id)
    if row is None:
        raise NotFound("没有这条差异")
    return difference_view(row)


async def standing(channel: str) -> Standing:
    """The last compared day, files that are late by more than a day, and open critical differences."""
    compared = [str(state) for state in COMPARED]
    last = await ReconRun.filter(channel=channel, state__in=compared).order_by("-day_on").first()
    late = await ReconRun.filter(
        channel=channel, state__not_in=compared, day_on__lt=clock.today() - timedelta(days=1)
    ).order_by("day_on")
    rows = await Difference.filter(channel=channel, state__in=[DifferenceState.OPEN, DifferenceState.PROPOSED])
    return Standing(
        channel=channel,
        last_day=last.day_on if last else None,
        late=[run_view(run) for run in late],
        critical=sum(difference_class(row.class_name).critical for row in rows),
    )


def run_view(run: ReconRun) -> RunView:
    """The public side of a run."""
    return RunView(
        channel=run.channel,
        day=run.day_on,
        kind=run.kind,
        state=run.state,
        label=RUN.label(run.state).label,
        reason=run.reason,
        lines=run.line_count,
        matched=run.matched_count,
        other_day=run.other_day_count,
        foreign=run.foreign_count,
        differences=run.difference_count,
        paid_fen=run.paid_fen,
        refunded_fen=run.refunded_fen,
        fees_fen=run.fees_fen,
        ours_fen=run.ours_fen,
        next_try_at=run.next_try_at,
    )


def difference_view(row: Difference) -> DifferenceView:
    """The public side of a difference."""
    kind = difference_class(row.class_name)
    return DifferenceView(
        number=row.id,
        day=row.day_on,
        channel=row.channel,
        class_name=row.class_name,
        label=kind.label,
        state=row.state,
        state_label=DIFFERENCE_LABELS.get(row.state, row.state),
        critical=kind.critical,
        owner=row.owner or kind.owner,
        payment_no=row.payment_no,
        ours_fen=row.ours_fen,
        theirs_fen=row.theirs_fen,
        detail=row.detail,
        resolution=row.resolution,
        resolved_by=row.resolved_by,
        approved_by=row.approved_by,
        since_at=row.created_at,
        resolved_at=row.resolved_at,
    )


async def _report(channel: str, day: date, rows: list[ReconRun]) -> DayReport:
    signatures = await ReconSignature.filter(channel=channel, day_on=day).order_by("id")
    return DayReport(
        channel=channel,
        day=day,
        runs=[run_view(row) for row in rows],
        unfinished=await Difference.filter(
            channel=channel, day_on=day, state__in=[str(s) for s in UNFINISHED]
        ).count(),
        signers=list(dict.fromkeys(row.signer for row in signatures)),
    )  # fmt: skip
