"""A free submission is one statement on PostgreSQL and a transaction elsewhere: the same rows, the same refusals, the same answers."""

import asyncio
import random
import re
from datetime import date
from pathlib import Path

import msgspec
import pytest

from backend.cases import contents, numbers, service, submission
from backend.cases.contents import Draft
from backend.cases.models import Case, Material
from backend.cases.ports import DeliveryWish
from backend.cases.screening import MaterialChoice, Promise
from backend.cases.submission import SubmissionIncomplete, Submitted
from backend.delivery.planner import AlreadyPlanned, Planner
from backend.identity.models import Account
from kernel import crypto, db, idempotency, together
from kernel.idempotency import KeyReused
from kernel.looking import NeedsTransaction
from kernel.problems import NotFound, Problem
from kernel.state_machine import IllegalTransition
from tests.backend.cases.conftest import COUNTY, FORM, gather, idem, publish
from tests.conftest import ENGINE

FREE = {"charged": False, "summary": "免费", "lines": [], "pay_online": False}
TABLES = (
    "cases_case",
    "cases_event",
    "cases_attachment",
    "delivery_parcel",
    "kernel_outbox",
    "kernel_idempotency",
    "payments_bill",
)
only_postgres = pytest.mark.skipif(ENGINE != "postgres", reason="SQLite has one body")


@pytest.fixture
async def town(world, monkeypatch):
    """The real planner, free and charged items, one query password for all."""
    free = {"fee": FREE, "pay_before_forward": False}
    for code, more in (("FREE", free), ("NO-PAPER", free | {"delivery_modes": []}), ("CHARGED", {})):
        await publish(item_code=code, **more)
    world.planner.plan = Planner().plan
    monkeypatch.setattr(numbers, "new_query_password", lambda: "123456")
    world.stored_at_once = 0
    send = together.OneStatement.send

    async def counted(self, claim):
        await send(self, claim)
        world.stored_at_once += 1

    monkeypatch.setattr(together.OneStatement, "send", counted)
    return world


@pytest.fixture
def transaction_only(monkeypatch):
    """Takes the one-statement body away while it is called."""

    def switch(off):
        async def never(*_):
            raise NeedsTransaction

        monkeypatch.setattr(idempotency, "_in_one_statement", never if off else ONE_STATEMENT)

    return switch


ONE_STATEMENT = idempotency._in_one_statement


async def draft(town, item="FREE"):
    opened = await service.open_draft(actor=town.citizen, item_code=item, region_code=COUNTY)
    return opened.case_no


async def submit(town, case_no, wanted, *, actor=None, key="s", body="h"):
    return await submission.submit(
        actor=actor or town.citizen, case_no=case_no, submission=wanted, idem=idem(f"{key}{case_no}", body=body)
    )


async def rows_of(case_no):
    """Every row about one case, opened and without what differs between two equal cases: numbers, nonces."""
    case = await Case.get(case_no=case_no)
    about = {
        "cases_case": ("case_no", case_no), "cases_event": ("case_id", case.id), "cases_attachment": ("case_id", case.id),
        "delivery_parcel": ("case_no", case_no), "kernel_outbox": ("lane", f"case:{case_no}"),
        "kernel_idempotency": ("key", idempotency._digest(f"s{case_no}")), "payments_bill": ("subject", f"case:{case_no}"),
    }  # fmt: skip
    found = {}
    for table in TABLES:
        column, value = about[table]
        rows = await db.fetch(f"SELECT * FROM {table} WHERE {column} = ? ORDER BY id", value)
        found[table] = [{name: _plain(table, name, v, case_no) for name, v in row.items()} for row in rows]
    return found


