"""What is gathered keeps its order: a lane is worked by the numbers of its rows, and the first of two promises stands."""

from kernel import db, outbox, together
from kernel.models import Nonce, OutboxRow


async def test_promises_keep_the_order_in_which_they_were_made(database):
    """PostgreSQL runs the members of one statement in an order of its own, which turned a lane's news backwards."""
    async with db.transaction(), together.gathered():
        for n in range(60):
            await outbox.publish("t", key=f"k{n:02}", payload={}, lane="l")
            await together.insert(Nonce(partner="p", nonce=f"n{n:02}", seen_ms=n))
    assert [row.key for row in await OutboxRow.all().order_by("id")] == [f"k{n:02}" for n in range(60)]
    assert [row.nonce for row in await Nonce.all().order_by("id")] == [f"n{n:02}" for n in range(60)]


async def test_the_first_of_two_promises_with_one_key_stands(database):
    async with db.transaction(), together.gathered():
        await outbox.publish("t", key="k", payload={"told": "first"})
        await outbox.publish("t", key="other", payload={})
        await outbox.publish("t", key="k", payload={"told": "second"})
    row = await OutboxRow.get(key="k")
    assert row.payload == {"told": "first"}
