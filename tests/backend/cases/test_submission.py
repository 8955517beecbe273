"""From the draft to the receipt.

What is refused is refused whole and told once, what is accepted is everything at once.
"""

import json
from datetime import date

import msgspec
import pytest

import payments
from backend.cases import contents, handlers, queries, service, submission
from backend.cases.contents import Draft
from backend.cases.models import Attachment, Case, Event
from backend.cases.ports import DeliveryWish, Recipient
from backend.cases.screening import MaterialChoice, Promise
from backend.cases.service import AssuranceTooLow, DraftsTooMany, ItemNotOnline
from backend.cases.submission import SubmissionIncomplete
from backend.catalog import queries as catalog
from backend.identity import queries as queries_of_identity
from backend.identity.models import Account
from kernel import db, outbox
from kernel.idempotency import KeyReused
from kernel.problems import Conflict, Forbidden, Invalid, NotFound, Problem
from kernel.state_machine import IllegalTransition
from tests.backend.cases.conftest import COUNTY, ELSEWHERE, FORM, ITEM, MAIL, gather, guide, idem, person, publish


async def submit(world, case_no, actor=None, *, key=None, **changes):
    wanted = await world.submission(**changes)
    return await submission.submit(
        actor=actor or world.citizen, case_no=case_no, submission=wanted, idem=idem(key) if key else None
    )


# ---------------------------------------------------------------------------------------------- drafts


async def test_a_draft_freezes_the_item_of_its_day(world):
    opened = await service.open_draft(actor=world.citizen, item_code=ITEM, region_code=COUNTY)
    assert (opened.item_version, opened.status) == (1, "draft")
    await publish(version=2, name="新名称")
    catalog.forget_cached()
    detail = await queries.detail(actor=world.citizen, case_no=opened.case_no)
    assert detail.item_name == "老年人优待证补办"


async def test_an_item_that_is_not_in_force_there_cannot_be_applied_for(world):
    for item, region, status in ((ITEM, ELSEWHERE, 409), ("NO-SUCH-ITEM", COUNTY, 404)):
        with pytest.raises(Problem) as refused:
            await service.open_draft(actor=world.citizen, item_code=item, region_code=region)
        assert refused.value.status == status


async def test_an_item_for_the_window_only_is_refused_online(world):
    await publish(item_code="WINDOW-ONLY", apply_online=False)
    with pytest.raises(ItemNotOnline):
        await service.open_draft(actor=world.citizen, item_code="WINDOW-ONLY", region_code=COUNTY)


@pytest.mark.parametrize(("level", "action"), [(0, "bind_phone"), (1, "verify_identity")])
async def test_who_is_not_sure_enough_is_told_what_to_do(world, level, action):
    unsure = await person("李四", "570101198504123020", "13900000009", level=level)
    with pytest.raises(AssuranceTooLow) as refused:
        await service.open_draft(actor=unsure, item_code=ITEM, region_code=COUNTY)
    assert refused.value.status == 428
    assert refused.value.extra == {"required_level": 2, "current_level": level, "action": action}


@pytest.mark.parametrize("role", ["courier", "agent"])
async def test_who_is_no_citizen_has_no_applications(world, role):
    worker = await person("赵六", "570101198504123020", "13900000008", role=role)
    with pytest.raises(Forbidden):
        await service.open_draft(actor=worker, item_code=ITEM, region_code=COUNTY)


async def test_the_same_key_opens_one_draft(world):
    first, again = [
        await service.open_draft(actor=world.citizen, item_code=ITEM, region_code=COUNTY, idem=idem("d", "draft"))
        for _ in range(2)
    ]
    assert first == again
    assert await Case.all().count() == 1


async def test_drafts_are_limited(world):
    for _ in range(30):
        await world.draft()
    with pytest.raises(DraftsTooMany):
        await world.draft()


