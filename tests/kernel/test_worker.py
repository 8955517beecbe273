"""The worker when things go wrong around it: outages, clocks that disagree, topics that would fill every place."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from kernel import clock, db, outbox
from kernel.outbox import Topic
from kernel.worker import Worker
from tests.conftest import ENGINE


async def promise(*keys: str, topic: str = "note", lane: str | None = None) -> None:
    async with db.transaction():
        for key in keys:
            await outbox.publish(topic, key=key, payload={"key": key}, lane=lane)


async def test_a_topic_never_runs_more_rows_at_once_than_it_may(database):
    """One claim may bring many rows of one topic; a slow partner must not fill every place."""
    now = most = done = 0
    others = []

    async def slow(delivery):
        nonlocal now, most, done
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        done += 1

    async def quick(delivery):
        others.append((delivery.key, done))

    await promise(*(f"s{n}" for n in range(20)), topic="slow")
    await promise(*(f"q{n}" for n in range(3)), topic="quick")
    topics = [Topic(name="slow", handler=slow, concurrency=2), Topic(name="quick", handler=quick)]
    await Worker(topics=topics, subscriptions={}, capacity=6).run_until_idle()
    assert most == 2
    assert done == 20
    assert all(after < 10 for _, after in others), "the quick ones waited for the slow ones"
    rows = await db.fetch("SELECT DISTINCT attempts, crashes FROM kernel_outbox")
    assert rows == [{"attempts": 1, "crashes": 0}]


class _Fast(clock.SystemClock):
    """A machine whose clock is ten minutes ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=10)


async def test_a_worker_with_a_wrong_clock_keeps_its_rows(database):
    """Leases are judged by the database's clock, so they must be extended by it too."""
    await promise("a")
    (held,) = await outbox.claim(1, lease_ms=4000)
    if ENGINE == "postgres":  # on SQLite all processes share one machine and its clock
        clock.set_clock(_Fast())
    try:
        assert await outbox.extend(held, lease_ms=4000)
    finally:
        clock.set_clock(None)
    assert await outbox.claim_suspect(lease_ms=4000, longest_lease_ms=4000) is None


@pytest.fixture
async def outage(request, database, database_url):
    """Two calls: the database goes away, and comes back."""
    if ENGINE == "postgres":
        server = request.getfixturevalue("postgres")
        yield server.halt, server.start
        return
    await db.fetch("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
    yield lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK")
    other.close()


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_an_outage_while_a_row_is_worked_is_no_crash_of_ours(outage, ends):
    """Three restarts of the database used to bring innocent rows to the dead list as if they had killed their process."""
    go_away, come_back = outage
    runs = 0

    async def handler(delivery):
        nonlocal runs
        runs += 1
        if runs == 1:
            go_away()
            if ends == "badly":
                raise ValueError("the partner is away too")

    await promise("a")
    works = Worker(topics=[Topic(name="note", handler=handler)], subscriptions={}, lease_seconds=2)
    loop = asyncio.create_task(works.run())
    await asyncio.sleep(1)
    come_back()
    async with asyncio.timeout(20):
        while (await _row())["state"] != outbox.DONE:
            await asyncio.sleep(0.05)
    works.stop()
    await loop
    assert (await _row())["crashes"] == 0
    assert runs == (1 if ends == "well" else 2)


async def _row() -> dict:
    try:
        return (await db.fetch("SELECT state, crashes, attempts, lease, error, run_at FROM kernel_outbox"))[0]
    except Exception as error:
        assert db.is_outage(error) or error.code == "database-unavailable"
        return {"state": None}


async def test_a_handler_that_is_cancelled_from_inside_waits_like_any_failure(database):
    """A cancelled future of a library is not our shutdown: without a pause the row would spin."""
    tried_ms = []

    async def handler(delivery):
        tried_ms.append(clock.now_ms())
        raise asyncio.CancelledError

    await promise("a")
    works = Worker(topics=[Topic(name="note", handler=handler)], subscriptions={})
    loop = asyncio.create_task(works.run())
    async with asyncio.timeout(20):
        while not (row := await _row())["error"] or row["lease"]:
            await asyncio.sleep(0.01)
    works.stop()
    await loop
    await works.drain(1)
    row = await _row()
    assert (row["state"], row["crashes"], row["attempts"]) == (outbox.READY, 0, len(tried_ms))
    assert "CancelledInside" in row["error"]
    assert row["run_at"] - tried_ms[-1] >= 800


async def test_a_handler_that_hangs_is_ended_by_its_topics_deadline(database):
    async def handler(delivery):
        await asyncio.sleep(60)

    await promise("a")
    works = Worker(topics=[Topic(name="note", handler=handler, timeout_seconds=0.05)], subscriptions={})
    await works.run_until_idle()
    (row,) = await db.fetch("SELECT state, error, lease FROM kernel_outbox")
    assert (row["state"], row["lease"]) == (outbox.READY, None)
    assert "TimeoutError" in row["error"]


async def test_who_lost_its_lease_is_stopped_by_the_heartbeat(database):
    stopped = asyncio.Event()

    async def handler(delivery):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    await promise("a")
    works = Worker(topics=[Topic(name="note", handler=handler)], subscriptions={}, lease_seconds=0.3)
    loop = asyncio.create_task(works.run())
    await asyncio.sleep(0.1)
    await db.execute("UPDATE kernel_outbox SET lease = 'another', run_at = ?", clock.now_ms() + 60_000)
    await asyncio.wait_for(stopped.wait(), 5)
    works.stop()
    await loop
    (row,) = await db.fetch("SELECT lease FROM kernel_outbox")
    assert row["lease"] == "another"