def _plain(table, name, value, case_no):
    if (name in ("id", "case_id", "delivery_no", "bill_no", "key") and table != "kernel_outbox") or name == "id":
        return value is not None
    if name == "query_password_hash" and value is not None:
        return numbers.query_password_matches(case_no=case_no, password="123456", stored_hash=value)
    if table == "cases_case" and name.endswith("_sealed") and value is not None:
        return crypto.unseal(value, context=f"cases_case.{name.removesuffix('_sealed')}:{case_no}")
    if table == "kernel_idempotency" and name == "answer":
        context = f"kernel_idempotency.answer:citizen:submit:{idempotency._digest(f's{case_no}')}"
        value = crypto.unseal(value, context=context).decode()
    text = str(value).replace(case_no, "CASE")
    return re.sub(r'"bill_nos":\["\w+"\]', "a bill", text)


def choices(photos, *codes):
    return tuple(MaterialChoice(code=code, material_ids=tuple(photos[code])) for code in codes)


async def random_submission(town, chance, photos):
    """Right, nearly right and wrong in every way that a person can manage."""
    codes = [code for code in ("PHOTO", "IDCARD", "HKB", "JZZ") if chance.random() < 0.85]
    given = list(choices(photos, *codes))
    if chance.random() < 0.15:
        odd = chance.choice([photos["foreign"], photos["refused"], ("unknown",), photos["PHOTO"] * 2])
        given.append(MaterialChoice(code=chance.choice(["JZZ", "UNKNOWN"]), material_ids=tuple(odd)))
    promise = None
    if "HKB" not in codes or chance.random() < 0.2:
        promise = Promise(
            codes=("HKB",),
            until_on=chance.choice([date(2026, 12, 1), date(2020, 1, 1)]),
            confirmed=chance.random() < 0.9,
        )
    form = chance.choice([FORM, FORM, FORM, {"reason": "损坏", "contact_mobile": "13800000002"}, {"reason": "不想说"}])
    wish = chance.choice(
        [DeliveryWish(way="pickup"), DeliveryWish(way="pickup"), None, DeliveryWish(way="mail", quote_no="Q")]
    )
    return await town.submission(form=form, materials=tuple(given), promise=promise, delivery=wish)


async def outcome(town, case_no, wanted):
    """What the person reads and every row; the wrong one of two bodies would differ in one of them."""
    try:
        answer = await submit(town, case_no, wanted)
        told = msgspec.to_builtins(
            msgspec.structs.replace(answer, case_no="CASE", bill_nos=("a bill",) * len(answer.bill_nos))
        )
    except Problem as refused:
        told = (type(refused).__name__, refused.detail, refused.errors, refused.extra)
    return told, await rows_of(case_no)


@pytest.mark.parametrize("seed", range(6))
async def test_both_bodies_tell_and_store_the_same(town, transaction_only, seed):
    chance = random.Random(seed)
    photos = {code: [await town.photo() for _ in range(chance.choice([1, 1, 2]))] for code in ("IDCARD", "HKB", "JZZ")}
    photos |= {
        "PHOTO": [await town.photo()],
        "foreign": [await town.photo(town.neighbour)],
        "refused": [await town.photo(state="refused")],
    }
    for _ in range(8):
        item, wanted = (
            chance.choice(["FREE", "FREE", "NO-PAPER", "CHARGED"]),
            await random_submission(town, chance, photos),
        )
        seen = []
        for off in (False, True):
            transaction_only(off)
            seen.append(await outcome(town, await draft(town, item), wanted))
        assert seen[0] == seen[1]


async def test_what_is_right_and_free_is_stored_by_one_statement(town, monkeypatch):
    """One look and one write; on SQLite the transaction. A bill needs the transaction on both."""
    borrowed = []
    acquired = db.transactions._acquired

    async def counted(pool):
        borrowed.append(1)
        return await acquired(pool)

    wanted, free, charged = await town.submission(), await draft(town), await draft(town, "CHARGED")
    await submit(town, await draft(town), wanted)  # the catalogue is cached now
    monkeypatch.setattr(db.transactions, "_acquired", counted)
    town.stored_at_once = 0
    assert (await submit(town, free, wanted)).status == "submitted"
    assert (town.stored_at_once, len(borrowed)) == ((1, 2) if ENGINE == "postgres" else (0, 0))
    assert (await submit(town, charged, wanted)).outstanding
    assert town.stored_at_once == (1 if ENGINE == "postgres" else 0)


