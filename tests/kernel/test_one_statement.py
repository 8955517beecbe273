"""A command that only looks and gathers: one statement stores it whole, or nothing is stored and a transaction decides."""

import asyncio

import pytest

from kernel import db, ids, outbox, rows, together
from kernel.idempotency import Idempotency, KeyReused, run_once
from kernel.looking import NeedsTransaction
from kernel.models import Nonce, OutboxRow
from kernel.problems import Conflict, NotFound
from tests.conftest import ENGINE

only_postgres = pytest.mark.skipif(ENGINE != "postgres", reason="SQLite has one writer at a time: always a transaction")
CLAIM = "INSERT INTO kernel_nonce (partner, nonce, seen_ms) VALUES (?, ?, 1) ON CONFLICT DO NOTHING RETURNING 1"
BEFORE = [("known", 1), ("watched", 1)]
AFTER = [("claim", 1), ("known", 2), ("new", 1), ("watched", 1)]


def nonce(text, seen_ms=1):
    return Nonce(partner="p", nonce=text, seen_ms=seen_ms)


async def stored():
    return [(row.nonce, row.seen_ms) for row in await Nonce.all().order_by("nonce")]


async def change():
    """Looks at two rows and a table, wants one row changed, a new one beside it, and a promise."""
    known, watched, promises = await rows.three(
        rows.locking(Nonce, partner="p", nonce="known"),
        rows.locking(Nonce, partner="p", nonce="watched"),
        rows.Read("SELECT key FROM kernel_outbox ORDER BY id", (), list),
    )
    assert watched.nonce == "watched" and promises == []
    if await rows.exists("SELECT 1 FROM kernel_nonce WHERE nonce = ?", "forbidden"):
        raise Conflict
    known.seen_ms = 3
    await together.save(known)
    await together.insert(nonce("new"))
    await outbox.publish("t", key="k", payload={}, lane="l")
    known.seen_ms = 2
    await together.save(known)


async def looked():
    await Nonce.bulk_create([nonce("known"), nonce("watched")])
    with together.one_statement() as statement:
        await change()
    assert not db.in_transaction()
    return statement


def send(statement):
    return statement.send((CLAIM, ("p", "claim")))


async def hold(sql, held, go):
    """Another session that has done something and has not committed yet."""
    async with db.transaction():
        await db.execute(sql)
        held.set()
        await go.wait()


