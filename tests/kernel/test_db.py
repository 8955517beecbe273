"""The database door: transactions that end, instants that compare right, and statements that both engines run."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kernel import db, ids
from kernel.models import InboxRow


async def test_what_a_transaction_wrote_is_gone_when_it_fails(database):
    with pytest.raises(RuntimeError):
        async with db.transaction():
            await ids.next_serial("a")
            raise RuntimeError
    assert await ids.next_serial("a") == 1


async def test_a_nested_transaction_is_a_savepoint(database):
    async with db.transaction():
        await ids.next_serial("outer")
        with pytest.raises(RuntimeError):
            async with db.transaction():
                await ids.next_serial("inner")
                raise RuntimeError
    assert await ids.next_serial("outer") == 2
    assert await ids.next_serial("inner") == 1


async def test_a_serial_counts_without_gap_or_double_under_concurrency(database):
    numbers = await asyncio.gather(*(ids.next_serial("case") for _ in range(50)))
    assert sorted(numbers) == list(range(1, 51))


async def test_instants_with_different_offsets_find_the_same_rows(database):
    at_four_in_beijing = datetime(2026, 1, 5, 16, 0, tzinfo=timezone(timedelta(hours=8)))
    await InboxRow.create(partner="p", external_id="1", headers={}, body="x", handled_at=at_four_in_beijing)
    nine_utc = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    assert await InboxRow.filter(handled_at__lte=nine_utc).count() == 1
    assert await InboxRow.filter(handled_at__lte=nine_utc - timedelta(hours=2)).count() == 0
    rows = await db.fetch("SELECT handled_at FROM kernel_inbox WHERE handled_at <= ?", db.at(nine_utc))
    assert db.instant(rows[0]["handled_at"]) == at_four_in_beijing


async def test_a_naive_instant_is_refused(database):
    with pytest.raises(ValueError, match="offset"):
        await InboxRow.create(partner="p", external_id="1", headers={}, body="x", handled_at=datetime(2026, 1, 5))  # noqa: DTZ001


async def test_question_marks_inside_quotes_are_not_placeholders(database):
    assert (await db.fetch("SELECT '?' AS mark, CAST(? AS INTEGER) AS number", 7))[0] == {"mark": "?", "number": 7}


async def test_locking_outside_a_transaction_is_a_programming_error(database):
    with pytest.raises(RuntimeError):
        await db.lock(InboxRow, id=1)


async def test_a_deadline_during_begin_poisons_nobody(database):
    """The hole of the ORM: a cancelled BEGIN used to leave a transaction open that later writes silently joined."""

    async def write(name: str) -> None:
        async with db.transaction():
            await ids.next_serial(name)

    for n in range(60):
        task = asyncio.create_task(write("cut"))
        await asyncio.sleep(0.0005 * (n % 7))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not db.in_transaction()
    for n in range(1, 11):
        await asyncio.wait_for(write("honest"), 5)
        assert (await db.fetch("SELECT value FROM kernel_serial WHERE scope = 'honest'"))[0]["value"] == n


async def test_many_writers_on_one_connection_and_a_hundred_hang_ups_lose_nothing(database):
    done = 0

    async def honest() -> None:
        nonlocal done
        for _ in range(20):
            async with db.transaction():
                await ids.next_serial("sum")
            done += 1

    async def rude(n: int) -> None:
        for i in range(25):
            task = asyncio.create_task(ids_in_transaction())
            await asyncio.sleep(0.0003 * ((i + n) % 9))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def ids_in_transaction() -> None:
        async with db.transaction():
            await ids.next_serial("rude")

    await asyncio.wait_for(asyncio.gather(honest(), honest(), *(rude(n) for n in range(4))), 60)
    assert (await db.fetch("SELECT value FROM kernel_serial WHERE scope = 'sum'"))[0]["value"] == done == 40
