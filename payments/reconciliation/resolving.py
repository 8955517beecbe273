"""How a person ends a difference, and how two people end a day. Nothing here moves money; what does is a refund or evidence."""

import hashlib
from datetime import date

import structlog

from kernel import clock, db
from kernel.problems import Conflict, Invalid, NotFound
from payments.four_eyes import SamePerson, same_person
from payments.models import Difference
from payments.reconciliation.models import ReconRun, ReconSignature
from payments.reconciliation.runs import step
from payments.reconciliation.states import (
    COMPARED,
    DIFFERENCE_LABELS,
    UNFINISHED,
    DifferenceState,
    RunAction,
    RunState,
    difference_class,
)

log = structlog.get_logger(__name__)

SIGNERS = 2


async def resolve(*, difference_id: int, resolution: str, actor: str) -> DifferenceState:
    """Says how a difference ends. Where money moves this is a proposal until a second person approves it.

    Raises NotFound, Invalid for an empty reason or name, Conflict when it is over already.
    """
    resolution, actor = _words(resolution, "处理说明"), _words(actor, "经办人")
    async with db.transaction():
        row = await _locked(difference_id)
        if row.state not in (DifferenceState.OPEN, DifferenceState.CARRIED):
            raise Conflict(f"这条差异当前为“{DIFFERENCE_LABELS[row.state]}”，不能再处理")
        money = difference_class(row.class_name).money
        row.state = DifferenceState.PROPOSED if money else DifferenceState.RESOLVED
        row.resolution, row.resolved_by = resolution[:200], actor[:64]
        row.resolved_at = None if money else clock.now()
        await row.save(update_fields=["state", "resolution", "resolved_by", "resolved_at"])
    log.info("payments.difference_answered", class_name=row.class_name, state=str(row.state))
    return DifferenceState(row.state)


async def approve(*, difference_id: int, actor: str, agree: bool = True) -> DifferenceState:
    """The second person's word on a proposal; a refusal opens the difference again. Raises SamePerson, NotFound, Conflict."""
    actor = _words(actor, "复核人")
    async with db.transaction():
        row = await _locked(difference_id)
        if row.state != DifferenceState.PROPOSED:
            raise Conflict(f"这条差异当前为“{DIFFERENCE_LABELS[row.state]}”，没有待复核的处理")
        if same_person(str(row.resolved_by), actor):
            raise SamePerson
        if agree:
            row.state, row.approved_by, row.resolved_at = DifferenceState.RESOLVED, actor[:64], clock.now()
        else:
            row.state, row.resolution, row.resolved_by = DifferenceState.OPEN, None, None
        await row.save(update_fields=["state", "approved_by", "resolved_at", "resolution", "resolved_by"])
    log.info("payments.difference_approved", class_name=row.class_name, state=str(row.state))
    return DifferenceState(row.state)


async def assign(*, difference_id: int, owner: str) -> None:
    """Gives a difference to a named person. Raises NotFound, Invalid."""
    owner = _words(owner, "负责人")
    async with db.transaction():
        row = await _locked(difference_id)
        row.owner = owner[:64]
        await row.save(update_fields=["owner"])


async def sign(*, channel: str, day: date, signer: str) -> int:
    """One signature under the report as it is now; the second closes the day. Answers how many signatures it has.

    A signature under a report that has changed since does not count. Raises NotFound, Conflict while something is unfinished,
    SamePerson.
    """
    signer = _words(signer, "签字人")
    async with db.transaction():
        for run in await ReconRun.filter(channel=channel, day_on=day).order_by("id"):
            await db.lock(ReconRun, id=run.id)  # in one order, so that two signatures count each other
        runs = await ReconRun.filter(channel=channel, day_on=day).order_by("id")
        _may_be_signed(runs)
        open_rows = await Difference.filter(
            channel=channel, day_on=day, state__in=[str(s) for s in (DifferenceState.OPEN, DifferenceState.PROPOSED)]
        ).count()
        if open_rows:
            raise Conflict(f"还有 {open_rows} 条差异没有处理完，不能签字")
        digest = await _digest(channel, day, runs)
        earlier = await ReconSignature.filter(channel=channel, day_on=day, digest=digest)
        if any(same_person(str(row.signer), signer) for row in earlier):
            raise SamePerson("这一天您已经签过字，须由另一人再签")
        await ReconSignature.create(channel=channel, day_on=day, signer=signer[:64], digest=digest)
        if len(earlier) + 1 >= SIGNERS:
            for run in runs:
                await step(run, RunAction.SIGN_OFF)
    return len(earlier) + 1


def _may_be_signed(runs: list[ReconRun]) -> None:
    if not runs:
        raise NotFound("这一天没有对账记录")
    if all(run.state == RunState.CLOSED for run in runs):
        raise Conflict("这一天已经签字关账")
    if any(run.state not in COMPARED for run in runs):
        raise Conflict("这一天的账单还没有对完，不能签字")


async def _digest(channel: str, day: date, runs: list[ReconRun]) -> str:
    """What the signature is under: the files, their sums, and how every difference of the day ended."""
    parts = [
        f"{r.kind}:{r.sha256}:{r.line_count}:{r.matched_count}:{r.paid_fen}:{r.refunded_fen}:{r.fees_fen}:{r.ours_fen}"
        for r in runs
    ]
    rows = await Difference.filter(channel=channel, day_on=day).order_by("id")
    parts += [f"{r.id}:{r.class_name}:{r.state}:{r.resolution}:{r.resolved_by}:{r.approved_by}" for r in rows]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def _locked(difference_id: int) -> Difference:
    row = await db.lock(Difference, id=difference_id)
    if row is None:
        raise NotFound("没有这条差异")
    return row


def _words(text: str, what: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise Invalid(f"请写明{what}")
    return text


def unfinished() -> list[str]:
    """The states in which a difference still needs somebody."""
    return [str(state) for state in UNFINISHED]
