"""The database restarts, is locked or full: retrying honest people lose nothing they were told, and the service heals by itself."""

import asyncio
import contextlib
import resource
import sqlite3
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.conftest import ENGINE
from tests.reliability import campaign
from tests.reliability.books import Database
from tests.reliability.citizens import Town
from tests.reliability.clients import Honest, honest_people
from tests.reliability.house import House
from tests.services import Postgres

HEALED_WITHIN_SECONDS = 6


async def under_load(house: House, trouble: Callable[[list[Honest]], Awaitable[None]]) -> list[Honest]:
    """Eight honest people work, trouble comes and goes, they work on; then everything they were told is looked for."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        town = Town(session, house.api, house.sandbox_port)
        people = await honest_people(town, 8, patient=True, pause_seconds=0.55)
        stop = asyncio.Event()
        workers = [asyncio.create_task(person.work(stop)) for person in people]
        await asyncio.sleep(1.5)
        await trouble(people)
        over = time.monotonic()
        while any(person.last_success < over for person in people):
            assert time.monotonic() - over < HEALED_WITHIN_SECONDS, "not everybody was served again"
            await asyncio.sleep(0.05)
        healed = time.monotonic() - over
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*workers)
        database = Database(house.database_url)
        print(
            f"{ENGINE}: {sum(p.answered for p in people)} honest answers, everybody served {healed:.2f} s after the trouble"
        )
        assert [failure for person in people for failure in person.failures] == []
        assert [sentence for person in people for sentence in await person.audit(database)] == []
        await one_whole_story(house, town, database)
    return people


async def one_whole_story(house: House, town: Town, database: Database) -> None:
    """Not only the door works again: somebody comes all the way to her certificate, and no promise stays behind."""
    citizen = await town.newcomer()
    await citizen.live()
    await campaign.drained(database, 30)
    assert await house.examine() == []


if ENGINE == "postgres":

    @pytest.fixture
    async def house(tmp_path, redis):
        """A house on a durable server of its own that may crash."""
        server = Postgres(durable=True)
        server.sql("postgres", "CREATE DATABASE zsb")
        running = House(tmp_path, server.url("zsb"), redis_url=redis.url)
        running.server = server
        try:
            await running.start()
            yield running
        finally:
            await running.stop()
            server.stop()

    async def test_the_server_crashes_three_times_under_load(house):
        """Its processes are killed without a farewell and started again after up to a second; nobody restarts ours."""
        pids = {role: life.pid for role, life in house.lives.items()}

        async def crashes(people: list[Honest]) -> None:
            for down_seconds in (0.0, 0.5, 1.0):
                house.server.crash()
                await asyncio.sleep(down_seconds)
                await asyncio.to_thread(house.server.start)
                await asyncio.sleep(1.5)

        await under_load(house, crashes)
        assert {role: life.pid for role, life in house.lives.items()} == pids

    async def test_sessions_are_cut_by_the_operator_under_load(house):
        """`pg_terminate_backend` for everybody, ten times in a row."""

        async def cuts(people: list[Honest]) -> None:
            for _ in range(10):
                await asyncio.to_thread(
                    house.server.sql, "zsb",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zhangshangban'",
                )  # fmt: skip
                await asyncio.sleep(0.25)

        await under_load(house, cuts)

    async def test_a_table_is_locked_for_longer_than_anybody_waits(house):
        """A careless maintenance command holds the drafts; people are told to try again and are served afterwards."""

        async def lock(people: list[Honest]) -> None:
            await asyncio.to_thread(
                house.server.sql,
                "zsb",
                "BEGIN; LOCK TABLE cases_case IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT;",
            )

        await under_load(house, lock)

else:

    async def test_the_api_is_killed_and_started_under_load(house):
        async def deaths(people: list[Honest]) -> None:
            for _ in range(6):
                house.kill("api")
                house.revive("api")
                await asyncio.sleep(0.7)

        await under_load(house, deaths)

    async def test_somebody_else_locks_the_file_for_longer_than_anybody_waits(house):
        """An operator's forgotten transaction in a database tool."""

        async def lock(people: list[Honest]) -> None:
            connection = sqlite3.connect(house.database_url.removeprefix("sqlite://"), isolation_level=None)
            with contextlib.closing(connection):
                connection.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(7)  # busy_timeout is 5 s
                connection.execute("ROLLBACK")

        await under_load(house, lock)

    async def test_the_disk_is_full_and_space_comes_back(house):
        """Writes are refused with 503, reading goes on, and the first write after the clean-up succeeds."""

        async def full(people: list[Honest]) -> None:
            before = sum(person.answered for person in people)
            with no_more_bytes(*(life.pid for life in house.lives.values())):
                await asyncio.sleep(4)
                seen = await somebody_reads(people[0])
            assert seen == 200
            written = sum(person.answered for person in people) - before
            assert written <= len(people), f"{written} writes were acknowledged on a full disk"

        await under_load(house, full)


@contextlib.contextmanager
def no_more_bytes(*pids: int):
    """No file of these processes may grow: what a full disk looks like to them, without being root."""
    soft, hard = resource.prlimit(pids[0], resource.RLIMIT_FSIZE)
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


async def somebody_reads(person: Honest) -> int:
    phone = person.citizen.cast.citizen
    headers = {"Authorization": f"Bearer {phone.token}"}
    async with phone.session.get(f"{phone.base}/api/v1/cases/{person.case_no}", headers=headers) as answer:
        return answer.status
