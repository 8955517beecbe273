"""补正: the office's one-time list, the applicant's answer, and what happens when none comes."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec

from backend.cases import contents, progress, runtime, steps
from backend.cases.models import Case, Correction
from backend.cases.ports import Applied, Shortcoming
from backend.cases.screening import MaterialChoice, screen
from backend.cases.service import CaseMoved, moved
from backend.cases.states import END_STATES, Action, By, CaseState
from backend.cases.submission import SubmissionIncomplete
from backend.catalog import forms
from backend.catalog import queries as catalog
from backend.catalog.views import ItemVersion
from backend.identity.actor import Actor
from kernel import clock, db
from kernel.crypto import seal, unseal
from kernel.idempotency import Idempotency, run_once
from kernel.problems import Conflict, FieldError, NotFound

OPEN, ANSWERED, EXPIRED, CLOSED = "open", "answered", "expired", "closed"
LABELS = {OPEN: "等待您补正", ANSWERED: "已补正", EXPIRED: "已逾期", CLOSED: "已不需要补正"}
_EXPIRE_BATCH = 100


class CorrectionClosed(Conflict):
    """This correction no longer waits for an answer."""

    code, title = "correction-closed", "这次补正已经结束，不能再提交"


class CorrectionList(msgspec.Struct, frozen=True):
    """The immutable list: everything that is missing, told once."""

    items: tuple[Shortcoming, ...]
    reason: str


async def ask_correction(
    *,
    case_no: str,
    source_ref: str,
    at: datetime,
    items: Sequence[Shortcoming],
    reason: str = "",
    deadline_on: date | None = None,
    sender: str = "",
) -> Applied:
    """The office asks for a correction.

    The first list is the one the law allows; a further one is kept and flagged `repeated`.

    Without a deadline of the office ours applies. See `backend.cases.progress` for how facts are applied.
    """

    async def work(case: Case, fact: steps.Fact) -> Applied:
        number = await Correction.filter(case_id=case.id).count() + 1
        settled = case.state in END_STATES or (case.accepted_at is not None and at < case.accepted_at)
        await Correction.create(
            case_id=case.id,
            number=number,
            source_ref=source_ref,
            state=CLOSED if settled else OPEN,
            asked_at=at,
            deadline_at=_deadline(at, deadline_on),
            repeated=number > 1,
            sender=sender[:200],
            list_sealed=seal(
                msgspec.json.encode(CorrectionList(tuple(items), reason)), context=_context(case_no, number)
            ),
            data_version=case.data_version,
        )
        case.correction_count = number
        fact.facts["number"] = str(number)
        if number > 1:
            fact.facts["repeated"] = "1"
        return await steps.settle(case, Action.ASK_CORRECTION.value, fact)

    fact = steps.Fact(by=By.PLATFORM, at=at, source_ref=source_ref, text=reason)
    return await progress.once(case_no, fact, work)


async def answer(
    *,
    actor: Actor,
    case_no: str,
    number: int,
    materials: tuple[MaterialChoice, ...] = (),
    form: dict[str, Any] | None = None,
    idem: Idempotency | None = None,
) -> CaseMoved:
    """The applicant's answer to correction `number`: a new data version, told to the platform.

    Raises NotFound, CorrectionClosed (409), SubmissionIncomplete (422) with every fault at once.
    """

    async def work() -> CaseMoved:
        case = await steps.locked(case_no=case_no, account_ref=actor.account_ref)
        correction = await Correction.get_or_none(case_id=case.id, number=number)
        if correction is None:
            raise NotFound("没有找到这次补正")
        if correction.state != OPEN or case.state != CaseState.CORRECTING:
            raise CorrectionClosed
        files = await contents.usable(actor.account_ref, materials)
        item = await catalog.version(case.item_version_id)
        asked = list_of(case_no, correction)
        errors = _errors(item, asked, materials, {r: row.state for r, row in files.items()}, form)
        errors += await _unchanged(case, asked, materials)
        if errors:
            raise SubmissionIncomplete(errors=errors)
        case.data_version += 1
        await contents.attach(case, materials, files, version=case.data_version)
        if form is not None:
            contents.put_form(case, form)
        await _supply(case, correction)
        return moved(case)

    return await run_once(idem, CaseMoved, work)


async def expire_due() -> None:
    """Job: corrections that nobody answered end the case as 退件.

    Some days after their deadline, so that a late message of the office wins. One that fails does not hold up the others.
    """
    before = clock.now() - timedelta(days=runtime.get().settings.correction_grace_days)
    due = Correction.filter(state=OPEN, deadline_at__lt=before).order_by("deadline_at").limit(_EXPIRE_BATCH)
    failures: list[Exception] = []
    for correction in await due.prefetch_related("case"):
        try:
            await _expire(correction.id, correction.case.case_no)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def _expire(correction_id: int, case_no: str) -> None:
    async with db.transaction():
        case = await steps.locked(case_no=case_no)
        correction = await Correction.get(id=correction_id)
        if correction.state != OPEN:
            return
        correction.state = EXPIRED
        await correction.save(update_fields=["state"])
        if case.state == CaseState.CORRECTING:
            fact = steps.Fact(by=By.SYSTEM, at=clock.now(), facts={"number": str(correction.number)})
            await steps.take(case, Action.EXPIRE, fact)


def list_of(case_no: str, correction: Correction) -> CorrectionList:
    """The list, opened."""
    body = unseal(correction.list_sealed, context=_context(case_no, correction.number))
    return msgspec.json.decode(body, type=CorrectionList)


async def _supply(case: Case, correction: Correction) -> None:
    correction.state, correction.answered_at = ANSWERED, clock.now()
    correction.answered_version = case.data_version
    await correction.save(update_fields=["state", "answered_at", "answered_version"])
    back = Action.SUPPLY_ACCEPTED if steps.base(case) is CaseState.PROCESSING else Action.SUPPLY
    facts = {"number": str(correction.number)}
    await steps.settle(case, back.value, steps.Fact(by=By.APPLICANT, at=clock.now(), facts=facts))
    case.ready_version = case.data_version
    await case.save(update_fields=["ready_version"])
    await steps.publish(
        "case.corrected",
        case_no=case.case_no,
        key=str(case.data_version),
        number=correction.number,
        data_version=case.data_version,
    )


def _errors(
    item: ItemVersion,
    asked: CorrectionList,
    materials: tuple[MaterialChoice, ...],
    usable: dict[str, str],
    form: dict[str, Any] | None,
) -> list[FieldError]:
    known = {rule.code for rule in item.materials}
    codes = frozenset(line.material_code for line in asked.items) & known
    errors = [
        *screen(
            rules=item.materials, choices=materials, usable=usable, promise=None, today=clock.today(), only=codes
        ).errors
    ]
    # A code of the list that the item marks as optional is required now: the office asked for it.
    given = {choice.code for choice in materials if choice.material_ids}
    for rule in item.materials:
        if rule.code in codes - given and rule.need == "optional":
            errors.append(FieldError(f"/materials/{rule.code}", f"请上传“{rule.name}”"))
        if rule.code in given and codes and rule.code not in codes:
            errors.append(FieldError(f"/materials/{rule.code}", f"“{rule.name}”不在补正清单里，请删除"))
    if form is not None:
        errors += [FieldError(f"/form{e.pointer}", e.message) for e in forms.validate(item.form_schema, form)]
    elif any(not line.material_code for line in asked.items):
        errors.append(FieldError("/form", "补正清单要求修改表单，请修改后提交"))
    return errors


async def _unchanged(case: Case, asked: CorrectionList, materials: tuple[MaterialChoice, ...]) -> list[FieldError]:
    """The very photo the office did not take would come back, and the law allows one list only.

    Files count by their content: the same picture sent anew has another id. Of several photos of one requirement some
    may stay, but not all.
    """
    listed = {line.material_code for line in asked.items}
    before: dict[str, set[str]] = {}
    for row in await contents.attached(case):
        before.setdefault(row.code, set()).add(row.material.sha256)
    chosen = [choice for choice in materials if choice.code in listed and choice.code in before]
    sent = await contents.sha256_of(case.account_ref, {ref for choice in chosen for ref in choice.material_ids})
    return [
        FieldError(f"/materials/{choice.code}/{index}", "这就是被退回的那张照片，请重新拍摄")
        for choice in chosen
        if {sent.get(ref) for ref in choice.material_ids} <= before[choice.code]
        for index in range(len(choice.material_ids))
    ]


def _deadline(at: datetime, deadline_on: date | None) -> datetime:
    """The end of the last day in Asia/Shanghai."""
    last = deadline_on or clock.local(at).date() + timedelta(days=runtime.get().settings.correction_days)
    return datetime.combine(last, time(23, 59, 59), tzinfo=clock.SHANGHAI)


def _context(case_no: str, number: int) -> str:
    return f"cases_correction.list:{case_no}:{number}"