async def test_a_draft_keeps_half_a_form_under_seal_and_its_files(world):
    case_no, photo = await world.draft(), await world.photo()
    half = Draft(
        form={"reason": "遗失，秘密内容"},
        materials=(MaterialChoice(code="PHOTO", material_ids=(photo,)),),
        delivery={"way": "mail"},
    )
    await service.save_draft(actor=world.citizen, case_no=case_no, draft=half)
    await service.save_draft(actor=world.citizen, case_no=case_no, draft=half)
    assert (await queries.detail(actor=world.citizen, case_no=case_no)).draft == half
    assert "秘密内容" not in json.dumps(await db.fetch("SELECT * FROM cases_case"), default=str, ensure_ascii=False)
    assert await Attachment.all().count() == 1


async def test_a_draft_cannot_hold_files_of_others_or_be_endless(world):
    case_no, foreign = await world.draft(), await world.photo(world.neighbour)
    refused_file = await world.photo(state="refused")
    with pytest.raises(Invalid) as refused:
        await service.save_draft(
            actor=world.citizen,
            case_no=case_no,
            draft=Draft(materials=(MaterialChoice(code="PHOTO", material_ids=(foreign, refused_file, "unknown")),)),
        )
    assert [error.pointer for error in refused.value.errors] == [f"/materials/PHOTO/{n}" for n in range(3)]
    with pytest.raises(Invalid):
        await service.save_draft(actor=world.citizen, case_no=case_no, draft=Draft(form={"reason": "长" * 50_000}))


async def test_a_submitted_case_is_no_draft_any_more(world):
    case_no = await world.submitted()
    with pytest.raises(Conflict):
        await service.save_draft(actor=world.citizen, case_no=case_no, draft=Draft(form=FORM))


# ---------------------------------------------------------------------------------------------- submitting


async def test_a_refused_submission_stays_in_the_draft(world):
    """docs/problems.md promises it: nobody types a form twice because a photo was missing."""
    case_no = await world.draft()
    photo, foreign = await world.photo(), await world.photo(world.neighbour)
    wanted = await world.submission(
        form={"reason": "遗失"}, materials=(MaterialChoice(code="PHOTO", material_ids=(photo, foreign)),), delivery=MAIL
    )
    with pytest.raises(SubmissionIncomplete):
        await submission.submit(actor=world.citizen, case_no=case_no, submission=wanted, idem=idem("s"))
    kept = (await queries.detail(actor=world.citizen, case_no=case_no)).draft
    assert kept.form == {"reason": "遗失"}
    assert kept.materials == (MaterialChoice(code="PHOTO", material_ids=(photo,)),)
    assert kept.delivery["recipient"]["name"] == "王秀兰"


async def test_what_cannot_be_kept_does_not_hide_why_it_was_refused(world):
    case_no = await world.draft()
    with pytest.raises(SubmissionIncomplete):
        await submit(world, case_no, form={"reason": "长" * 50_000})
    assert (await queries.detail(actor=world.citizen, case_no=case_no)).draft == Draft()


async def test_without_a_phone_nothing_is_taken_and_the_step_that_helps_is_named(world):
    """The platform takes no case without a number, and by then the fee would have been paid."""
    case_no = await world.draft()
    await Account.filter(ref=world.citizen.account_ref).update(phone_sealed=None, phone_mask=None)
    with pytest.raises(AssuranceTooLow) as refused:
        await submit(world, case_no)
    assert refused.value.status == 428 and "请先绑定手机号" in refused.value.detail
    assert refused.value.extra == {"required_level": 1, "current_level": 2, "action": "bind_phone"}
    assert await world.state(case_no) == "DRAFT" and await payments.bills_of(f"case:{case_no}") == []


async def test_a_phone_bound_after_the_submission_reaches_the_platform(world):
    """A case that an earlier version let through without a number is parked there until the number is known."""
    case_no = await world.submitted()
    row = await world.case(case_no)
    account = await queries_of_identity.person(world.citizen.account_ref)
    contents.put_applicant(row, msgspec.structs.replace(account, phone=None, phone_mask=None))
    await row.save()
    assert (await queries.package(case_no=case_no)).applicant.phone == "13900000001"


