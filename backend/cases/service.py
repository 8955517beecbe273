"""What an applicant may do with a case except submitting and correcting it.

Open a draft, save it, withdraw, ask for a new query password.
"""

import msgspec

from backend.cases import contents, numbers, runtime, steps
from backend.cases.contents import Draft
from backend.cases.models import Case, Correction
from backend.cases.screening import MaterialChoice
from backend.cases.states import CASE, Action, By, CaseState
from backend.catalog import queries as catalog
from backend.catalog.views import ItemVersion
from backend.identity.actor import ASSURANCE_LABELS, FACE, NAME_AND_ID, PHONE, Actor, AssuranceTooLow
from kernel import clock, db
from kernel.idempotency import Idempotency, run_once
from kernel.problems import Conflict, FieldError, Forbidden, Invalid, TooMany

MAX_REASON_LENGTH = 200
_FREE_MATERIALS = 60


class ItemNotOnline(Conflict):
    """The item is in force but cannot be applied for online."""

    code, title = "item-not-online", "这个事项暂时不能网上申请，请按办事指南到窗口办理"


class DraftsTooMany(TooMany):
    """Too many drafts of one account."""

    code, title = "too-many-drafts", "您的草稿太多了，请先提交或删除一些草稿"


class CaseOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A new draft."""

    case_no: str
    item_code: str
    item_name: str
    item_version: int
    region_code: str
    status: str
    status_label: str


class CaseMoved(msgspec.Struct, frozen=True, kw_only=True):
    """Where a case stands after a command."""

    case_no: str
    status: str
    status_label: str
    finished: bool


class QueryPassword(msgspec.Struct, frozen=True, kw_only=True):
    """The password for looking a case up without logging in; shown this once and never again."""

    case_no: str
    query_password: str


async def open_draft(*, actor: Actor, item_code: str, region_code: str, idem: Idempotency | None = None) -> CaseOpened:
    """Begin an application; the item version of today is frozen into it.

    Raises ItemNotOpen (catalog), ItemNotOnline (409), AssuranceTooLow (428), DraftsTooMany (429), Forbidden.
    """
    require_citizen(actor)
    item = await catalog.current(item_code=item_code, region_code=region_code)
    if not item.apply_online:
        raise ItemNotOnline
    require_assurance(actor, item)
    # Outside the transaction: the counter's row would stay locked until its end. A number lost to a repeat is harmless.
    case_no = await numbers.new_case_no(region_code=region_code, project_type=item.project_type)

    async def work() -> CaseOpened:
        drafts = Case.filter(account_ref=actor.account_ref, state=CaseState.DRAFT)
        if await drafts.count() >= runtime.get().settings.open_drafts:
            raise DraftsTooMany(retry_after_seconds=60)
        await Case.create(
            case_no=case_no,
            account_ref=actor.account_ref,
            item_code=item.item_code,
            item_version_id=item.version_id,
            item_name=item.name,
            region_code=region_code,
            department_name=item.department_name,
            project_type=item.project_type,
            state=CaseState.DRAFT,
            changed_at=clock.now(),
        )
        label = CASE.label(CaseState.DRAFT)
        return CaseOpened(
            case_no=case_no,
            item_code=item.item_code,
            item_name=item.name,
            item_version=item.version,
            region_code=region_code,
            status=label.status,
            status_label=label.label,
        )

    return await run_once(idem, CaseOpened, work)


async def save_draft(*, actor: Actor, case_no: str, draft: Draft) -> CaseMoved:
    """Keep what was typed so far; the last one saved wins.

    Raises NotFound, Conflict when it is no draft any more, Invalid.
    """
    async with db.transaction():
        case = await steps.locked(case_no=case_no, account_ref=actor.account_ref)
        if case.state != CaseState.DRAFT:
            raise Conflict("这件申请已经提交，不能再修改草稿")
        files = await contents.usable(actor.account_ref, draft.materials)
        if errors := _draft_errors(draft.materials, {ref for ref, row in files.items() if row.state == "clean"}):
            raise Invalid(errors=errors)
        await contents.replace_draft_files(case, draft.materials, files)
        contents.put_draft(case, draft)
        case.changed_at = clock.now()
        await case.save(update_fields=["draft_sealed", "changed_at"])
        return moved(case)


async def withdraw(*, actor: Actor, case_no: str, reason: str, idem: Idempotency | None = None) -> CaseMoved:
    """撤回, before a decision: unpaid bills are withdrawn, paid ones owed back.

    A case that is withdrawn already answers the same.
    """
    if len(reason) > MAX_REASON_LENGTH:
        raise Invalid(errors=[FieldError("/reason", f"撤回原因最多 {MAX_REASON_LENGTH} 个字")])

    async def work() -> CaseMoved:
        case = await steps.locked(case_no=case_no, account_ref=actor.account_ref)
        if case.state == CaseState.WITHDRAWN:
            return moved(case)
        was_draft = case.state == CaseState.DRAFT
        if was_draft:
            await contents.discard_draft(case)
        else:
            case.data_version += 1
            await Correction.filter(case_id=case.id, state="open").update(state="closed")
        fact = steps.Fact(by=By.APPLICANT, at=clock.now(), text=reason.strip())
        await steps.take(case, Action.WITHDRAW, fact)
        if not was_draft:
            version = case.data_version
            await steps.publish("case.withdrawn", case_no=case_no, key=str(version), data_version=version)
        return moved(case)

    return await run_once(idem, CaseMoved, work)


async def reissue_query_password(*, actor: Actor, case_no: str, idem: Idempotency | None = None) -> QueryPassword:
    """A new query password in place of the old one; it also ends a lock after too many wrong tries."""
    password = numbers.new_query_password()

    async def work() -> QueryPassword:
        case = await steps.locked(case_no=case_no, account_ref=actor.account_ref)
        if case.submitted_at is None:
            raise Conflict("这件申请还没有提交")
        put_query_password(case, password)
        await case.save(update_fields=["query_password_hash", "query_failures", "query_locked_until"])
        return QueryPassword(case_no=case_no, query_password=password)

    return await run_once(idem, QueryPassword, work)


def put_query_password(case: Case, password: str) -> None:
    """Keep the keyed hash and forget earlier failures."""
    case.query_password_hash = numbers.query_password_hash(case_no=case.case_no, password=password)
    case.query_failures, case.query_locked_until = 0, None


def require_citizen(actor: Actor) -> None:
    """Couriers and agents have sessions too, but no applications of their own."""
    if actor.role != "citizen":
        raise Forbidden


def require_assurance(actor: Actor, item: ItemVersion) -> None:
    """Raises AssuranceTooLow with what the person should do now."""
    if actor.assurance_level >= item.assurance_level:
        return
    action, advice = _REMEDIES[item.assurance_level]
    if item.assurance_level > PHONE > actor.assurance_level:
        action, advice = "bind_phone", "请先绑定手机号，再完成实名认证。"
    wanted = ASSURANCE_LABELS[item.assurance_level]
    raise AssuranceTooLow(
        f"“{item.name}”要求“{wanted}”。{advice}",
        extra={
            "required_level": item.assurance_level,
            "current_level": actor.assurance_level,
            "action": action,
        },
    )


def moved(case: Case) -> CaseMoved:
    """Where the case stands now."""
    label = CASE.label(case.state)
    return CaseMoved(case_no=case.case_no, status=label.status, status_label=label.label, finished=label.finished)


_REMEDIES = {
    PHONE: ("bind_phone", "请先绑定手机号。"),
    NAME_AND_ID: ("verify_identity", "请先用姓名和身份证号完成实名认证。"),
    FACE: ("verify_face", "请先完成刷脸核验，或到政务服务大厅窗口办理。"),
}


def _draft_errors(choices: tuple[MaterialChoice, ...], clean: set[str]) -> list[FieldError]:
    errors = []
    if sum(len(choice.material_ids) for choice in choices) > _FREE_MATERIALS:
        errors.append(FieldError("/materials", f"一份草稿最多保留 {_FREE_MATERIALS} 张照片"))
    for choice in choices:
        for index, material_id in enumerate(choice.material_ids):
            if material_id not in clean:
                pointer = f"/materials/{choice.code}/{index}"
                errors.append(FieldError(pointer, "照片没有找到或未通过检查，请重新上传"))
    return errors
