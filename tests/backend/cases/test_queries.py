"""Reads.

The owner is in every statement, pages never skip or repeat, batches never mix people, a stranger sees masks only.
"""

import asyncio
import json

import pytest

from backend.cases import details, queries, service, submission
from backend.cases.models import Case
from backend.cases.states import CaseState
from kernel import clock, db
from kernel.problems import Conflict, Invalid, NotFound
from tests.backend.cases.conftest import gather


async def make(world, actor, count):
    """Rows only: reading is what is tested."""
    return [
        (
            await Case.create(
                case_no=f"{actor.account_id:03d}{number:018d}", account_ref=actor.account_ref, item_code="X",
                item_version_id=1, item_name="x", region_code="620981000000", department_name="d",
                project_type="promised", state=CaseState.SUBMITTED, seq=1, changed_at=clock.now(),
            )
        ).case_no
        for number in range(count)
    ]  # fmt: skip


async def walk(actor, limit):
    seen, cursor = [], None
    while True:
        page = await queries.page(actor=actor, cursor=cursor, limit=limit)
        seen += [row.case_no for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_show_every_own_case_once_newest_first(world, limit):
    mine = await make(world, world.citizen, 7)
    await make(world, world.neighbour, 4)
    assert await walk(world.citizen, limit) == mine[::-1]


async def test_pages_are_stable_under_inserts(world):
    mine = await make(world, world.citizen, 4)
    first = await queries.page(actor=world.citizen, limit=2)
    await world.draft()
    rest = await queries.page(actor=world.citizen, cursor=first.next_cursor, limit=10)
    assert [row.case_no for row in (*first.items, *rest.items)] == mine[::-1]


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "=" * 11, "中文", "AAAAAAAAAAA" * 3])
async def test_a_broken_cursor_is_told_and_harmless(world, cursor):
    with pytest.raises(Invalid):
        await queries.page(actor=world.citizen, cursor=cursor)


@pytest.mark.parametrize("limit", [0, 101, -1])
async def test_limits_of_a_page(world, limit):
    with pytest.raises(Invalid):
        await queries.page(actor=world.citizen, limit=limit)


async def test_a_batch_never_gives_one_persons_row_to_another(world):
    """All in one turn of the loop, so all in one statement, also both people asking for the same number."""
    mine, theirs = await make(world, world.citizen, 3), await make(world, world.neighbour, 3)
    asked = [(actor, number) for actor in (world.citizen, world.neighbour) for number in mine + theirs]
    told = await gather(*(queries.status(actor=actor, case_no=number) for actor, number in asked * 3))
    for (actor, number), answer in zip(asked * 3, told, strict=True):
        if number in (mine if actor is world.citizen else theirs):
            assert answer.case_no == number
        else:
            assert isinstance(answer, NotFound)


async def test_a_batch_of_lists_never_mixes_people(world):
    mine, theirs = await make(world, world.citizen, 5), await make(world, world.neighbour, 5)
    limits = (1, 2, 5, 9)
    calls = [(actor, limit) for actor in (world.citizen, world.neighbour) for limit in limits]
    pages = await asyncio.gather(*(queries.page(actor=actor, limit=limit) for actor, limit in calls))
    for (actor, limit), page in zip(calls, pages, strict=True):
        own = mine if actor is world.citizen else theirs
        assert [row.case_no for row in page.items] == own[::-1][:limit]


async def test_somebody_who_hangs_up_disturbs_nobody_else_in_the_batch(world):
    (mine, *_) = await make(world, world.citizen, 1)
    calls = [asyncio.create_task(queries.status(actor=world.citizen, case_no=mine)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    told = await gather(*calls)
    assert isinstance(told[0], asyncio.CancelledError)
    assert {answer.case_no for answer in told[1:]} == {mine}


async def test_a_status_read_is_one_statement_for_many(world, monkeypatch):
    mine = await make(world, world.citizen, 20)
    statements = []
    real = db.records

    async def counted(sql, *params):
        statements.append(sql)
        return await real(sql, *params)

    monkeypatch.setattr(db, "records", counted)
    await asyncio.gather(*(queries.status(actor=world.citizen, case_no=number) for number in mine))
    assert len(statements) == 1


async def test_both_bodies_give_the_same_row_as_the_orm(world):
    case_no = await world.submitted()
    row, detail = await asyncio.gather(
        queries.status(actor=world.citizen, case_no=case_no), queries.detail(actor=world.citizen, case_no=case_no)
    )
    (listed,) = (await queries.page(actor=world.citizen)).items
    assert row == listed
    for name in ("case_no", "item_name", "status", "status_label", "finished", "version", "submitted_at", "promise_on"):
        assert getattr(row, name) == getattr(detail, name)
    assert row.submitted_at.isoformat().endswith("+08:00")


async def test_the_list_on_postgres_is_read_from_the_index_alone(world):
    if db.engine() != "postgres":
        return
    (mine,) = await make(world, world.citizen, 1)
    copied = (
        "account_ref, item_code, item_version_id, item_name, region_code, department_name, project_type, state, seq, "
    )
    copied += (
        "data_version, ready_version, changed_at, created_at, deferred_codes, query_failures, correction_count, deliver"
    )
    async with db.transaction():
        # The test server commits lazily, and VACUUM calls a page visible only once its commit is on the disk.
        await db.execute("SET LOCAL synchronous_commit = on")
        await db.execute(
            f"INSERT INTO cases_case (case_no, {copied}) SELECT 'x' || n, {copied.replace('account_ref', 'n % 100', 1)} "
            f"FROM cases_case, generate_series(1, 3000) n WHERE case_no = '{mine}'"
        )
    await db.execute("VACUUM cases_case")
    await db.execute("ANALYZE cases_case")
    async with db.transaction():
        plan = await db.fetch(
            f"EXPLAIN SELECT c.id, {queries._SELECT} FROM cases_case c WHERE c.account_ref = ? AND c.id < ? "
            "ORDER BY c.id DESC LIMIT 20",
            "7",
            2**40,
        )
    assert "Index Only Scan" in json.dumps(plan)


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
