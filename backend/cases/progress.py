"""Facts about a case told by the one-window platform: each recorded once, in any order, never moving a case backwards.

Every function joins the caller's transaction if there is one. `source_ref` is the sender's key of the fact (a second
copy answers ALREADY and changes nothing), `at` is the sender's clock. Raises NotFound for an unknown case and
IllegalTransition for a case that was never submitted.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime

from backend.cases import steps
from backend.cases.models import Case, Correction, Suspension
from backend.cases.ports import Applied, CertificateFact, Outcome, SuspensionKind
from backend.cases.results import store_certificates, store_outcome
from backend.cases.states import END_STATES, Action, By, CaseState
from kernel import db
from kernel.state_machine import IllegalTransition

_END = {
    Outcome.GRANTED: CaseState.GRANTED,
    Outcome.REFUSED: CaseState.REFUSED,
    Outcome.RETURNED: CaseState.RETURNED,
    Outcome.VOID: CaseState.VOID,
}
_END_ACTION = {
    Outcome.GRANTED: Action.GRANT,
    Outcome.REFUSED: Action.REFUSE,
    Outcome.RETURNED: Action.EXPIRE,
    Outcome.VOID: Action.VOID,
}


async def record_received(*, case_no: str, source_ref: str, at: datetime, receiver: str = "") -> Applied:
    """收件: the platform has the case. An event, not a state."""

    async def work(case: Case, fact: steps.Fact) -> Applied:
        case.received_at = _earlier(case.received_at, at)
        return await steps.settle(case, "received", fact)

    return await once(case_no, _fact(at, source_ref, receiver=receiver), work)


async def accept(
    *, case_no: str, source_ref: str, at: datetime, promise_on: date | None = None, document_no: str = ""
) -> Applied:
    """受理: the promise clock starts.

    A correction asked before is settled with it: an office does not accept what still misses something.
    """

    async def work(case: Case, fact: steps.Fact) -> Applied:
        case.accepted_at = _earlier(case.accepted_at, at)
        case.promise_on = promise_on or case.promise_on
        await Correction.filter(case_id=case.id, state="open", asked_at__lt=at).update(state="closed")
        return await steps.settle(case, Action.ACCEPT.value, fact)

    fact = _fact(at, source_ref, promise_on=promise_on.isoformat() if promise_on else "", document_no=document_no)
    return await once(case_no, fact, work)


async def decline(*, case_no: str, source_ref: str, at: datetime, reason: str, document_no: str = "") -> Applied:
    """不予受理, with the reason the office gives."""

    async def work(case: Case, fact: steps.Fact) -> Applied:
        return await conclude(case, fact, Action.DECLINE, CaseState.NOT_ACCEPTED)

    return await once(case_no, _fact(at, source_ref, text=reason, document_no=document_no), work)


async def record_step(
    *,
    case_no: str,
    source_ref: str,
    at: datetime,
    name: str,
    office: str = "",
    opinion: str = "",
    ended_at: datetime | None = None,
) -> Applied:
    """A step inside the office (审核, 审批 …); it proves acceptance and the start of processing."""

    async def work(case: Case, fact: steps.Fact) -> Applied:
        case.started_at = _earlier(case.started_at, at)
        return await steps.settle(case, "step", fact)

    finished = ended_at.isoformat() if ended_at else ""
    return await once(case_no, _fact(at, source_ref, text=opinion, name=name, office=office, ended_at=finished), work)


async def suspend(
    *,
    case_no: str,
    source_ref: str,
    at: datetime,
    suspension_ref: str,
    kind: SuspensionKind,
    name: str,
    reason: str = "",
    until_on: date | None = None,
) -> Applied:
    """特别程序 or 挂起 begins; `suspension_ref` is the platform's id that its end will name.

    An end told before stays an end.
    """

    async def work(case: Case, fact: steps.Fact) -> Applied:
        pause, _ = await Suspension.get_or_create(case_id=case.id, ref=suspension_ref)
        pause.kind, pause.name, pause.started_at, pause.until_on = kind.value, name, at, until_on
        await pause.save()
        case.started_at = _earlier(case.started_at, at)
        action = Action.OPEN_SPECIAL if kind is SuspensionKind.SPECIAL else Action.SUSPEND
        return await steps.settle(case, action.value, fact)

    until = until_on.isoformat() if until_on else ""
    return await once(case_no, _fact(at, source_ref, text=reason, name=name, until_on=until), work)


async def resume(*, case_no: str, source_ref: str, at: datetime, suspension_ref: str, result: str = "") -> Applied:
    """The pause with this id has ended; it may be told before its beginning."""

    async def work(case: Case, fact: steps.Fact) -> Applied:
        pause, _ = await Suspension.get_or_create(case_id=case.id, ref=suspension_ref)
        pause.ended_at = at
        await pause.save()
        case.started_at = _earlier(case.started_at, at)
        action = Action.CLOSE_SPECIAL if pause.kind == SuspensionKind.SPECIAL else Action.RESUME
        return await steps.settle(case, action.value, fact)

    return await once(case_no, _fact(at, source_ref, text=result), work)


async def decide(
    *,
    case_no: str,
    source_ref: str,
    at: datetime,
    outcome: Outcome,
    code: str,
    explain: str = "",
    reason: str = "",
    certificates: Sequence[CertificateFact] = (),
    deliver: bool = False,
) -> Applied:
    """办结.

    A decision proves acceptance and processing; `code` is kept as the platform sent it, the adapter has mapped it to
    `outcome`.
    """

    async def work(case: Case, fact: steps.Fact) -> Applied:
        if case.state not in END_STATES:
            if outcome in (Outcome.GRANTED, Outcome.REFUSED):
                case.started_at = _earlier(case.started_at, at)
            case.deliver = deliver
        applied = await conclude(case, fact, _END_ACTION[outcome], _END[outcome])
        if case.state == _END[outcome]:
            await store_outcome(case, outcome=outcome, code=code, explain=explain, reason=reason)
            await store_certificates(case, certificates)
        return applied

    fact = _fact(
        at, source_ref, text="\n".join(part for part in (explain, reason) if part), code=code, outcome=outcome.value
    )
    return await once(case_no, fact, work)


async def close(*, case_no: str, source_ref: str, at: datetime) -> Applied:
    """归档: the office has put the case away. It changes nothing a citizen sees."""

    async def work(case: Case, fact: steps.Fact) -> Applied:
        case.archived_at = _earlier(case.archived_at, at)
        return await steps.settle(case, "archived", fact)

    return await once(case_no, _fact(at, source_ref), work)


async def conclude(case: Case, fact: steps.Fact, action: Action, end: CaseState) -> Applied:
    """Lead a case to an end.

    An end that is already reached is success; one that contradicts it is kept, flagged and moves nothing.
    """
    state = CaseState(case.state)
    if state in END_STATES and (end is not CaseState.VOID or state is CaseState.WITHDRAWN):
        if _contradicts(state, end):
            case.flagged = f"{end.value}-after-{state.value}".lower()
        return await steps.settle(case, action.value, fact)
    await Correction.filter(case_id=case.id, state="open").update(state="closed")
    if case.state == CaseState.DEFERRED and end is CaseState.GRANTED:
        action = Action.PAPERS_COMPLETE
    elif case.state == CaseState.DEFERRED and end is CaseState.RETURNED:
        action = Action.PROMISE_EXPIRED
    applied = await steps.settle(case, action.value, fact, end=end)
    if case.state != end:
        case.flagged = f"{end.value}-in-{CaseState(case.state).value}".lower()
        await case.save()
    return applied


def _contradicts(state: CaseState, end: CaseState) -> bool:
    """A platform may confirm our withdrawal by returning or voiding; anything else that differs is a contradiction."""
    if state is CaseState.WITHDRAWN:
        return end in (CaseState.GRANTED, CaseState.REFUSED)
    return state != end and state is not CaseState.VOID


async def once(case_no: str, fact: steps.Fact, work: Callable[[Case, steps.Fact], Awaitable[Applied]]) -> Applied:
    """Lock, recognise a second copy, refuse facts about a case nobody submitted, then work."""
    async with db.transaction():
        case = await steps.locked(case_no=case_no)
        if fact.source_ref is not None and await steps.known(case, fact.source_ref):
            return Applied.ALREADY
        if case.state in (CaseState.DRAFT, CaseState.PRE_RETURNED):
            raise IllegalTransition("这件申请还没有提交")
        return await work(case, fact)


def _fact(at: datetime, source_ref: str, *, text: str = "", **facts: str) -> steps.Fact:
    return steps.Fact(
        by=By.PLATFORM,
        at=at,
        source_ref=source_ref,
        text=text,
        facts={key: value for key, value in facts.items() if value},
    )


def _earlier(known: datetime | None, told: datetime) -> datetime:
    return told if known is None else min(known, told)
