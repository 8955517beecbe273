"""Reads by key that travel together: everyone gets his own rows in order, a transaction sees its own writes, both engines alike."""

import asyncio
import contextvars

import pytest

from backend.cases.models import Attachment, Case, Correction, Material
from backend.cases.states import CaseState
from kernel import batches, clock, db, ids

CASES = batches.Models(Case, by={"t.case_no": "text", "t.account_ref": "text"})
CORRECTIONS = batches.Models(Correction, by={"t.case_id": "bigint"}, order="t.number DESC", where="t.state = 'open'")
CODES = batches.Records(
    "a.code, m.ref", "(cases_attachment a JOIN cases_material m ON m.id = a.material_id)",
    by={"a.case_id": "bigint"}, order="a.code",
)  # fmt: skip


async def case(number, owner="a" * 26, **changes):
    return await Case.create(
        **{
            "case_no": f"{number:021d}", "account_ref": owner, "item_code": "X", "item_version_id": 1, "item_name": "事项",
            "region_code": "620981000000", "department_name": "d", "project_type": "promised", "state": CaseState.SUBMITTED,
            "seq": 1, "changed_at": clock.now(), "deferred_codes": ["HKB"], "deliver": True, "promise_on": clock.today(),
        } | changes
    )  # fmt: skip


async def correction(parent, number, state="open"):
    return await Correction.create(
        case_id=parent.id, number=number, state=state, asked_at=clock.now(), deadline_at=clock.now(), list_sealed="x",
        data_version=1,
    )  # fmt: skip


@pytest.fixture
def statements(monkeypatch):
    seen = []
    real = db.records

    async def noted(sql, *params):
        seen.append(sql)
        return await real(sql, *params)

    monkeypatch.setattr(db, "records", noted)
    return seen


async def test_a_row_is_the_same_model_the_orm_gives(database):
    await case(1)
    found, known = await CASES.one(f"{1:021d}", "a" * 26), await Case.get()
    names = Case._meta.fields_db_projection
    assert {name: getattr(found, name) for name in names} == {name: getattr(known, name) for name in names}
    assert not found._partial and found._saved_in_db
    found.seq = 7
    await found.save(update_fields=["seq"])
    assert (await Case.get()).seq == 7, "and can be written like one"


async def test_many_who_ask_at_once_are_one_statement_and_everyone_gets_his_own(database, statements):
    parents = [await case(number) for number in range(12)]
    for parent in parents[:-1]:
        for number in (1, 2, 3):
            await correction(parent, number)
        await correction(parent, 4, state="answered")
    statements.clear()
    told = await asyncio.gather(*(CORRECTIONS.of(parent.id) for parent in parents))
    assert len(statements) == 1
    for parent, rows in zip(parents[:-1], told, strict=False):
        assert [(row.case_id, row.number) for row in rows] == [(parent.id, n) for n in (3, 2, 1)]
    assert told[-1] == []


async def test_the_second_column_is_a_wall(database):
    mine, theirs = "a" * 26, "b" * 26
    await case(1, owner=mine)
    await case(2, owner=theirs)
    asked = [(f"{n:021d}", owner) for n in (1, 2, 3) for owner in (mine, theirs)]
    found = await asyncio.gather(*(CASES.one(*key) for key in asked))
    assert [(row.case_no, row.account_ref) if row else None for row in found] == [
        asked[0], None, None, asked[3], None, None,
    ]  # fmt: skip


async def test_two_who_ask_for_the_same_share_no_object(database):
    await case(1)
    one, other = await asyncio.gather(*(CASES.one(f"{1:021d}", "a" * 26) for _ in range(2)))
    one.deferred_codes.append("changed")
    assert other.deferred_codes == ["HKB"]


async def test_a_transaction_sees_what_it_has_written_and_nobody_else_does(database):
    async with db.transaction():
        parent = await case(1)
        await correction(parent, 1)
        assert [row.number for row in await CORRECTIONS.of(parent.id)] == [1]
        if db.engine() == "postgres":  # on SQLite a reader outside would wait for the only connection
            outside = asyncio.get_running_loop().create_task(CORRECTIONS.of(parent.id), context=contextvars.Context())
            assert await outside == []
    assert [row.number for row in await CORRECTIONS.of(parent.id)] == [1]


async def test_records_of_a_join(database):
    parent = await case(1)
    for code in ("B", "A"):
        material = await Material.create(
            ref=ids.public_id(), account_ref="a" * 26, state="clean", sha256="0" * 64, bytes=1, mime="image/png",
            seen_at=clock.now(),
        )  # fmt: skip
        await Attachment.create(case_id=parent.id, material_id=material.id, code=code, position=0, since_version=0)
    assert [row[1] for row in await CODES.of(parent.id)] == ["A", "B"]
    assert list(await CODES.of(parent.id + 1)) == []
