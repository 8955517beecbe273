"""Reads of the one-window slice: where a case stands on its way to the window, and what waits for a person."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from tortoise.expressions import Q

from backend.onewindow.models import Call, Event, Forwarding, Project
from backend.onewindow.states import ATTENTION_STATES, FORWARDING, EventState, ForwardingState
from kernel import batches, clock


class ForwardingView(msgspec.Struct, frozen=True, kw_only=True):
    """Where the latest message about a case stands."""

    case_no: str
    verb: str
    state: str
    label: str
    since_at: datetime


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the platform refused or that could not be delivered, for an operator."""

    id: int
    ref: str
    case_no: str
    verb: str
    state: str
    code: str
    note: str
    attempts: int
    since_at: datetime


class ForReview(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a person must decide about."""

    id: int
    project_no: str
    case_no: str | None
    seq: int
    type: str
    note: str
    received_at: datetime


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to speak to the platform."""

    verb: str
    at: datetime
    digest: str
    info: str
    outcome: str
    code: str
    message: str
    duration_ms: int | None


# The one that tells most about a case comes first: what waits for a person, then what is on its way.
_ORDER = (
    ForwardingState.REFUSED,
    ForwardingState.DEAD,
    ForwardingState.SENT,
    ForwardingState.PENDING,
    ForwardingState.ACKNOWLEDGED,
)


_FORWARDINGS = batches.Models(Forwarding, by={"t.case_no": "text"}, where="t.verb <> 'delivery.push'")


async def forwarding(*, case_no: str) -> ForwardingView | None:
    """The forwarding track of a case; None while nothing was to be told yet."""
    return (await forwardings(case_nos=[case_no])).get(case_no)


async def forwarding_label(case_no: str) -> str | None:
    """What to tell the applicant while the latest message is not acknowledged; None when there is nothing to tell."""
    view = _latest(await _FORWARDINGS.of(case_no)).get(case_no)
    return None if view is None or view.state == ForwardingState.ACKNOWLEDGED else view.label


async def forwardings(*, case_nos: Sequence[str]) -> dict[str, ForwardingView]:
    """The same for a page of cases, in one read. Parcels are told apart and do not count here."""
    return _latest(await Forwarding.filter(case_no__in=list(case_nos)).exclude(verb="delivery.push").order_by("id"))


def _latest(rows: Sequence[Forwarding]) -> dict[str, ForwardingView]:
    latest: dict[str, Forwarding] = {}
    for row in rows:
        known = latest.get(row.case_no)
        if known is None or _rank(row) <= _rank(known):
            latest[row.case_no] = row
    return {case_no: _view(row) for case_no, row in latest.items()}


def _rank(row: Forwarding) -> int:
    return _ORDER.index(ForwardingState(row.state))


def _view(row: Forwarding) -> ForwardingView:
    return ForwardingView(
        case_no=row.case_no,
        verb=row.verb,
        state=row.state,
        label=FORWARDING.label(row.state).label,
        since_at=clock.local(row.settled_at or row.started_at),
    )


async def project_no(*, case_no: str) -> str | None:
    """The platform's number of a case."""
    project = await Project.get_or_none(case_no=case_no)
    return project.project_no if project else None


async def parked(*, limit: int = 50, before_id: int | None = None) -> list[Parked]:
    """Messages that wait for a person, newest first."""
    states = [state.value for state in ATTENTION_STATES]
    rows = await Forwarding.filter(state__in=states, id__lt=before_id or 2**62).order_by("-id").limit(limit)
    return [
        Parked(
            id=row.id,
            ref=row.ref,
            case_no=row.case_no,
            verb=row.verb,
            state=row.state,
            code=row.code,
            note=row.note,
            attempts=row.attempts,
            since_at=clock.local(row.settled_at or row.started_at),
        )
        for row in rows
    ]


async def for_review(*, limit: int = 50, before_id: int | None = None) -> list[ForReview]:
    """Events that wait for a person, newest first."""
    waiting = Q(state=EventState.REVIEW.value) | Q(disputed=True)
    rows = await Event.filter(waiting, id__lt=before_id or 2**62).order_by("-id").limit(limit)
    numbers = {
        project.project_no: project.case_no
        for project in await Project.filter(project_no__in=[row.project_no for row in rows])
    }
    return [
        ForReview(
            id=row.id,
            project_no=row.project_no,
            case_no=numbers.get(row.project_no),
            seq=row.seq,
            type=row.type,
            note="同一序号后来收到了不同内容" if row.disputed else row.note,
            received_at=clock.local(row.created_at),
        )
        for row in rows
    ]


async def calls(*, case_no: str, limit: int = 100) -> list[CallView]:
    """Every attempt about a case, newest first."""
    return [_call(row) for row in await Call.filter(case_no=case_no).order_by("-id").limit(limit)]


async def lately(*, seconds: int, limit: int = 20) -> list[CallView]:
    """The newest attempts about anything that have ended, newest first."""
    oldest = clock.now() - timedelta(seconds=seconds)
    rows = await Call.all().order_by("-id").limit(limit)
    return [_call(row) for row in rows if row.outcome != "begun" and row.created_at >= oldest]


def _call(row: Call) -> CallView:
    return CallView(
        verb=row.verb,
        at=clock.local(row.created_at),
        digest=row.digest,
        info=row.info,
        outcome=row.outcome,
        code=row.code,
        message=row.message,
        duration_ms=row.duration_ms,
    )
