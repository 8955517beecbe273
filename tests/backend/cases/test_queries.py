"""Reads: a case has an owner, and a stranger sees masks only. The two hot ones are in `test_reading`."""

import pytest

from backend.cases import details, queries, service, submission
from kernel.problems import Conflict, NotFound
from tests.backend.cases.conftest import gather


async def test_the_owner_of_a_case(world):
    case_no = await world.draft()
    assert await queries.owner(case_no) == world.citizen.account_ref
    with pytest.raises(NotFound):
        await queries.owner("620981261119299999995")
    with pytest.raises(NotFound):
        await queries.package(case_no=case_no)  # a draft has nothing to forward


# ---------------------------------------------------------------------------------------------- without logging in


async def submitted_with_password(world):
    case_no = await world.draft()
    receipt = await submission.submit(actor=world.citizen, case_no=case_no, submission=await world.submission())
    return case_no, receipt.query_password


async def test_number_and_password_show_the_status_and_masks_only(world):
    case_no, password = await submitted_with_password(world)
    shown = await queries.by_password(case_no=case_no, password=password)
    assert (shown.status, shown.applicant_name) == ("submitted", "王**")
    assert set(shown.__struct_fields__) == {
        "case_no", "item_name", "department_name", "applicant_name", "status", "status_label", "finished",
        "submitted_at", "promise_on",
    }  # fmt: skip


async def test_a_wrong_number_and_a_wrong_password_are_told_alike(world):
    case_no, password = await submitted_with_password(world)
    told = set()
    for number, word in ((case_no, "000000" if password != "000000" else "1"), ("620981261119299999995", password)):
        with pytest.raises(NotFound) as refused:
            await queries.by_password(case_no=number, password=word)
        told.add((refused.value.code, refused.value.detail))
    assert len(told) == 1


async def test_five_wrong_tries_lock_the_query_and_a_new_password_opens_it(world):
    case_no, password = await submitted_with_password(world)
    wrong = f"{(int(password) + 1) % 10**6:06d}"
    for _ in range(details.QUERY_TRIES):
        with pytest.raises(NotFound):
            await queries.by_password(case_no=case_no, password=wrong)
    with pytest.raises(NotFound):
        await queries.by_password(case_no=case_no, password=password)
    world.clock.advance(minutes=31)
    assert await queries.by_password(case_no=case_no, password=password)
    for _ in range(details.QUERY_TRIES):
        with pytest.raises(NotFound):
            await queries.by_password(case_no=case_no, password=wrong)
    fresh = await service.reissue_query_password(actor=world.citizen, case_no=case_no)
    assert await queries.by_password(case_no=case_no, password=fresh.query_password)
    if fresh.query_password != password:
        with pytest.raises(NotFound):
            await queries.by_password(case_no=case_no, password=password)


async def test_guesses_in_parallel_stop_at_five_as_well(world):
    case_no, password = await submitted_with_password(world)
    guesses = [f"{(int(password) + n) % 10**6:06d}" for n in range(1, 40)]
    told = await gather(*(queries.by_password(case_no=case_no, password=guess) for guess in guesses))
    assert all(isinstance(answer, NotFound) for answer in told)
    assert (await world.case(case_no)).query_locked_until is not None


async def test_a_draft_has_no_query_password(world):
    case_no = await world.draft()
    with pytest.raises(NotFound):
        await queries.by_password(case_no=case_no, password="")
    with pytest.raises(Conflict):
        await service.reissue_query_password(actor=world.citizen, case_no=case_no)
