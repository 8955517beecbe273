"""补正.

One immutable list, an answer that is complete or refused whole, a second request that is flagged, and a deadline that
ends.
"""

from datetime import date, timedelta

import pytest

from backend.cases import corrections, progress, queries, service
from backend.cases.corrections import CorrectionClosed
from backend.cases.models import Attachment, Correction, Material
from backend.cases.ports import Applied, Outcome, Shortcoming
from backend.cases.screening import MaterialChoice
from backend.cases.submission import SubmissionIncomplete
from kernel import db
from kernel.problems import NotFound
from tests.backend.cases.conftest import FORM, gather, idem

LIST = (
    Shortcoming(material_code="PHOTO", problem="照片反光，看不清王秀兰的脸"),
    Shortcoming(material_code="JZZ", problem="请补居住证"),
)


async def asked(world, *, items=LIST, ref="c1", minutes=0, **details):
    case_no = await world.submitted()
    await ask(world, case_no, items=items, ref=ref, minutes=minutes, **details)
    return case_no


async def ask(world, case_no, *, items=LIST, ref="c1", minutes=0, **details):
    return await corrections.ask_correction(
        case_no=case_no, source_ref=ref, at=world.at(minutes), items=items, **details
    )


async def answer(world, case_no, *, number=1, codes=("PHOTO", "JZZ"), actor=None, **more):
    photos = {code: await world.photo() for code in codes}
    choices = tuple(MaterialChoice(code=code, material_ids=(photo,)) for code, photo in photos.items())
    return await corrections.answer(
        actor=actor or world.citizen, case_no=case_no, number=number, materials=choices, **more
    )


async def test_the_whole_list_reaches_the_citizen_at_once_with_fields_and_date(world):
    case_no = await asked(world, reason="照片和居住证", deadline_on=date(2026, 11, 30), sender="综合窗口")
    detail = await queries.detail(actor=world.citizen, case_no=case_no)
    (view,) = detail.corrections
    assert detail.status == "correcting"
    assert [(line.pointer, line.name) for line in view.items] == [
        ("/materials/PHOTO", "近期免冠照片"),
        ("/materials/JZZ", "居住证照片"),
    ]
    assert view.deadline_at.isoformat() == "2026-11-30T23:59:59+08:00"
    assert (view.state, view.repeated, view.reason, view.sender) == ("open", False, "照片和居住证", "综合窗口")


async def test_the_list_is_sealed(world):
    await asked(world)
    (row,) = await db.fetch("SELECT list_sealed FROM cases_correction")
    assert "王秀兰" not in row["list_sealed"]


async def test_without_a_date_of_the_office_ours_applies(world):
    await asked(world)
    assert (await Correction.get()).deadline_at.date() == date(
        2026, 12, 4
    )  # the end of that day in Beijing, 15 days on


async def test_an_answer_becomes_the_next_version_and_is_told_once(world):
    case_no = await asked(world)
    moved = await answer(world, case_no, idem=idem("a"))
    assert moved.status == "submitted"
    ((_, _, payload),) = await world.promises("case.corrected")
    assert payload == {"case_no": case_no, "number": 1, "data_version": 2}
    assert await world.promises("case.ready") == []
    package = await queries.package(case_no=case_no)
    assert package.correction.codes == ("JZZ", "PHOTO")
    assert package.correction.source_ref == "c1"
    assert sorted({material.code for material in package.materials}) == ["HKB", "IDCARD", "JZZ", "PHOTO"]
    assert await Attachment.filter(code="PHOTO", until_version=2).count() == 1


async def test_an_answer_returns_to_where_the_case_was(world):
    case_no = await world.submitted()
    await progress.record_step(case_no=case_no, source_ref="s", at=world.at(1), name="审核")
    await ask(world, case_no, minutes=2)
    assert await world.state(case_no) == "CORRECTING"
    assert (await answer(world, case_no)).status == "processing"


async def test_an_answer_names_every_fault_at_once(world):
    case_no = await asked(world, items=(*LIST, Shortcoming(material_code="", problem="原因写错了")))
    foreign = await world.photo(world.neighbour)
    with pytest.raises(SubmissionIncomplete) as refused:
        await corrections.answer(
            actor=world.citizen,
            case_no=case_no,
            number=1,
            materials=(
                MaterialChoice(code="PHOTO", material_ids=(foreign,)),
                MaterialChoice(code="IDCARD", material_ids=(await world.photo(),)),
            ),
        )
    assert {error.pointer for error in refused.value.errors} == {
        "/materials/PHOTO/0",
        "/materials/JZZ",
        "/materials/IDCARD",
        "/form",
    }
    assert await world.state(case_no) == "CORRECTING"
    with pytest.raises(SubmissionIncomplete) as refused:
        await answer(world, case_no, form={"reason": "别的"})
    assert {error.pointer for error in refused.value.errors} == {"/form/reason", "/form/contact_mobile"}
    await answer(world, case_no, form=FORM | {"reason": "损坏"})
    assert (await queries.package(case_no=case_no)).form["reason"] == "损坏"