async def test_accepted_means_everything_is_there(world):
    case_no = await world.draft()
    receipt = await submit(world, case_no, delivery=MAIL)
    case = await world.case(case_no)
    assert (receipt.status, case.state, case.data_version) == ("submitted", "SUBMITTED", 1)
    assert receipt.outstanding
    (bill,) = await payments.bills_of(f"case:{case_no}")
    assert receipt.bill_nos == (bill.bill_no,)
    assert await world.events(case_no) == [("submit", None)]
    assert [payload for _, _, payload in await world.promises("case.submitted")] == [{"case_no": case_no}]
    ((_, lane, changed),) = await world.promises("case.status_changed")
    assert lane == f"case:{case_no}"
    assert (changed["status"], changed["seq"]) == ("submitted", 1)
    assert await world.promises("case.ready") == []
    assert world.planner.wishes == [(case_no, world.citizen.account_ref, MAIL)]


async def test_personal_data_are_sealed_and_masked(world):
    case_no = await world.draft()
    await submit(world, case_no, delivery=MAIL)
    tables = [await db.fetch(f"SELECT * FROM {t}") for t in ("cases_case", "cases_event", "kernel_outbox")]
    dump = json.dumps(tables, default=str, ensure_ascii=False)
    for secret in ("王秀兰", "570101198504123020", "13900000001", "和平村", "遗失"):
        assert secret not in dump
    detail = await queries.detail(actor=world.citizen, case_no=case_no)
    assert (detail.applicant_name, detail.applicant_id, detail.applicant_phone) == (
        "王**",
        "570***********3020",
        "139****0001",
    )
    assert "和平村" not in (detail.delivery.address or "")
    package = await queries.package(case_no=case_no)
    assert package.applicant.id_number == "570101198504123020"
    assert package.delivery == MAIL
    assert package.form == FORM


async def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_written(world):
    case_no = await world.draft()
    foreign, refused_file = await world.photo(world.neighbour), await world.photo(state="refused")
    wrong = DeliveryWish(way="mail", recipient=Recipient(name="王", phone="12", region_code="62", address="家"))
    with pytest.raises(SubmissionIncomplete) as refused:
        await submit(
            world,
            case_no,
            form={"reason": "不想说", "extra": 1},
            materials=(
                MaterialChoice(code="PHOTO", material_ids=(foreign, refused_file)),
                MaterialChoice(code="UNKNOWN", material_ids=()),
            ),
            promise=Promise(codes=("IDCARD",), until_on=date(2020, 1, 1), confirmed=False),
            delivery=wrong,
        )
    pointers = {error.pointer for error in refused.value.errors}
    assert pointers >= {
        "/form/reason", "/form/extra", "/form/contact_mobile", "/materials/PHOTO", "/materials/PHOTO/0",
        "/materials/PHOTO/1", "/materials/UNKNOWN", "/materials/IDCARD", "/materials/HKB", "/promise/codes",
        "/promise/until_on", "/promise/confirmed", "/delivery/quote_no", "/delivery/recipient/name",
        "/delivery/recipient/phone", "/delivery/recipient/region_code", "/delivery/recipient/address",
    }  # fmt: skip
    assert all(any("\u4e00" <= c <= "\u9fff" for c in error.message) for error in refused.value.errors)
    assert (await world.case(case_no)).state == "DRAFT"
    assert await Event.all().count() == 0
    assert await payments.bills_of(f"case:{case_no}") == []
    assert await world.promises("case.submitted") == []


