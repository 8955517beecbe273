"""The two hot reads: the login is proven and the owner is fixed inside the statement, batches never mix people, pages never skip."""

import asyncio
import json
import random

import msgspec
import pytest

from backend.cases import queries, reading
from backend.cases.models import Case
from backend.cases.queries import CaseRow, CasesPage
from backend.cases.states import CaseState
from backend.identity import field_accounts, field_login, login, sessions
from backend.identity.models import Account
from kernel import clock, crypto, db
from kernel.problems import Invalid
from miniprogram_api.answers import encode
from tests.backend.identity import fakes


@pytest.fixture
def house(world):
    """The world, where people can log in."""
    fakes.configure()
    return world


async def log_in(actor):
    async with db.transaction():
        answer = await sessions.open_session(owner=await Account.get(ref=actor.account_ref), device=None)
    return answer.access_token


async def make(actor, count, **changes):
    """Rows only: reading is what is tested."""
    return [
        (
            await Case.create(
                **{
                    "case_no": f"{actor.account_id:03d}{number:018d}", "account_ref": actor.account_ref, "item_code": "X",
                    "item_version_id": 1, "item_name": "x", "region_code": "620981000000", "department_name": "d",
                    "project_type": "promised", "state": CaseState.SUBMITTED, "seq": 1, "changed_at": clock.now(),
                } | changes
            )
        ).case_no
        for number in range(count)
    ]  # fmt: skip


def status(token, case_no):
    return reading.status(digest=crypto.token_hash(token), case_no=case_no)


def page(token, **asked):
    return reading.page(digest=crypto.token_hash(token), **asked)


def numbers(seen):
    return [row.case_no for row in msgspec.json.decode(seen.body, type=CasesPage).items]


async def walk(token, limit):
    found, cursor = [], None
    while True:
        told = msgspec.json.decode((await page(token, cursor=cursor, limit=limit)).body, type=CasesPage)
        found += [row.case_no for row in told.items]
        cursor = told.next_cursor
        if cursor is None:
            return found


# ---------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("limit", [1, 3, 6, 7, 100])
async def test_pages_show_every_own_case_once_newest_first(house, limit):
    mine = await make(house.citizen, 7)
    await make(house.neighbour, 4)
    assert await walk(await log_in(house.citizen), limit) == mine[::-1]


async def test_who_has_no_case_has_an_empty_page(house):
    await make(house.neighbour, 1)
    seen = await page(await log_in(house.citizen))
    assert json.loads(seen.body) == {"items": [], "next_cursor": None}


async def test_pages_are_stable_under_inserts(house):
    token, mine = await log_in(house.citizen), await make(house.citizen, 4)
    first = msgspec.json.decode((await page(token, limit=2)).body, type=CasesPage)
    await house.draft()
    rest = await page(token, cursor=first.next_cursor, limit=10)
    assert [row.case_no for row in first.items] + numbers(rest) == mine[::-1]


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "=" * 11, "中文", "AAAAAAAAAAA" * 3])
async def test_a_broken_cursor_is_told_and_harmless(house, cursor):
    with pytest.raises(Invalid):
        page("t", cursor=cursor)


@pytest.mark.parametrize("limit", [0, 101, -1])
async def test_limits_of_a_page(house, limit):
    with pytest.raises(Invalid):
        page("t", limit=limit)


# ---------------------------------------------------------------------------------------------- who asks


async def test_a_batch_never_gives_one_persons_row_to_another(house):
    """All in one turn of the loop, so all in one statement, also both people asking for the same number."""
    people = {actor.account_ref: await log_in(actor) for actor in (house.citizen, house.neighbour)}
    own = {actor.account_ref: await make(actor, 3) for actor in (house.citizen, house.neighbour)}
    asked = [(ref, number) for ref in people for other in own.values() for number in other] * 3
    random.Random(1).shuffle(asked)
    told = await asyncio.gather(*(status(people[ref], number) for ref, number in asked))
    for (ref, number), seen in zip(asked, told, strict=True):
        assert seen.role == "citizen"
        if number in own[ref]:
            assert json.loads(seen.body)["case_no"] == number
        else:
            assert seen.body is None and seen.absent


