"""Several real processes on one database: nobody fails, nothing is lost, and whoever is killed is replaced."""

import asyncio
import os
import random
import signal
import sys

from deploy.local.processes import ROOT
from kernel import db, ids, outbox
from tests.conftest import TESTED_APPS, settings_for
from tests.kernel import killable

ROWS = 120


async def child(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kernel.killable", *arguments, cwd=ROOT, env={**os.environ, "TEST_APPS": ",".join(TESTED_APPS)}
    )  # fmt: skip


async def test_three_processes_that_read_and_then_write_never_fail_and_never_lose(database_url):
    """With the ORM's own deferred BEGIN most of these end with 'database is locked' at once."""
    children = [await child("count", database_url, "100") for _ in range(3)]
    assert await asyncio.gather(*(one.wait() for one in children)) == [0, 0, 0]
    await db.connect(settings_for(database_url), TESTED_APPS)
    assert await ids.next_serial("shared") == 301
    await db.close()


async def test_workers_that_are_killed_again_and_again_do_every_row_exactly_once(database):
    """One more row kills its process by itself: that one dies, and only that one."""
    async with db.transaction():
        for n in range(ROWS):
            await outbox.publish(
                "kill.effect", key=f"row-{n}", payload={}, lane=f"lane-{n % 5}" if n % 3 == 0 else None
            )
        await outbox.publish("kill.process", key="killer", payload={})
    url = killable.url_of_this_database()
    workers = [await child("work", url) for _ in range(2)]
    kills, dice = 0, random.Random(620981)
    try:
        async with asyncio.timeout(90):
            while (await _count("state = 0")) > 0:
                await asyncio.sleep(0.25)
                for place, worker in enumerate(workers):
                    if kills < 6 and worker.returncode is None and dice.random() < 0.3:
                        worker.send_signal(signal.SIGKILL)
                        await worker.wait()
                        kills += 1
                    if worker.returncode is not None:
                        workers[place] = await child("work", url)
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    assert kills == 6
    assert await _count("state = 1") == ROWS
    assert [row["key"] for row in await outbox.dead()] == ["killer"]
    effects = await db.fetch("SELECT scope, value FROM kernel_serial WHERE scope LIKE 'row-%'")
    assert len(effects) == ROWS
    assert {row["value"] for row in effects} == {1}, "an effect happened twice"
    order = await db.fetch("SELECT external_id, partner FROM kernel_inbox ORDER BY id")
    for lane in range(5):
        of_lane = [int(row["external_id"].split("-")[1]) for row in order if row["partner"] == f"lane-{lane}"]
        assert of_lane == sorted(of_lane), "a lane was not worked in order"


async def _count(condition: str) -> int:
    return (await db.fetch(f"SELECT COUNT(*) AS n FROM kernel_outbox WHERE {condition}"))[0]["n"]
