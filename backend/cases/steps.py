"""The only writer of a case's state: lock, table, row, event, promises to the outside.

Deciding *what* happens is the callers' business.
"""

from dataclasses import dataclass, field
from datetime import datetime

import payments
from backend.cases import paths
from backend.cases.models import Case, Correction, Event, Suspension
from backend.cases.ports import Applied, SuspensionKind
from backend.cases.states import CASE, END_STATES, Action, By, CaseState
from kernel import clock, db, outbox, rows, together
from kernel.crypto import seal
from kernel.problems import NotFound
from kernel.rows import Read

LATE = "late"
IMPLIED = "implied"
# Event kinds that are steps of the table; all other kinds are facts that move nothing (received, step, result_file …).
STEP_KINDS = frozenset(action.value for action in Action)
# An end without a grant: money is owed back and nothing is to be mailed.
_UNSUCCESSFUL = END_STATES - {CaseState.GRANTED, CaseState.REFERRED_UP}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What is being recorded: who, when (their clock), their key for it, and details.

    `text` is free text and will be sealed.
    """

    by: By
    at: datetime
    source_ref: str | None = None
    facts: dict[str, str] = field(default_factory=dict)
    text: str = ""


def lane(case_no: str) -> str:
    """Everything about one case is delivered in order."""
    return f"case:{case_no}"


def subject(case_no: str) -> str:
    """How payments names this case."""
    return f"case:{case_no}"


async def locked(*, case_no: str, account_ref: str | None = None) -> Case:
    """The case, locked until the transaction ends. Another person's case is as absent as none (NotFound)."""
    owner = {} if account_ref is None else {"account_ref": account_ref}
    return _known(await db.lock(Case, case_no=case_no, **owner))


def locking(*, case_no: str, account_ref: str) -> Read[Case]:
    """`locked` as a SELECT that travels with others."""
    wanted = rows.locking(Case, case_no=case_no, account_ref=account_ref)
    return Read(wanted.sql, wanted.params, lambda found: _known(wanted.make(found)), wanted.locks)


def _known(case: Case | None) -> Case:
    if case is None:
        raise NotFound("没有找到这件申请，请核对办件编号")
    return case


async def known(case: Case, source_ref: str) -> bool:
    """Whether this very fact was recorded before."""
    return await Event.filter(case_id=case.id, source_ref=source_ref).exists()


async def take(case: Case, action: Action, fact: Fact, *, note: str | None = None) -> None:
    """Do one action of the table; raises IllegalTransition or NotYourMove."""
    await _step(case, CaseState(CASE.step(case.state, action, by=fact.by)), action.value, fact, note)


async def record(case: Case, kind: str, fact: Fact, *, note: str | None = None) -> None:
    """Write an event that moves nothing."""
    await _step(case, CaseState(case.state), kind, fact, note)


async def settle(case: Case, kind: str, fact: Fact, *, end: CaseState | None = None) -> Applied:
    """Bring the state into line with everything known after a fact, and write the fact down once.

    The result depends on the set of known facts, not on the order in which they came: the trunk only grows, a branch is
    open or closed by its own rows, and an end is an end.
    """
    await _start_if_proven(case)
    target = end or await _target(case)
    done = False
    for action in paths.moves(CaseState(case.state), target, base=base(case)):
        if action.value == kind and not done:
            await take(case, action, fact)
            done = True
        else:
            await take(case, action, Fact(by=By.PLATFORM, at=fact.at), note=IMPLIED)
    if done:
        return Applied.APPLIED
    moved_nothing = kind in STEP_KINDS
    await record(case, kind, fact, note=LATE if moved_nothing else None)
    return Applied.LATE if moved_nothing else Applied.APPLIED


def base(case: Case) -> CaseState:
    """How far the case is known to have come on the trunk."""
    if case.started_at is not None:
        return CaseState.PROCESSING
    return CaseState.SUBMITTED if case.accepted_at is None else CaseState.ACCEPTED


async def _start_if_proven(case: Case) -> None:
    """A correction asked after acceptance proves that processing had begun, whatever order the two facts came in."""
    if case.started_at is None and case.accepted_at is not None:
        asked = await Correction.filter(case_id=case.id, asked_at__gte=case.accepted_at).order_by("asked_at").first()
        case.started_at = asked.asked_at if asked else None


async def _target(case: Case) -> CaseState:
    if case.state in END_STATES:
        return CaseState(case.state)
    if await Correction.filter(case_id=case.id, state="open").exists():
        return CaseState.CORRECTING
    pause = (
        await Suspension.filter(case_id=case.id, started_at__not_isnull=True, ended_at__isnull=True)
        .order_by("id")
        .first()
    )
    if pause is not None:
        return CaseState.SPECIAL if pause.kind == SuspensionKind.SPECIAL else CaseState.SUSPENDED
    return base(case)


async def _step(case: Case, state: CaseState, kind: str, fact: Fact, note: str | None) -> None:
    """Row, event and promises of one step.

    Called under the row lock, in the caller's transaction; nothing else writes `state` or `seq`.
    """
    before = CaseState(case.state)
    case.seq += 1
    case.state = state
    case.changed_at = clock.now()
    if state in END_STATES and before not in END_STATES:
        case.ended_at = fact.at
    await together.save(case)
    await together.add(
        Event,
        case_id=case.id,
        seq=case.seq,
        kind=kind,
        from_state=before,
        to_state=state,
        by=fact.by,
        at=fact.at,
        source_ref=fact.source_ref,
        note=note,
        facts=dict(fact.facts),
        text_sealed=seal(fact.text, context=text_context(case.case_no, case.seq)) if fact.text else None,
    )
    # Throwing away a draft is nobody's news: nothing was ever sent, billed or forwarded.
    if state != before and not (before is CaseState.DRAFT and state is CaseState.WITHDRAWN):
        await _announce(case, note)


def text_context(case_no: str, seq: int) -> str:
    """The seal context of an event's free text."""
    return f"cases_event.text:{case_no}:{seq}"


async def _announce(case: Case, note: str | None) -> None:
    """The promises that follow from reaching a state."""
    state, case_no = CaseState(case.state), case.case_no
    await publish(
        "case.status_changed",
        case_no=case_no,
        key=str(case.seq),
        seq=case.seq,
        state=state.value,
        status=CASE.label(state).status,
        # True for a step that was only passed through: a later status of the same moment follows at once.
        passing=note == IMPLIED,
    )
    if state is CaseState.GRANTED:
        await publish("case.granted", case_no=case_no, key="1")
    elif state in _UNSUCCESSFUL:
        await payments.void_bills(subject=subject(case_no), reason=CASE.label(state).label)
        if state is not CaseState.WITHDRAWN:
            await publish("case.refused", case_no=case_no, key=str(case.seq), state=state.value)


async def publish(event: str, *, case_no: str, key: str, **details: object) -> None:
    """One event about one case, in its lane; `key` makes it unique among the events of that name and case."""
    await outbox.publish(
        event, key=f"{event}:{case_no}:{key}", payload={"case_no": case_no, **details}, lane=lane(case_no)
    )
