"""Everything about one case.

For its owner (detail, timeline), for the platform (package), and for a stranger with the query password.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from backend.cases import contents, numbers, steps
from backend.cases.contents import Draft, InUse
from backend.cases.corrections import LABELS as CORRECTION_LABELS
from backend.cases.corrections import list_of
from backend.cases.models import Attachment, Case, Correction, Event
from backend.cases.ports import Applicant, CasePackage, PackageCorrection, PackageMaterial
from backend.cases.results import CertificateView, ResultFileView, certificates_of, files_of, outcome_text
from backend.cases.states import CASE, Action, CaseState
from backend.cases.texts import sentence
from backend.catalog import queries as catalog
from backend.catalog.views import ItemVersion
from backend.identity import queries as identity
from backend.identity.actor import Actor
from kernel import batches, clock, db
from kernel.crypto import unseal_text
from kernel.problems import NotFound

QUERY_TRIES = 5
QUERY_LOCK_MINUTES = 30
# A stranger's wrong number costs the same work as a wrong password.
_NOBODY = "0" * 64
_CASES = batches.Models(Case, by={"t.case_no": "text", "t.account_ref": "text"})
_CORRECTIONS = batches.Models(Correction, by={"t.case_id": "bigint"}, order="t.number")


class MaterialUse(msgspec.Struct, frozen=True, kw_only=True):
    """A file in use, as its owner sees it."""

    code: str
    name: str
    material_id: str
    width: int
    height: int


class CorrectionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to put right; `pointer` is the field of the answer it belongs to."""

    pointer: str
    name: str
    problem: str


class CorrectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A correction list, complete and unchanged since it came."""

    number: int
    state: str
    state_label: str
    asked_at: datetime
    deadline_at: datetime
    reason: str
    sender: str
    repeated: bool
    items: tuple[CorrectionLine, ...]
    answered_at: datetime | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery wish, masked."""

    way: str
    name: str | None
    phone: str | None
    address: str | None


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided."""

    outcome: str
    explain: str
    reason: str
    certificates: tuple[CertificateView, ...]
    files: tuple[ResultFileView, ...]


class CaseDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A case as its owner sees it."""

    case_no: str
    item_code: str
    item_version_id: int
    item_name: str
    region_code: str
    department_name: str
    status: str
    status_label: str
    finished: bool
    version: int
    data_version: int
    created_at: datetime
    submitted_at: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None
    promise_on: date | None
    applicant_name: str | None
    applicant_id: str | None
    applicant_phone: str | None
    form: dict[str, Any]
    materials: tuple[MaterialUse, ...]
    deferred_codes: tuple[str, ...]
    deferred_until_on: date | None
    delivery: DeliveryView | None
    draft: Draft | None
    corrections: tuple[CorrectionView, ...]
    result: ResultView | None
    can_withdraw: bool


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One event in the citizen's words; `detail` is what the office or the applicant wrote."""

    seq: int
    at: datetime
    kind: str
    text: str
    detail: str | None
    status: str
    status_label: str
    by: str


class PublicStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder of number and password may see: no field of the form, no file, masks only."""

    case_no: str
    item_name: str
    department_name: str
    applicant_name: str | None
    status: str
    status_label: str
    finished: bool
    submitted_at: datetime | None
    promise_on: date | None


async def detail(*, actor: Actor, case_no: str) -> CaseDetail:
    """The actor's own case with everything in it. Raises NotFound, also for another person's case."""
    case = await _own(actor, case_no)
    item = await catalog.version(case.item_version_id)
    label = CASE.label(case.state)
    is_draft = case.state == CaseState.DRAFT
    return CaseDetail(
        case_no=case.case_no,
        item_code=case.item_code,
        item_version_id=case.item_version_id,
        item_name=case.item_name,
        region_code=case.region_code,
        department_name=case.department_name,
        status=label.status,
        status_label=label.label,
        finished=label.finished,
        version=case.seq,
        data_version=case.data_version,
        created_at=clock.local(case.created_at),
        submitted_at=_local(case.submitted_at),
        accepted_at=_local(case.accepted_at),
        ended_at=_local(case.ended_at),
        promise_on=case.promise_on,
        applicant_name=case.applicant_name_mask,
        applicant_id=case.applicant_id_mask,
        applicant_phone=case.applicant_phone_mask,
        form=contents.form_of(case),
        materials=_uses(item, await contents.in_use(case)),
        deferred_codes=tuple(case.deferred_codes),
        deferred_until_on=case.deferred_until_on,
        delivery=_delivery(case),
        draft=await contents.draft_of(case) if is_draft else None,
        corrections=await _corrections(case, item),
        result=await _result(case),
        can_withdraw=CASE.allows(case.state, Action.WITHDRAW, by="applicant"),
    )


async def timeline(*, actor: Actor, case_no: str) -> tuple[TimelineEntry, ...]:
    """What happened to the actor's own case, oldest first. Raises NotFound, also for another person's case."""
    case = await _own(actor, case_no)
    entries = []
    for event in await Event.filter(case_id=case.id).order_by("seq"):
        label = CASE.label(event.to_state)
        entries.append(
            TimelineEntry(
                seq=event.seq,
                at=clock.local(event.at),
                kind=event.kind,
                text=sentence(event.kind, note=event.note, facts=event.facts),
                detail=_text(case, event),
                status=label.status,
                status_label=label.label,
                by=event.by,
            )
        )
    return tuple(entries)


async def is_withdrawn(*, case_no: str) -> bool:
    """Whether the applicant has given the case up."""
    return await Case.filter(case_no=case_no, state=CaseState.WITHDRAWN).exists()


async def package(*, case_no: str) -> CasePackage:
    """Everything the platform needs of a submitted case, decrypted; for the one-window slice only. Raises NotFound."""
    case = await Case.get_or_none(case_no=case_no)
    if case is None or case.submitted_at is None:
        raise NotFound("没有找到这件申请")
    item = await catalog.version(case.item_version_id)
    names = {rule.code: rule.name for rule in item.materials}
    rows = await contents.attached(case)
    return CasePackage(
        case_no=case.case_no,
        account_ref=case.account_ref,
        state=case.state,
        data_version=case.data_version,
        item_code=case.item_code,
        item_version_id=case.item_version_id,
        item_name=case.item_name,
        region_code=case.region_code,
        submitted_at=case.submitted_at,
        applicant=await _applicant(case),
        form=contents.form_of(case),
        materials=tuple(_package_material(row, names) for row in rows),
        deferred_codes=tuple(case.deferred_codes),
        deferred_until_on=case.deferred_until_on,
        delivery=contents.delivery_of(case),
        correction=await _answered(case, rows),
        withdraw_reason=await _withdraw_reason(case),
    )


async def by_password(*, case_no: str, password: str) -> PublicStatus:
    """A look without logging in.

    A wrong number and a wrong password are told alike; five wrong tries lock the case's query for half an hour.

    Raises NotFound.
    """
    refused = NotFound("办件编号或查询密码不正确。连续输错 5 次后，请过半小时再试")
    async with db.transaction():
        case = await db.lock(Case, case_no=case_no)
        now = clock.now()
        stored = case.query_password_hash if case is not None else _NOBODY
        right = numbers.query_password_matches(case_no=case_no, password=password, stored_hash=stored or _NOBODY)
        locked = case is not None and case.query_locked_until is not None and case.query_locked_until > now
        if case is not None and not locked:
            case.query_failures = 0 if right else case.query_failures + 1
            if case.query_failures >= QUERY_TRIES:
                case.query_failures, case.query_locked_until = 0, now + timedelta(minutes=QUERY_LOCK_MINUTES)
            await case.save(update_fields=["query_failures", "query_locked_until"])
    # Raised after the commit: a failure that rolled its own count back would allow endless guessing.
    if case is None or locked or not right:
        raise refused
    label = CASE.label(case.state)
    return PublicStatus(
        case_no=case.case_no,
        item_name=case.item_name,
        department_name=case.department_name,
        applicant_name=case.applicant_name_mask,
        status=label.status,
        status_label=label.label,
        finished=label.finished,
        submitted_at=_local(case.submitted_at),
        promise_on=case.promise_on,
    )


async def _own(actor: Actor, case_no: str) -> Case:
    case = await _CASES.one(case_no, actor.account_ref)
    if case is None:
        raise NotFound("没有找到这件申请，请核对办件编号")
    return case


def _uses(item: ItemVersion, rows: Iterable[InUse]) -> tuple[MaterialUse, ...]:
    names = {rule.code: rule.name for rule in item.materials}
    return tuple(
        MaterialUse(
            code=row.code,
            name=names.get(row.code, row.code),
            material_id=row.ref,
            width=row.width or 0,
            height=row.height or 0,
        )
        for row in rows
    )


def _delivery(case: Case) -> DeliveryView | None:
    if case.delivery_way is None:
        return None
    return DeliveryView(
        way=case.delivery_way,
        name=case.delivery_name_mask,
        phone=case.delivery_phone_mask,
        address=case.delivery_address_mask,
    )


async def _corrections(case: Case, item: ItemVersion) -> tuple[CorrectionView, ...]:
    names = {rule.code: rule.name for rule in item.materials}
    views = []
    for row in await _CORRECTIONS.of(case.id):
        asked = list_of(case.case_no, row)
        views.append(
            CorrectionView(
                number=row.number,
                state=row.state,
                state_label=CORRECTION_LABELS[row.state],
                asked_at=clock.local(row.asked_at),
                deadline_at=clock.local(row.deadline_at),
                reason=asked.reason,
                sender=row.sender,
                repeated=row.repeated,
                items=tuple(
                    CorrectionLine(
                        pointer=f"/materials/{line.material_code}" if line.material_code else "/form",
                        name=names.get(line.material_code, line.material_code or "申请表"),
                        problem=line.problem,
                    )
                    for line in asked.items
                ),
                answered_at=_local(row.answered_at),
            )
        )
    return tuple(views)


async def _result(case: Case) -> ResultView | None:
    text = outcome_text(case)
    if text is None or case.outcome is None:
        return None
    return ResultView(
        outcome=case.outcome,
        explain=text.explain,
        reason=text.reason,
        certificates=await certificates_of(case),
        files=await files_of(case),
    )


async def _applicant(case: Case) -> Applicant:
    """As frozen at submission. A phone bound only later counts too: without one the platform takes no case."""
    frozen = contents.applicant_of(case)
    if frozen.phone:
        return frozen
    phone = (await identity.person(case.account_ref)).phone
    return msgspec.structs.replace(frozen, phone=phone or "")


def _package_material(row: Attachment, names: dict[str, str]) -> PackageMaterial:
    material = row.material
    return PackageMaterial(
        code=row.code,
        name=names.get(row.code, row.code),
        material_id=material.ref,
        mime="image/jpeg",
        bytes=material.stored_bytes or 0,
        sha256=material.stored_sha256 or "",
        storage_key=material.storage_key or "",
    )


async def _answered(case: Case, rows: list[Attachment]) -> PackageCorrection | None:
    correction = await Correction.get_or_none(case_id=case.id, answered_version=case.data_version)
    if correction is None:
        return None
    codes = sorted({row.code for row in rows if row.since_version == case.data_version})
    return PackageCorrection(number=correction.number, source_ref=correction.source_ref, codes=tuple(codes))


async def _withdraw_reason(case: Case) -> str:
    event = await Event.filter(case_id=case.id, kind=Action.WITHDRAW.value).order_by("-seq").first()
    return (_text(case, event) or "") if event is not None else ""


def _text(case: Case, event: Event) -> str | None:
    if event.text_sealed is None:
        return None
    return unseal_text(event.text_sealed, context=steps.text_context(case.case_no, event.seq))


def _local(instant: datetime | None) -> datetime | None:
    return clock.local(instant) if instant is not None else None
