"""A promise is written with its fact, worked once, tried again with patience, and never blocks the others."""

import asyncio

import pytest

from kernel import db, outbox
from kernel.outbox import Permanent, RetryLater, Topic
from kernel.worker import Worker

SECOND = 1000


async def promise(key: str, *, topic: str = "note", lane: str | None = None) -> None:
    async with db.transaction():
        await outbox.publish(topic, key=key, payload={"key": key}, lane=lane)


def worker(handler, **options) -> Worker:
    return Worker(topics=[Topic(name="note", handler=handler, **options)], subscriptions={}, lease_seconds=4)


async def state_of(key: str) -> int:
    return (await db.fetch("SELECT state FROM kernel_outbox WHERE key = ?", key))[0]["state"]


async def test_a_promise_needs_the_transaction_of_its_fact(database):
    with pytest.raises(RuntimeError):
        await outbox.publish("note", key="a", payload={})


async def test_a_promise_is_worked_once_and_a_second_copy_of_its_key_is_ignored(database):
    seen = []

    async def handler(delivery):
        seen.append(delivery.payload["key"])

    await promise("a")
    await promise("a")
    await worker(handler).run_until_idle()
    assert seen == ["a"]
    assert await state_of("a") == outbox.DONE


async def test_a_fact_that_was_rolled_back_promised_nothing(database):
    with pytest.raises(RuntimeError):
        async with db.transaction():
            await outbox.publish("note", key="a", payload={})
            raise RuntimeError
    assert await db.fetch("SELECT id FROM kernel_outbox") == []


async def test_a_failing_row_waits_longer_each_time_and_dies_of_age(database, frozen_clock):
    async def handler(delivery):
        raise ValueError("the partner of 620102199001010019 is down")

    await promise("a")
    works = worker(handler, max_age_hours=1)
    await works.run_until_idle()
    assert await state_of("a") == outbox.READY
    frozen_clock.advance(seconds=0.5)
    await works.run_until_idle()  # too early: nothing happens
    row = (await db.fetch("SELECT attempts, error FROM kernel_outbox"))[0]
    assert row["attempts"] == 1
    assert "620102" not in row["error"]
    for _ in range(40):
        frozen_clock.advance(minutes=11)
        await works.run_until_idle()
    assert await state_of("a") == outbox.DEAD


async def test_a_permanent_error_goes_to_the_dead_list_and_an_operator_revives_it(database):
    seen = []

    async def handler(delivery):
        seen.append(delivery.key)
        if len(seen) == 1:
            raise Permanent("no such item")

    await promise("a")
    works = worker(handler)
    await works.run_until_idle()
    (row,) = await outbox.dead()
    assert (row["topic"], row["error"]) == ("note", "no such item")
    assert await outbox.revive(row["id"])
    await works.run_until_idle()
    assert await state_of("a") == outbox.DONE


async def test_a_handler_may_name_the_time_of_the_next_try(database, frozen_clock):
    async def handler(delivery):
        if delivery.attempts == 1:
            raise RetryLater(60, "the partner asked us to slow down")

    await promise("a")
    works = worker(handler)
    await works.run_until_idle()
    frozen_clock.advance(seconds=40)
    await works.run_until_idle()
    assert await state_of("a") == outbox.READY
    frozen_clock.advance(seconds=40)
    await works.run_until_idle()
    assert await state_of("a") == outbox.DONE


async def test_rows_of_one_lane_run_one_after_the_other_and_other_lanes_pass(database):
    order = []

    async def handler(delivery):
        order.append(f"{delivery.key} begins")
        await asyncio.sleep(0.02)
        order.append(f"{delivery.key} ends")

    for key, lane in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await promise(key, lane=lane)
    await worker(handler).run_until_idle()
    assert order.index("a1 ends") < order.index("a2 begins")
    assert order.index("b1 begins") < order.index("a1 ends")


