"""Submitting a case.

One transaction from the lock to the promises, or nothing at all with every fault named at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog

import payments
from backend.cases import contents, numbers, readiness, runtime, steps
from backend.cases.contents import Usable
from backend.cases.models import Case
from backend.cases.ports import DeliveryWish
from backend.cases.screening import MaterialChoice, Promise, delivery_errors, screen
from backend.cases.service import put_query_password, require_assurance, require_citizen, save_draft
from backend.cases.states import CASE, Action, By
from backend.catalog import forms
from backend.catalog import queries as catalog
from backend.catalog.views import ItemVersion
from backend.identity import queries as identity
from backend.identity.actor import PHONE, Actor, AssuranceTooLow
from backend.identity.views import Person
from kernel import clock, db, rows
from kernel.idempotency import Idempotency, run_once
from kernel.problems import FieldError, Invalid

log = structlog.get_logger(__name__)


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an applicant hands in."""

    form: dict[str, Any]
    materials: tuple[MaterialChoice, ...] = ()
    promise: Promise | None = None
    delivery: DeliveryWish | None = None


class SubmissionIncomplete(Invalid):
    """Not everything is there or right; `errors` is the whole list, told once (一次性告知)."""

    code, title = "submission-incomplete", "还有内容需要补充或修改，请按提示逐项处理"


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a submission.

    The query password is shown this once; `outstanding` says that a payment is awaited first.
    """

    case_no: str
    status: str
    status_label: str
    query_password: str
    bill_nos: tuple[str, ...]
    outstanding: bool
    deferred_codes: tuple[str, ...]


async def submit(*, actor: Actor, case_no: str, submission: Submission, idem: Idempotency | None = None) -> Submitted:
    """Hand a draft in.

    Accepted means: case, files, bills, delivery wish and promises to the outside are committed together.

    Raises NotFound, IllegalTransition (409), AssuranceTooLow (428), SubmissionIncomplete (422), and what payments and
    delivery refuse.
    """
    require_citizen(actor)
    password = numbers.new_query_password()

    async def work() -> Submitted:
        case, person, files = await rows.three(
            steps.locking(case_no=case_no, account_ref=actor.account_ref),
            identity.reading(actor.account_ref),
            contents.using(actor.account_ref, submission.materials),
        )
        CASE.step(case.state, Action.SUBMIT, by=By.APPLICANT)
        item = await catalog.version(case.item_version_id)
        if item.fee_lines:
            db.needs_transaction()  # bills are issued by payments in a transaction of theirs
        require_assurance(actor, item)
        _require_phone(person)
        await _fill(case, person, item, submission, files)
        put_query_password(case, password)
        await steps.take(case, Action.SUBMIT, steps.Fact(by=By.APPLICANT, at=clock.now()))
        bill_nos = await _issue_bills(case, item)
        if submission.delivery is not None:
            await runtime.get().planner.plan(case_no=case_no, account_ref=actor.account_ref, wish=submission.delivery)
        await steps.publish("case.submitted", case_no=case_no, key="1")
        ready = await readiness.announce_if_ready(case, item)
        label = CASE.label(case.state)
        return Submitted(
            case_no=case_no,
            status=label.status,
            status_label=label.label,
            query_password=password,
            bill_nos=bill_nos,
            outstanding=not ready,
            deferred_codes=tuple(case.deferred_codes),
        )

    try:
        return await run_once(idem, Submitted, work, gathers=True)
    except SubmissionIncomplete:
        await _keep(actor, case_no, submission)
        raise


async def _keep(actor: Actor, case_no: str, submission: Submission) -> None:
    """What was refused stays in the draft, in a transaction of its own; that must never hide why it was refused."""
    try:
        files = await contents.usable(actor.account_ref, submission.materials)
        draft = contents.Draft(
            form=submission.form,
            materials=tuple(
                MaterialChoice(
                    code=choice.code,
                    material_ids=tuple(
                        ref for ref in choice.material_ids if ref in files and files[ref].state == "clean"
                    ),
                )
                for choice in submission.materials
            ),
            delivery=msgspec.to_builtins(submission.delivery),
            promise=msgspec.to_builtins(submission.promise),
        )
        await save_draft(actor=actor, case_no=case_no, draft=draft)
    except Exception as error:
        log.warning("cases.draft_not_kept", case_no=case_no, error=type(error).__name__)


def _require_phone(person: Person) -> None:
    """The window takes no case without a phone number: better refused before money is taken than after."""
    if person.phone is None:
        raise AssuranceTooLow(
            "请先绑定手机号，再提交申请，窗口要能联系到您。",
            extra={"required_level": PHONE, "current_level": person.assurance_level, "action": "bind_phone"},
        )


async def _fill(
    case: Case, person: Person, item: ItemVersion, submission: Submission, files: Mapping[str, Usable]
) -> None:
    """Judge everything at once, then put it into the row; nothing is written when anything is wrong."""
    screened = screen(
        rules=item.materials,
        choices=submission.materials,
        usable={ref: row.state for ref, row in files.items()},
        promise=submission.promise,
        today=clock.today(),
    )
    errors = [
        *(
            FieldError(f"/form{error.pointer}", error.message)
            for error in forms.validate(item.form_schema, submission.form)
        ),
        *screened.errors,
        *delivery_errors(modes=item.delivery_modes, wish=submission.delivery),
    ]
    if errors:
        raise SubmissionIncomplete(errors=errors)
    contents.put_form(case, submission.form)
    contents.put_applicant(case, person)
    contents.put_delivery(case, submission.delivery)
    case.draft_sealed = None
    case.data_version = 1
    case.submitted_at = clock.now()
    case.deferred_codes = list(screened.deferred_codes)
    case.deferred_until_on = submission.promise.until_on if submission.promise and screened.deferred_codes else None
    await contents.attach_first(case, submission.materials, files)


async def _issue_bills(case: Case, item: ItemVersion) -> tuple[str, ...]:
    """The item's fees at the prices of today; the courier's bill is the delivery slice's."""
    if not item.fee_lines:
        return ()
    lines = []
    for fee in item.fee_lines:
        price = await payments.price(unit_code=item.department_code, fee_code=fee.fee_code, on=clock.today())
        lines.append(
            payments.Line(fee_code=fee.fee_code, name=price.name, quantity=fee.quantity, price_fen=price.price_fen)
        )
    bill_no = await payments.issue_bill(
        subject=steps.subject(case.case_no),
        owner_ref=case.account_ref,
        unit_code=item.department_code,
        kind="administrative",
        lines=lines,
        expires_at=clock.now() + timedelta(days=runtime.get().settings.bill_days),
        dedupe_key=f"{steps.subject(case.case_no)}:administrative",
    )
    return (bill_no,)
