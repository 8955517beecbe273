"""Writes that wait for the end of their transaction: the same rows on both engines, whether they waited or not."""

import pytest
from tortoise.exceptions import IntegrityError

from kernel import clock, db, outbox, together
from kernel.models import IdempotencyRow, InboxRow, Nonce


def nonce(text, **more):
    return Nonce(partner="p", nonce=text, seen_ms=1, **more)


async def rows():
    return [(row.nonce, row.seen_ms) for row in await Nonce.all().order_by("nonce")]


async def play():
    """What a command does: statements, new rows, and a row saved twice."""
    known = await Nonce.get(nonce="known")
    known.seen_ms = 2
    await together.save(known)
    await together.insert(nonce("new"))
    await together.write("DELETE FROM kernel_nonce WHERE nonce = ?", "old")
    await together.insert(
        InboxRow(
            partner="p", external_id="e", headers={"名": "值"}, body="b", created_at=clock.now(), handled_at=clock.now()
        )
    )
    await outbox.publish("t", key="k", payload={"a": 1})
    await outbox.publish("t", key="k", payload={"a": 2})
    known.seen_ms = 3
    await together.save(known)


@pytest.mark.parametrize("waiting", [True, False])
async def test_the_same_rows_whether_they_waited_or_not(database, frozen_clock, waiting):
    await Nonce.bulk_create([nonce("known"), nonce("old")])
    async with db.transaction():
        if waiting:
            async with together.gathered():
                await play()
                assert await rows() == [("known", 1), ("old", 1)], "nothing is written before the end"
        else:
            await play()
    assert await rows() == [("known", 3), ("new", 1)]
    (message,) = await InboxRow.all()
    assert message.headers == {"名": "值"} and message.handled_at == clock.now()
    promises = await db.fetch("SELECT key, payload FROM kernel_outbox")
    assert [row["key"] for row in promises] == ["k"] and '"a":' in promises[0]["payload"].replace(" ", "")


async def test_a_failing_command_writes_nothing(database):
    with pytest.raises(LookupError):
        async with db.transaction(), together.gathered():
            await together.insert(nonce("new"))
            raise LookupError
    assert await rows() == []
    async with db.transaction(), together.gathered():
        pass
    assert await rows() == [], "and leaves nothing behind for the next"


async def test_a_row_that_may_not_be_undoes_everything(database):
    await Nonce.bulk_create([nonce("known")])
    with pytest.raises(IntegrityError):
        async with db.transaction(), together.gathered():
            await together.insert(nonce("new"))
            await together.insert(nonce("known"))
    assert await rows() == [("known", 1)]


async def test_a_block_in_a_block_waits_for_the_outer_one(database):
    async with db.transaction(), together.gathered():
        async with together.gathered():
            await together.insert(nonce("new"))
        assert await rows() == []
    assert await rows() == [("new", 1)]


async def test_more_than_one_statement_can_hold_are_all_written(database):
    async with db.transaction(), together.gathered():
        for n in range(100):
            await together.insert(nonce(f"n{n:03}"))
    assert len(await rows()) == 100


async def test_it_belongs_inside_a_transaction(database):
    with pytest.raises(RuntimeError):
        async with together.gathered():
            pass
    assert not await IdempotencyRow.exists()