async def test_a_batch_of_lists_never_mixes_people(house):
    own = {await log_in(actor): await make(actor, 5) for actor in (house.citizen, house.neighbour)}
    calls = [(token, limit) for token in own for limit in (1, 2, 5, 9)]
    pages = await asyncio.gather(*(page(token, limit=limit) for token, limit in calls))
    for (token, limit), seen in zip(calls, pages, strict=True):
        assert numbers(seen) == own[token][::-1][:limit]


async def test_a_missing_case_and_a_neighbours_are_the_same(house):
    token = await log_in(house.citizen)
    (theirs,) = await make(house.neighbour, 1)
    assert await status(token, theirs) == await status(token, "620981261119299999995")


async def ended(token, house):
    await login.logout(actor=await login.authenticate(token=token))


async def everywhere_ended(token, house):
    await login.logout_all(actor=await login.authenticate(token=token))


async def idle(token, house):
    house.clock.advance(minutes=31)


async def too_old(token, house):
    for _ in range(8 * 24 * 3):  # used all the time, and yet
        house.clock.advance(minutes=20)
        await login.authenticate(token=token)


async def revoked(token, house):
    await db.execute("UPDATE identity_session SET revoked_at = ?, revoked_reason = 'x'", db.at(clock.now()))


@pytest.mark.parametrize("end", [ended, everywhere_ended, idle, too_old, revoked])
async def test_a_token_that_is_good_no_more_reads_nothing(house, end):
    token, (mine,) = await log_in(house.citizen), await make(house.citizen, 1)
    assert (await status(token, mine)).body and numbers(await page(token)) == [mine]
    await end(token, house)
    assert await status(token, mine) is None and await page(token) is None
    assert await login.authenticate(token=token) is None, "as anywhere else"


async def test_dead_and_unknown_tokens_in_a_batch_take_nothing_from_the_living(house):
    alive, dead = await log_in(house.citizen), await log_in(house.citizen)
    mine = await make(house.citizen, 2)
    await login.logout(actor=await login.authenticate(token=dead))
    asked = [(token, number) for number in mine for token in (dead, "nobody's", alive)]
    told = await asyncio.gather(*(status(token, number) for token, number in asked), page(dead), page("x"), page(alive))
    for (token, number), seen in zip(asked, told, strict=False):
        assert (seen is not None and json.loads(seen.body)["case_no"] == number) if token == alive else seen is None
    assert told[-3:-1] == [None, None] and numbers(told[-1]) == mine[::-1]


async def test_a_rotated_token_reads_nothing_at_once_and_the_new_one_does(house):
    async with db.transaction():
        first = await sessions.open_session(owner=await Account.get(ref=house.citizen.account_ref), device=None)
    (mine,) = await make(house.citizen, 1)
    second = await login.refresh(refresh_token=first.refresh_token)
    old, new = await asyncio.gather(status(first.access_token, mine), status(second.access_token, mine))
    assert old is None and new.body


async def test_a_courier_is_known_as_one_and_sees_no_case(house):
    await field_accounts.create_courier(
        login_name="ems-zhao", password="yumen-2026-ok", carrier="ems", name="赵建军", phone="13900000009", areas=("620981101",)
    )  # fmt: skip
    token = (
        await field_login.log_in(role="courier", login_name="ems-zhao", password="yumen-2026-ok", ip="192.0.2.1")
    ).access_token
    (mine,) = await make(house.citizen, 1)
    seen, listed = await asyncio.gather(status(token, mine), page(token))
    assert (seen.role, seen.body, listed.role, numbers(listed)) == ("courier", None, "courier", [])
    await field_accounts.disable(role="courier", login_name="ems-zhao")
    assert await asyncio.gather(status(token, mine), page(token)) == [None, None]


async def test_logouts_in_a_storm_of_reads_are_final_when_they_are_acknowledged(house):
    """Reads are gathered and merged; none that began after the answer to a logout may live on an earlier look."""
    tokens = [await log_in(house.citizen) for _ in range(30)]
    (mine,) = await make(house.citizen, 1)
    over = asyncio.Event()
    late = []

    async def read(token):
        while not over.is_set():
            await asyncio.gather(status(token, mine), page(token))

    async def leave(token, number):
        await asyncio.sleep(number / 200)
        await login.logout(actor=await login.authenticate(token=token))
        late.extend(await asyncio.gather(status(token, mine), page(token)))

    readers = [asyncio.create_task(read(token)) for token in tokens]
    await asyncio.gather(*(leave(token, number) for number, token in enumerate(tokens)))
    over.set()
    await asyncio.gather(*readers)
    assert late == [None] * 60