async def test_the_photo_the_clerk_rejected_is_not_taken_again(world):
    """Neither under its old id nor sent anew, where the same picture has another id."""
    case_no = await asked(world, items=LIST[:1])
    row = await Attachment.get(code="PHOTO", until_version=None).prefetch_related("material")
    twin = await world.photo()
    await Material.filter(ref=twin).update(sha256=row.material.sha256)
    for same in (row.material.ref, twin):
        with pytest.raises(SubmissionIncomplete) as refused:
            choice = MaterialChoice(code="PHOTO", material_ids=(same,))
            await corrections.answer(actor=world.citizen, case_no=case_no, number=1, materials=(choice,))
        (error,) = refused.value.errors
        assert (error.pointer, error.message) == ("/materials/PHOTO/0", "这就是被退回的那张照片，请重新拍摄")
    assert await world.state(case_no) == "CORRECTING"
    assert (await answer(world, case_no, codes=("PHOTO",))).status == "submitted"


async def test_of_two_photos_the_good_one_may_stay(world):
    listed = Shortcoming(material_code="IDCARD", problem="背面看不清")
    case_no = await asked(world, items=(listed,))
    good = (await Attachment.get(code="IDCARD", until_version=None).prefetch_related("material")).material.ref
    choice = MaterialChoice(code="IDCARD", material_ids=(good, await world.photo()))
    moved = await corrections.answer(actor=world.citizen, case_no=case_no, number=1, materials=(choice,))
    assert moved.status == "submitted"


async def test_only_the_applicant_answers_and_only_what_was_asked(world):
    case_no = await asked(world)
    with pytest.raises(NotFound):
        await answer(world, case_no, actor=world.neighbour)
    with pytest.raises(NotFound):
        await answer(world, case_no, number=2)


async def test_ten_answers_at_once_are_one(world):
    case_no = await asked(world)
    told = await gather(*(answer(world, case_no) for _ in range(10)))
    assert sum(isinstance(one, service.CaseMoved) for one in told) == 1
    assert sum(isinstance(one, CorrectionClosed) for one in told) == 9
    assert (await world.case(case_no)).data_version == 2


async def test_a_second_request_is_a_fact_and_is_flagged(world):
    case_no = await asked(world)
    await answer(world, case_no)
    assert await ask(world, case_no, ref="c2", minutes=5, items=LIST[:1]) is Applied.APPLIED
    rows = await Correction.all().order_by("number")
    assert [(row.number, row.state, row.repeated) for row in rows] == [(1, "answered", False), (2, "open", True)]
    assert (await world.case(case_no)).correction_count == 2
    assert (await answer(world, case_no, number=2, codes=("PHOTO",))).status == "submitted"


async def test_the_same_request_twice_is_one_list(world):
    case_no = await asked(world)
    assert await ask(world, case_no) is Applied.ALREADY
    assert await Correction.all().count() == 1


async def test_acceptance_settles_a_correction_that_was_asked_before(world):
    case_no = await asked(world)
    await progress.accept(case_no=case_no, source_ref="a", at=world.at(1))
    assert await world.state(case_no) == "ACCEPTED"
    with pytest.raises(CorrectionClosed):
        await answer(world, case_no)


async def test_a_decision_settles_it_too(world):
    case_no = await asked(world)
    await progress.decide(case_no=case_no, source_ref="d", at=world.at(1), outcome=Outcome.RETURNED, code="5")
    assert await world.state(case_no) == "RETURNED"
    assert (await Correction.get()).state == "closed"


async def test_nobody_answers_and_the_case_is_returned_after_the_grace(world):
    case_no = await asked(world, deadline_on=date(2026, 11, 20))
    world.clock.advance(days=4)
    await corrections.expire_due()
    assert await world.state(case_no) == "CORRECTING"
    world.clock.advance(days=1)
    await corrections.expire_due()
    await corrections.expire_due()
    assert await world.state(case_no) == "RETURNED"
    assert (await Correction.get()).state == "expired"
    assert len(await world.promises("case.refused")) == 1
    with pytest.raises(CorrectionClosed):
        await answer(world, case_no)
    late = await progress.decide(
        case_no=case_no, source_ref="d", at=world.at(), outcome=Outcome.RETURNED, code="5", reason="补正逾期"
    )
    case = await world.case(case_no)
    assert (late, case.flagged, case.outcome) == (Applied.LATE, None, "returned")


async def test_one_case_that_cannot_be_expired_does_not_hold_up_the_others(world, monkeypatch):
    broken, fine = [await asked(world, ref=ref, deadline_on=date(2026, 11, 20)) for ref in ("a", "b")]
    real = corrections.steps.locked

    async def locked(*, case_no):
        if case_no == broken:
            raise RuntimeError("a row nobody can read")
        return await real(case_no=case_no)

    monkeypatch.setattr(corrections.steps, "locked", locked)
    world.clock.advance(days=9)
    with pytest.raises(RuntimeError):
        await corrections.expire_due()
    assert await world.state(fine) == "RETURNED"


async def test_an_answer_within_the_grace_still_counts(world):
    case_no = await asked(world, deadline_on=date(2026, 11, 20))
    world.clock.advance(seconds=timedelta(days=3).total_seconds())
    assert (await answer(world, case_no)).status == "submitted"


async def test_withdrawing_closes_an_open_correction(world):
    case_no = await asked(world)
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="")
    world.clock.advance(days=60)
    await corrections.expire_due()
    assert await world.state(case_no) == "WITHDRAWN"