async def test_effect_and_finish_are_one_when_the_handler_says_so(database):
    async def handler(delivery):
        async with db.transaction():
            await db.execute("INSERT INTO kernel_serial (scope, value) VALUES ('effect', 1)")
            await delivery.finish()

    await promise("a")
    await worker(handler).run_until_idle()
    assert await state_of("a") == outbox.DONE


async def test_whoever_lost_the_lease_cannot_finish(database, frozen_clock):
    await promise("a")
    (first,) = await outbox.claim(1, lease_ms=4 * SECOND)
    frozen_clock.advance(seconds=5)
    second = await outbox.claim_suspect(lease_ms=4 * SECOND, longest_lease_ms=4 * SECOND)
    assert second is not None
    with pytest.raises(outbox.LeaseLost):
        await first.finish()
    await second.finish()


async def test_a_lease_far_in_the_future_counts_as_expired(database, frozen_clock):
    """A clock that jumped back must not hold a row for the length of the jump."""
    await promise("a")
    await outbox.claim(1, lease_ms=4 * SECOND)
    frozen_clock.advance(hours=-1)
    assert await outbox.claim_suspect(lease_ms=4 * SECOND, longest_lease_ms=4 * SECOND) is not None


async def test_a_row_that_kills_its_process_again_and_again_is_dead_and_only_that_one(database, frozen_clock):
    async def handler(delivery):
        pass

    await promise("killer")
    await outbox.claim(1, lease_ms=4 * SECOND)  # the process dies here
    for _ in range(outbox.MAX_CRASHES - 1):
        frozen_clock.advance(seconds=5)
        assert await outbox.claim_suspect(lease_ms=4 * SECOND, longest_lease_ms=4 * SECOND)  # and here
    await promise("innocent")
    frozen_clock.advance(seconds=5)
    await worker(handler).run_until_idle()
    assert await state_of("killer") == outbox.DEAD
    assert await state_of("innocent") == outbox.DONE


async def test_a_row_whose_holder_vanished_once_is_run_again(database, frozen_clock):
    seen = []

    async def handler(delivery):
        seen.append((delivery.attempts, delivery.crashes))

    await promise("a")
    await outbox.claim(1, lease_ms=4 * SECOND)
    frozen_clock.advance(seconds=5)
    await worker(handler).run_until_idle()
    assert seen == [(2, 1)]


async def test_four_claimers_at_once_never_get_the_same_row(database):
    for n in range(40):
        await promise(f"k{n}")
    batches = await asyncio.gather(*(outbox.claim(15, lease_ms=4 * SECOND) for _ in range(4)))
    claimed = [d.key for batch in batches for d in batch]
    assert len(claimed) == len(set(claimed))
    assert all(len(batch) <= 15 for batch in batches)


async def test_an_event_reaches_each_subscriber_exactly_once(database):
    heard = []

    def listener(name):
        async def handler(delivery):
            heard.append((name, delivery.payload["key"]))

        return Topic(name=name, handler=handler)

    works = Worker(topics=[listener("a.hear"), listener("b.hear")], subscriptions={"sun.rose": ("a.hear", "b.hear")})
    await promise("today", topic="sun.rose", lane="sky")
    await works.run_until_idle()
    assert sorted(heard) == [("a.hear", "today"), ("b.hear", "today")]


async def test_the_loop_works_until_it_is_stopped_and_gives_back_what_it_cannot_end(database):
    begun = asyncio.Event()

    async def handler(delivery):
        begun.set()
        await asyncio.sleep(60)

    await promise("slow")
    works = worker(handler)
    loop = asyncio.create_task(works.run())
    await asyncio.wait_for(begun.wait(), 5)
    works.stop()
    await loop
    await works.drain(grace_seconds=0.05)
    (row,) = await db.fetch("SELECT state, lease FROM kernel_outbox")
    assert (row["state"], row["lease"]) == (outbox.READY, None)