async def test_a_session_that_was_not_used_for_a_minute_says_so(house):
    token, (mine,) = await log_in(house.citizen), await make(house.citizen, 1)
    assert not (await status(token, mine)).stale and not (await page(token)).stale
    house.clock.advance(seconds=61)
    seen = await status(token, mine)
    assert seen.stale and (await page(token)).stale
    await login.touch(seen.session_id)
    assert not (await status(token, mine)).stale


# ---------------------------------------------------------------------------------------------- batches


async def test_somebody_who_hangs_up_disturbs_nobody_else_in_the_batch(house):
    token, (mine,) = await log_in(house.citizen), await make(house.citizen, 1)
    calls = [status(token, mine) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert [json.loads(seen.body)["case_no"] for seen in told[1:]] == [mine, mine]


@pytest.fixture
def statements(monkeypatch):
    seen = []
    real = db.records

    async def noted(sql, *params):
        seen.append((sql, params))
        return await real(sql, *params)

    monkeypatch.setattr(db, "records", noted)
    return seen


async def test_login_and_status_of_many_are_one_statement(house, statements):
    mine, theirs = await make(house.citizen, 10), await make(house.neighbour, 10)
    one, other = await log_in(house.citizen), await log_in(house.neighbour)
    statements.clear()
    calls = [status(one, number) for number in mine] + [status(other, number) for number in theirs]
    assert all(seen.body for seen in await asyncio.gather(*calls))
    assert len(statements) == 1


@pytest.mark.parametrize("microsecond", [0, 1, 499_999, 500_000, 999_999])
async def test_both_reads_tell_what_the_orm_tells_in_the_bytes_of_the_api(house, microsecond):
    case_no = await house.submitted()
    at = clock.now().replace(microsecond=microsecond)
    await Case.filter(case_no=case_no).update(submitted_at=at, changed_at=at, promise_on=at.date())
    token = await log_in(house.citizen)
    seen, listed = await asyncio.gather(status(token, case_no), page(token))
    row = msgspec.json.decode(seen.body, type=CaseRow)
    assert seen.body == encode(row), "names, order and forms are those of the described type"
    assert listed.body == encode(CasesPage(items=(row,), next_cursor=None))
    detail = await queries.detail(actor=house.citizen, case_no=case_no)
    for name in ("case_no", "item_name", "status", "status_label", "finished", "version", "promise_on"):
        assert getattr(row, name) == getattr(detail, name)
    told = json.loads(seen.body)
    assert told["submitted_at"] == told["changed_at"] == clock.local(at).isoformat(timespec="seconds")


async def test_a_draft_has_no_submission_yet(house):
    case_no = await house.draft()
    told = json.loads((await status(await log_in(house.citizen), case_no)).body)
    assert (told["status"], told["submitted_at"], told["promise_on"]) == ("draft", None, None)


def scans_of_cases(node):
    own = [node] if node.get("Relation Name") == "cases_case" else []
    return own + [scan for part in node.get("Plans", []) for scan in scans_of_cases(part)]


async def test_on_postgres_the_list_is_read_from_its_index_alone_and_a_status_never_walks_through_a_persons_cases(
    house, statements
):
    if db.engine() != "postgres":
        return
    token, (mine,) = await log_in(house.citizen), await make(house.citizen, 1)
    copied = (
        "account_ref, item_code, item_version_id, item_name, region_code, department_name, project_type, state, seq, "
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
    statements.clear()
    await asyncio.gather(status(token, mine), page(token))
    plans = {}
    for sql, params in list(statements):
        async with db.transaction():
            await db.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            plan = await db.fetch("EXPLAIN (FORMAT JSON) " + sql, *params)
            (scan,) = scans_of_cases(json.loads(plan[0]["QUERY PLAN"])[0]["Plan"])
            plans["page" if "LATERAL" in sql else "status"] = scan
    assert plans["page"]["Node Type"] == "Index Only Scan"
    assert "case_no" in plans["status"]["Index Cond"] and "account_ref" not in plans["status"]["Index Cond"]