async def test_no_way_of_delivery_or_a_wrong_one_is_a_fault(world):
    await publish(item_code="PICKUP", delivery_modes=["pickup"])
    opened = await service.open_draft(actor=world.citizen, item_code="PICKUP", region_code=COUNTY)
    for wish, pointer in ((None, "/delivery"), (MAIL, "/delivery/way")):
        with pytest.raises(SubmissionIncomplete) as refused:
            await submit(world, opened.case_no, delivery=wish)
        assert [error.pointer for error in refused.value.errors] == [pointer]


async def test_a_tolerable_material_may_be_promised_for_later(world):
    case_no = await world.draft()
    photos = {code: await world.photo() for code in ("PHOTO", "IDCARD")}
    choices = tuple(MaterialChoice(code=code, material_ids=(photo,)) for code, photo in photos.items())
    promise = Promise(codes=("HKB",), until_on=date(2026, 12, 1), confirmed=True)
    receipt = await submit(world, case_no, materials=choices, promise=promise)
    assert receipt.deferred_codes == ("HKB",)
    assert (await world.case(case_no)).deferred_until_on == date(2026, 12, 1)


async def test_what_another_slice_refuses_takes_the_whole_submission_back(world):
    case_no = await world.draft()
    world.planner.error = Conflict("报价已过期")
    with pytest.raises(Conflict):
        await submit(world, case_no, delivery=MAIL, key="s")
    assert await world.state(case_no) == "DRAFT"
    assert await payments.bills_of(f"case:{case_no}") == []
    world.planner.error = None
    assert (await submit(world, case_no, delivery=MAIL, key="s")).status == "submitted"


async def test_ten_people_pressing_at_once_submit_one_case(world):
    case_no = await world.draft()
    wanted = await world.submission()
    answers = await gather(
        *(submission.submit(actor=world.citizen, case_no=case_no, submission=wanted) for _ in range(10))
    )
    assert sum(isinstance(answer, submission.Submitted) for answer in answers) == 1
    assert sum(isinstance(answer, IllegalTransition) for answer in answers) == 9
    assert await world.events(case_no) == [("submit", None)]
    assert len(await payments.bills_of(f"case:{case_no}")) == 1


async def test_the_same_key_gives_the_same_receipt_with_the_same_password(world):
    case_no = await world.draft()
    wanted = await world.submission()
    answers = await gather(
        *(submission.submit(actor=world.citizen, case_no=case_no, submission=wanted, idem=idem("s")) for _ in range(10))
    )
    receipts = {answer.query_password for answer in answers if isinstance(answer, submission.Submitted)}
    assert len(receipts) == 1
    later = await submission.submit(actor=world.citizen, case_no=case_no, submission=wanted, idem=idem("s"))
    assert later.query_password in receipts
    with pytest.raises(KeyReused):
        await submission.submit(actor=world.citizen, case_no=case_no, submission=wanted, idem=idem("s", body="other"))


async def test_a_neighbours_case_is_as_absent_as_none(world):
    case_no = await world.submitted()
    other, missing = world.neighbour, "620981261119299999995"
    calls = [
        lambda actor, no: submission.submit(actor=actor, case_no=no, submission=submission.Submission(form={})),
        lambda actor, no: service.save_draft(actor=actor, case_no=no, draft=Draft()),
        lambda actor, no: service.withdraw(actor=actor, case_no=no, reason=""),
        lambda actor, no: service.reissue_query_password(actor=actor, case_no=no),
        lambda actor, no: queries.detail(actor=actor, case_no=no),
        lambda actor, no: queries.timeline(actor=actor, case_no=no),
    ]
    for call in calls:
        told = []
        for actor, number in ((other, case_no), (world.citizen, missing), (other, missing)):
            with pytest.raises(NotFound) as refused:
                await call(actor, number)
            told.append((refused.value.status, refused.value.code, refused.value.detail))
        assert len(set(told)) == 1


# ---------------------------------------------------------------------------------------------- paying and readiness


