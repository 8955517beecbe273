"""What means 'the database did not do it now, ask again' and what is a bug of ours; and a commit that did not happen is told."""

import asyncio
import contextlib
import sqlite3

import asyncpg
import pytest
import tortoise.exceptions as orm

from kernel import db, ids
from kernel.models import InboxRow
from kernel.problems import DatabaseUnavailable
from tests.conftest import ENGINE, TESTED_APPS, settings_for
from tests.services import free_port

BUGS = [
    asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    asyncpg.InternalClientError("cannot switch to state 13; another operation (12) is in progress"),
    asyncpg.exceptions._base.DataError("invalid input for query argument $1: 'x' (an integer is required)"),
    asyncpg.UndefinedTableError("relation does not exist"),
    asyncpg.NumericValueOutOfRangeError("integer out of range"),
    orm.OperationalError(sqlite3.OperationalError("no such table: x")),
    FileNotFoundError(2, "No such file or directory", "photo.jpg"),
    PermissionError(13, "Permission denied"),
    KeyError("x"),
]
OUTAGES = [
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InterfaceError("cannot call Transaction.rollback(): the underlying connection is closed"),
    asyncpg.InternalClientError('cannot switch to state 13; protocol is in the "failed" state'),
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.PostgresIOError("could not read block"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    ConnectionRefusedError(111, "Connection refused"),
    TimeoutError(),
    orm.OperationalError(sqlite3.OperationalError("database is locked")),
    orm.TransactionManagementError(sqlite3.OperationalError("database is locked")),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.OperationalError("unable to open database file"),
]


@pytest.mark.parametrize("error", BUGS, ids=str)
def test_a_bug_is_not_reported_as_an_outage(error):
    """An outage is answered 503 'the same again, please' and repeated by the outbox for days; a bug must be seen."""
    assert not db.is_outage(error)


@pytest.mark.parametrize("error", OUTAGES, ids=lambda e: f"{type(e).__name__}: {e}")
def test_an_outage_is_not_reported_as_a_bug(error):
    assert db.is_outage(error)


async def test_a_value_of_the_wrong_type_is_a_bug_on_the_wire_too(database):
    if ENGINE == "postgres":  # SQLite takes any value anywhere
        with pytest.raises(orm.OperationalError):
            await db.fetch("SELECT id FROM kernel_outbox WHERE id = ?", "text")
    with pytest.raises((orm.OperationalError, orm.ParamsError, sqlite3.ProgrammingError, asyncpg.InterfaceError)):
        await db.fetch("SELECT id FROM kernel_outbox WHERE id = ? AND topic = ?", 1)


async def test_a_commit_that_did_not_happen_is_told(database):
    """A caught error leaves a PostgreSQL transaction aborted; its COMMIT answers ROLLBACK, which must not look like success."""

    async def careless() -> None:
        async with db.transaction():
            await ids.next_serial("lost")
            with contextlib.suppress(orm.IntegrityError):
                await db.execute("INSERT INTO kernel_serial (scope, value) VALUES ('lost', 1)")

    if ENGINE == "postgres":
        with pytest.raises(orm.TransactionManagementError):
            await careless()
        assert await ids.next_serial("lost") == 1
        assert not await db.fetch("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'")
    else:
        await careless()
        assert await ids.next_serial("lost") == 2


async def test_a_transaction_that_the_engine_ended_by_itself_is_not_reported_as_written(database):
    """SQLite rolls back by itself on a full disk; whoever catches that error must not be told that all is well."""
    told = DatabaseUnavailable if ENGINE == "sqlite" else orm.TransactionManagementError

    async def careless() -> None:
        async with db.transaction():
            await ids.next_serial("lost")
            await db.execute("ROLLBACK")

    with pytest.raises(told):
        await careless()
    async with db.transaction():
        await ids.next_serial("kept")
    assert await ids.next_serial("kept") == 2


@pytest.mark.parametrize("leaving", ["commit", "rollback"])
async def test_a_session_that_is_cut_inside_a_transaction_is_an_outage(database, database_url, leaving):
    """Giving back a connection that the server has closed used to hide the cause behind an error of its own."""
    if ENGINE != "postgres":
        return  # SQLite has no sessions
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction():
                await ids.next_serial("cut")
                mine = (await db.fetch("SELECT pg_backend_pid() AS pid"))[0]["pid"]
                other = await asyncpg.connect(database_url)
                await other.execute(f"SELECT pg_terminate_backend({mine})")
                await other.close()
                await asyncio.sleep(0.05)
                if leaving == "rollback":
                    await db.fetch("SELECT 1")
    assert await ids.next_serial("cut") == 1


async def test_a_full_disk_is_an_outage_that_loses_nothing_acknowledged_and_passes(database):
    if ENGINE != "sqlite":
        return  # PostgreSQL's own errors are in the table above
    pages = (await db.fetch("PRAGMA page_count"))[0]["page_count"]
    await db.fetch(f"PRAGMA max_page_count = {pages}")

    async def write(n: int) -> None:
        async with db.transaction():
            await InboxRow.create(partner="p", external_id=str(n), headers={}, body="x" * 20_000)

    for n in range(3):
        with pytest.raises(DatabaseUnavailable):
            await write(n)
    await db.fetch("PRAGMA max_page_count = 1000000")
    await write(9)
    assert [row.external_id for row in await InboxRow.all()] == ["9"]


async def test_a_file_that_another_process_holds_is_an_outage_that_passes(database, database_url):
    if ENGINE != "sqlite":
        return
    await db.fetch("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        async with db.transaction():
            await ids.next_serial("a")
    with pytest.raises(DatabaseUnavailable):
        await ids.next_serial("a")
    other.execute("ROLLBACK")
    other.close()
    assert await ids.next_serial("a") == 1


async def test_nobody_listening_is_an_outage():
    with pytest.raises(DatabaseUnavailable):
        await db.connect(settings_for(f"postgres://zsb@127.0.0.1:{free_port()}/x"), TESTED_APPS)
    await db.close()


async def test_a_missing_socket_folder_is_an_outage(tmp_path):
    with pytest.raises(DatabaseUnavailable):
        await db.connect(settings_for(f"postgres://zsb@/x?host={tmp_path}"), TESTED_APPS)
    await db.close()


async def test_a_stream_that_is_dropped_inside_a_transaction_does_not_keep_it(database):
    """The loop closes a dropped generator in another context; the connection must come back all the same."""

    async def pour():
        async with db.transaction():
            await ids.next_serial("poured")
            yield 1

    async def drop() -> None:
        stream = pour()
        async for _ in stream:
            break
        await asyncio.create_task(stream.aclose())

    for _ in range(12):
        await asyncio.create_task(drop())
    async with asyncio.timeout(5), db.transaction():
        assert await ids.next_serial("poured") == 1


async def test_an_error_of_the_body_keeps_its_own_name(database):
    with pytest.raises(FileNotFoundError):
        async with db.transaction():
            raise FileNotFoundError("photo.jpg")