async def test_a_repeated_submission_gets_the_first_receipt_and_another_body_none(town):
    case_no, wanted = await draft(town), await town.submission()
    first = await submit(town, case_no, wanted)
    before = await rows_of(case_no)
    assert await submit(town, case_no, wanted) == first
    with pytest.raises(KeyReused):
        await submit(town, case_no, wanted, body="other")
    with pytest.raises(IllegalTransition):
        await submit(town, case_no, wanted, key="another")
    assert await rows_of(case_no) == before


async def test_ten_at_once_with_one_key_are_one_submission(town):
    case_no, wanted = await draft(town), await town.submission()
    answers = await gather(*(submit(town, case_no, wanted) for _ in range(10)))
    assert set(answers) == {Submitted(**msgspec.structs.asdict(answers[0]))}
    found = await rows_of(case_no)
    assert [len(found[t]) for t in ("cases_event", "cases_attachment", "delivery_parcel", "kernel_outbox")] == [
        1,
        3,
        1,
        3,
    ]


async def test_of_ten_at_once_with_ten_keys_one_wins(town):
    case_no, wanted = await draft(town), await town.submission()
    answers = await gather(*(submit(town, case_no, wanted, key=str(n)) for n in range(10)))
    assert sorted(type(answer).__name__ for answer in answers) == ["IllegalTransition"] * 9 + ["Submitted"]
    found = await rows_of(case_no)
    assert [len(found[t]) for t in ("cases_event", "cases_attachment", "delivery_parcel", "kernel_outbox")] == [
        1,
        3,
        1,
        3,
    ]
    assert len(await db.fetch("SELECT 1 AS one FROM kernel_idempotency")) == 1


async def test_ten_people_with_the_same_photos_at_once_all_get_in(town):
    """Two cases may use one photo: the statements wait for each other and none of them is lost."""
    wanted = await town.submission()
    drafts = [await draft(town) for _ in range(10)]
    answers = await gather(*(submit(town, case_no, wanted) for case_no in drafts))
    assert [type(answer) for answer in answers] == [Submitted] * 10


async def test_anothers_case_is_as_absent_as_none(town):
    case_no = await draft(town)
    for actor, number in ((town.neighbour, case_no), (town.citizen, "620981261119299999995")):
        with pytest.raises(NotFound):
            await submit(town, number, await town.submission(actor), actor=actor)
    assert await town.state(case_no) == "DRAFT"


# -- between the look and the write ----------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets something happen after the command has looked and before its statement arrives."""

    def plan(happening):
        send = together.OneStatement.send

        async def late(self, claim):
            await happening()
            await send(self, claim)

        monkeypatch.setattr(together.OneStatement, "send", late)

    return plan


@only_postgres
async def test_a_draft_saved_meanwhile_does_not_survive_the_submission(town, meanwhile):
    case_no, wanted = await draft(town), await town.submission()
    meanwhile(
        lambda: service.save_draft(
            actor=town.citizen, case_no=case_no, draft=Draft(form=FORM, materials=wanted.materials)
        )
    )
    assert (await submit(town, case_no, wanted)).status == "submitted"
    case = await Case.get(case_no=case_no)
    assert case.draft_sealed is None and contents.form_of(case) == FORM and town.stored_at_once == 0
    assert len((await rows_of(case_no))["cases_attachment"]) == 3


@only_postgres
async def test_a_draft_withdrawn_meanwhile_is_not_submitted(town, meanwhile):
    case_no = await draft(town)
    meanwhile(lambda: service.withdraw(actor=town.citizen, case_no=case_no, reason=""))
    with pytest.raises(IllegalTransition):
        await submit(town, case_no, await town.submission())
    found = await rows_of(case_no)
    assert [found[t] for t in ("cases_attachment", "delivery_parcel", "kernel_outbox")] == [[], [], []]