async def somebody_waits():
    for _ in range(500):
        if await db.fetch(
            "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


@only_postgres
async def test_it_stores_everything(database):
    statement = await looked()
    assert await stored() == BEFORE, "looking stores nothing"
    await send(statement)
    assert await stored() == AFTER and await OutboxRow.filter(key="k").count() == 1


INTERFERENCE = (
    "UPDATE kernel_nonce SET seen_ms = 9 WHERE nonce = 'known'",
    "UPDATE kernel_nonce SET seen_ms = seen_ms WHERE nonce = 'known'",
    "DELETE FROM kernel_nonce WHERE nonce = 'known'",
    "UPDATE kernel_nonce SET seen_ms = 9 WHERE nonce = 'watched'",
    "DELETE FROM kernel_nonce WHERE nonce = 'watched'",
    "INSERT INTO kernel_nonce (partner, nonce, seen_ms) VALUES ('p', 'claim', 1)",
    "INSERT INTO kernel_nonce (partner, nonce, seen_ms) VALUES ('p', 'new', 1)",
)
FORBIDDEN = "INSERT INTO kernel_nonce (partner, nonce, seen_ms) VALUES ('p', 'forbidden', 1)"


@only_postgres
@pytest.mark.parametrize("interference", [*INTERFERENCE, FORBIDDEN])
async def test_nothing_is_stored_when_something_has_moved(database, interference):
    statement = await looked()
    await db.execute(interference)
    before = await stored()
    with pytest.raises(NeedsTransaction):
        await send(statement)
    assert await stored() == before and not await OutboxRow.exists()


@only_postgres
@pytest.mark.parametrize("interference", INTERFERENCE)
async def test_it_waits_for_who_has_not_committed_and_then_sees_that_it_moved(database, interference):
    statement = await looked()
    held, go = asyncio.Event(), asyncio.Event()
    other = asyncio.create_task(hold(interference, held, go))
    await held.wait()
    sending = asyncio.create_task(send(statement))
    await somebody_waits()
    go.set()
    await other
    before = await stored()
    with pytest.raises(NeedsTransaction):
        await sending
    assert await stored() == before and not await OutboxRow.exists()


@only_postgres
async def test_who_only_held_the_row_comes_first_in_its_lane(database):
    """A lane is worked by number: the promise of the statement gets its number after the locks, as in a transaction."""
    statement = await looked()
    held, go = asyncio.Event(), asyncio.Event()

    async def other():
        async with db.transaction():
            await db.lock(Nonce, nonce="known")
            held.set()
            await go.wait()
            await outbox.publish("t", key="earlier", payload={}, lane="l")

    holder = asyncio.create_task(other())
    await held.wait()
    sending = asyncio.create_task(send(statement))
    await somebody_waits()
    go.set()
    await asyncio.gather(holder, sending)
    assert [row.key for row in await OutboxRow.filter(lane="l").order_by("id")] == ["earlier", "k"]


@only_postgres
async def test_who_gives_up_while_it_waits_leaves_nothing(database):
    statement = await looked()
    held, go = asyncio.Event(), asyncio.Event()
    other = asyncio.create_task(hold("UPDATE kernel_nonce SET seen_ms = seen_ms", held, go))
    await held.wait()
    sending = asyncio.create_task(send(statement))
    await somebody_waits()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    go.set()
    await other
    assert await stored() == BEFORE and not await OutboxRow.exists()
    for _ in range(20):
        assert (await db.fetch("SELECT 1 AS one"))[0]["one"] == 1


async def write_by_hand():
    await db.execute("UPDATE kernel_nonce SET seen_ms = 9")


async def write_and_return():
    await db.fetch("DELETE FROM kernel_nonce RETURNING id")


async def write_in_a_with():
    await db.fetch("WITH w AS (DELETE FROM kernel_nonce RETURNING id) SELECT id FROM w")


async def save_by_the_orm():
    row = await Nonce.get(nonce="known")
    row.seen_ms = 9
    await row.save()


async def update_by_the_orm():
    await Nonce.all().update(seen_ms=9)


async def delete_by_the_orm():
    await Nonce.all().delete()


async def create_by_the_orm():
    await Nonce.create(partner="p", nonce="x", seen_ms=9)


async def create_many_by_the_orm():
    await Nonce.bulk_create([nonce("x"), nonce("y")])


async def begin():
    async with db.transaction():
        await together.insert(nonce("x"))


async def lock_by_hand():
    await db.records("SELECT id FROM kernel_nonce FOR UPDATE")


async def lock_by_the_orm():
    await Nonce.all().select_for_update(no_key=True)


async def lock():
    await db.lock(Nonce, nonce="known")


async def lock_for_the_session():
    await db.fetch("SELECT pg_advisory_lock(1)")


async def say_so():
    db.needs_transaction()


async def count():
    await ids.next_serial("issued")


async def take_from_any_sequence():
    await db.fetch("SELECT nextval('somebody_s_counter')")


async def save_what_was_not_looked_at():
    await together.save(await Nonce.get(nonce="known"))


@only_postgres
@pytest.mark.parametrize("more", [
    write_by_hand, write_and_return, write_in_a_with, save_by_the_orm, update_by_the_orm, delete_by_the_orm,
    create_by_the_orm, create_many_by_the_orm, begin, lock_by_hand, lock_by_the_orm, lock, lock_for_the_session, say_so, count,
    take_from_any_sequence, save_what_was_not_looked_at,
])  # fmt: skip
async def test_what_only_a_transaction_can_do_is_refused_before_it_happens(database, more):
    await Nonce.bulk_create([nonce("known"), nonce("watched")])
    with pytest.raises(NeedsTransaction):
        with together.one_statement() as statement:
            await more()
        await send(statement)
    assert await stored() == BEFORE
    assert not await db.fetch("SELECT 1 AS one FROM pg_locks WHERE locktype = 'advisory'")


@only_postgres
async def test_rows_that_point_at_each_other_get_their_numbers_from_the_look(database):
    await Nonce.bulk_create([nonce("known")])
    with together.one_statement() as statement:
        known, other, third, numbers = await rows.four(
            rows.where(Nonce, "nonce = (SELECT nonce FROM kernel_nonce WHERE seen_ms = ?)", 1),
            rows.locking(Nonce, partner="p", nonce="nobody"),
            rows.Read("SELECT 3", (), list),
            rows.Read(
                "SELECT nextval('kernel_nonce_id_seq') AS first, nextval('kernel_nonce_id_seq') AS second", (), list
            ),
        )
        first, second = numbers[0]
        await together.write(
            "INSERT INTO kernel_nonce (id, partner, nonce, seen_ms) VALUES (?, 'p', 'new', ?)", first, second
        )
        known.seen_ms = first
        await together.save(known)
    await send(statement)
    assert other is None and [tuple(row) for row in third] == [(3,)] and second == first + 1
    assert await stored() == [("claim", 1), ("known", first), ("new", second)]


@only_postgres
async def test_too_much_for_one_statement_is_refused(database):
    await Nonce.bulk_create([nonce("known")])
    with together.one_statement() as statement:
        for n in range(400):
            await together.insert(nonce(f"n{n}"))
    with pytest.raises(NeedsTransaction):
        await send(statement)
    assert await stored() == [("known", 1)]


# -- run_once: the same command in both bodies ------------------------------------------------------------------------


def asked(key="k", body="b"):
    return Idempotency(scope="citizen:1 POST /x", key=key, request_hash=body)


async def command():
    await change()
    return "done"


async def test_a_command_gives_the_same_rows_and_the_same_answer_again(database):
    await Nonce.bulk_create([nonce("known"), nonce("watched")])
    for _ in range(2):
        assert await run_once(asked(), str, command, gathers=True) == "done"
    with pytest.raises(KeyReused):
        await run_once(asked(body="other"), str, command, gathers=True)
    assert await stored() == AFTER[1:] and await OutboxRow.all().count() == 1


async def test_ten_at_once_have_one_effect(database):
    await Nonce.bulk_create([nonce("known"), nonce("watched")])
    answers = await asyncio.gather(*(run_once(asked(), str, command, gathers=True) for _ in range(10)))
    assert set(answers) == {"done"} and await stored() == AFTER[1:] and await OutboxRow.all().count() == 1


async def test_what_needs_a_transaction_gets_it(database):
    async def issue():
        return await ids.next_serial("issued")

    assert await run_once(asked(), int, issue, gathers=True) == 1
    assert await run_once(asked(), int, issue, gathers=True) == 1


async def test_a_refusal_is_the_transactions_and_leaves_the_key_free(database):
    asked_in = []

    async def refuse():
        asked_in.append(db.view() is None)
        raise NotFound

    with pytest.raises(NotFound):
        await run_once(asked(), str, refuse, gathers=True)
    assert asked_in == ([True] if ENGINE == "sqlite" else [False, True])
    await Nonce.bulk_create([nonce("known"), nonce("watched")])
    assert await run_once(asked(), str, command, gathers=True) == "done"