async def deliver_bill_paid(case_no, kind="administrative"):
    async with db.transaction():
        await outbox.publish(
            "cases.bill_paid", key=f"paid:{case_no}:{kind}", payload={"subject": f"case:{case_no}", "kind": kind}
        )
    for row in await outbox.claim(10, lease_ms=30_000):
        if row.topic == "cases.bill_paid":
            await handlers.on_bill_paid(row)


async def test_a_free_case_is_ready_at_once(world):
    await publish(item_code="FREE", fee={"charged": False, "summary": "不收费"})
    opened = await service.open_draft(actor=world.citizen, item_code="FREE", region_code=COUNTY)
    receipt = await submit(world, opened.case_no)
    assert not receipt.outstanding
    assert [p for _, _, p in await world.promises("case.ready")] == [{"case_no": opened.case_no, "data_version": 1}]


async def test_an_item_that_is_paid_later_does_not_wait(world):
    await publish(item_code="LATER", pay_before_forward=False)
    opened = await service.open_draft(actor=world.citizen, item_code="LATER", region_code=COUNTY)
    receipt = await submit(world, opened.case_no)
    assert receipt.bill_nos
    assert len(await world.promises("case.ready")) == 1


async def test_a_paid_bill_releases_the_case_once(world):
    case_no = await world.submitted()
    await deliver_bill_paid(case_no, "delivery")  # the courier's bill, while the item's own is still open
    assert await world.promises("case.ready") == []
    await db.execute("UPDATE payments_bill SET state = 'paid' WHERE subject = ?", f"case:{case_no}")
    await deliver_bill_paid(case_no)
    await deliver_bill_paid(case_no, "again")
    assert [p for _, _, p in await world.promises("case.ready")] == [{"case_no": case_no, "data_version": 1}]


async def test_money_for_a_withdrawn_case_releases_nothing(world):
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="不办了")
    await deliver_bill_paid(case_no)
    assert await world.promises("case.ready") == []


# ---------------------------------------------------------------------------------------------- withdrawing


async def test_withdrawing_ends_the_case_its_bills_and_tells_the_platform_once(world):
    case_no = await world.submitted()
    first = await service.withdraw(actor=world.citizen, case_no=case_no, reason="办错了")
    again = await service.withdraw(actor=world.citizen, case_no=case_no, reason="办错了")
    assert first == again
    assert (first.status, first.finished) == ("withdrawn", True)
    assert not await payments.outstanding(f"case:{case_no}")
    assert [p for _, _, p in await world.promises("case.withdrawn")] == [{"case_no": case_no, "data_version": 2}]
    assert await world.promises("case.refused") == []
    assert (await queries.package(case_no=case_no)).withdraw_reason == "办错了"


async def test_a_draft_is_thrown_away_quietly_and_wholly(world):
    case_no = await world.draft()
    photo = MaterialChoice(code="PHOTO", material_ids=(await world.photo(),))
    await service.save_draft(actor=world.citizen, case_no=case_no, draft=Draft(form=FORM, materials=(photo,)))
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="")
    case = await world.case(case_no)
    assert (case.state, case.draft_sealed) == ("WITHDRAWN", None)
    assert await Attachment.all().count() == 0
    assert await world.promises("case.withdrawn") == []
    assert await world.promises("case.status_changed") == []


async def test_an_endless_reason_is_refused(world):
    with pytest.raises(Invalid):
        await service.withdraw(actor=world.citizen, case_no=await world.submitted(), reason="长" * 201)


def test_the_guide_of_these_tests_is_what_the_catalogue_would_store():
    assert guide()["form"]["additionalProperties"] is False


async def test_a_session_that_is_less_sure_than_the_one_that_began_cannot_submit(world):
    case_no = await world.draft()
    unsure = msgspec.structs.replace(world.citizen, assurance_level=1)
    with pytest.raises(AssuranceTooLow):
        await submit(world, case_no, actor=unsure)
    assert await world.state(case_no) == "DRAFT"