@only_postgres
@pytest.mark.parametrize("fate", ["swept", "gone"])
async def test_a_photo_lost_meanwhile_is_named(town, meanwhile, fate):
    case_no, wanted = await draft(town), await town.submission()
    photo = Material.filter(ref=wanted.materials[0].material_ids[0])
    meanwhile(lambda: photo.update(state="refused") if fate == "swept" else photo.delete())
    with pytest.raises(SubmissionIncomplete) as refused:
        await submit(town, case_no, wanted)
    assert [error.pointer for error in refused.value.errors] == ["/materials/PHOTO/0"]
    assert await town.state(case_no) == "DRAFT" and not await db.fetch("SELECT 1 AS one FROM kernel_idempotency")


@only_postgres
async def test_a_parcel_planned_meanwhile_is_not_planned_twice(town, meanwhile):
    case_no, planner = await draft(town), Planner()

    async def other():
        async with db.transaction():
            await planner.plan(case_no=case_no, account_ref=town.citizen.account_ref, wish=DeliveryWish(way="pickup"))

    meanwhile(other)
    with pytest.raises(AlreadyPlanned):
        await submit(town, case_no, await town.submission())
    assert await town.state(case_no) == "DRAFT"


@only_postgres
async def test_who_hangs_up_while_the_statement_waits_leaves_nothing(town):
    case_no, wanted = await draft(town), await town.submission()
    held, go = asyncio.Event(), asyncio.Event()

    async def hold():
        async with db.transaction():
            await db.lock(Case, case_no=case_no)
            held.set()
            await go.wait()

    other = asyncio.create_task(hold())
    await held.wait()
    sending = asyncio.create_task(submit(town, case_no, wanted))
    await asyncio.sleep(0.3)
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    go.set()
    await other
    assert await town.state(case_no) == "DRAFT" and not await db.fetch("SELECT 1 AS one FROM kernel_outbox")
    assert (await submit(town, case_no, wanted)).status == "submitted" and not db.in_transaction()


async def test_a_person_without_a_phone_is_told_in_both_bodies(town):
    case_no = await draft(town)
    await Account.filter(ref=town.citizen.account_ref).update(phone_sealed=None, phone_mask=None)
    with pytest.raises(Problem) as refused:
        await submit(town, case_no, await town.submission())
    assert refused.value.status == 428 and await town.state(case_no) == "DRAFT"
    assert town.stored_at_once == 0


# -- the benchmark's yardstick ----------------------------------------------------------------------------------------

SCRIPTS = Path(submission.__file__).parents[2] / "bench" / "pgfloor"
WRITES = re.compile(r"\b(INSERT INTO|DELETE FROM|UPDATE) \"?((?:cases|delivery|kernel|payments)_\w+)")
LOCKS = re.compile(r"FROM \"?(cases_\w+)\"? (?:(?!FROM \"?cases_).)*?FOR NO KEY UPDATE")


@only_postgres
@pytest.mark.parametrize(("off", "script"), [(False, "submit_statement"), (True, "submit_transaction")])
async def test_pgbench_plays_what_the_product_sends(town, transaction_only, monkeypatch, off, script):
    """The same writes on the same tables and the same rows locked; the transaction also in the same order."""
    sent, prepared = [], db._prepared

    def noted(sql, params):
        sent.append(sql)
        return prepared(sql, params)

    transaction_only(off)
    wanted, case_no = await town.submission(), await draft(town)
    await submit(town, await draft(town), wanted)
    monkeypatch.setattr(db, "_prepared", noted)
    await submit(town, case_no, wanted)
    played = (SCRIPTS / f"{script}.sql").read_text(encoding="utf-8").splitlines()
    statements = [
        line for line in played if re.match(r"INSERT|SELECT|WITH", line) and "bench_owner WHERE n" not in line[:70]
    ]
    for pattern in (WRITES, LOCKS):
        assert {found for sql in sent for found in pattern.findall(sql)} == {
            found for sql in played for found in pattern.findall(sql)
        }
    if off:
        assert [_told(sql) for sql in sent] == [_told(sql) for sql in statements]


def _told(sql):
    """Verb and first table of a statement."""
    return sql.split()[0], re.search(r"\b(?:FROM|INTO|UPDATE) \"?(\w+)", sql)[1]
