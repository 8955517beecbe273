"""A timer is a row per slot: any number of workers run each slot once."""

from kernel import db, jobs, outbox
from kernel.worker import Worker


async def test_a_slot_is_run_once_however_many_workers_plant_it(database, frozen_clock):
    runs = []

    async def run():
        runs.append(1)

    job = jobs.Job(name="sweep", every_seconds=60, run=run)
    for _ in range(3):
        await jobs.plant((job,))
    works = Worker(topics=[], subscriptions={}, recurring=(job,))
    await works.run_until_idle()
    assert len(runs) == 1
    frozen_clock.advance(seconds=60)
    await jobs.plant((job,))
    await works.run_until_idle()
    assert len(runs) == 2


async def test_a_tick_that_keeps_failing_is_left_to_later_slots(database, frozen_clock):
    async def run():
        raise ValueError("not today")

    job = jobs.Job(name="sweep", every_seconds=60, run=run)
    works = Worker(topics=[], subscriptions={}, recurring=(job,))
    await jobs.plant((job,))
    for _ in range(5):
        await works.run_until_idle()
        frozen_clock.advance(seconds=40)
    (row,) = await db.fetch("SELECT state, error FROM kernel_outbox")
    assert row["state"] == outbox.DONE
    assert "not today" in row["error"]
    assert await outbox.dead() == []
