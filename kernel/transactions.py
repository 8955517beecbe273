"""Repairs Tortoise's transaction contexts; installed by `kernel.db` before the first connection.

Upstream (1.1.9) publishes the connection in a context variable and only then awaits BEGIN. When BEGIN fails or is cancelled —
a client hangs up, a deadline passes — `__aexit__` never runs: the connection leaks, and later requests of the same task run
"nested" in a transaction that nobody commits, while they answer 201. Here BEGIN comes first and publishing second, a connection
whose state is in doubt is thrown away, and what must finish is shielded. On SQLite transactions start with BEGIN IMMEDIATE,
because a deferred one fails at once with "database is locked" when two processes read and then write.
"""

import asyncio
import contextlib
import contextvars
import sqlite3
from collections.abc import Coroutine
from typing import Any

import asyncpg
from tortoise.backends.asyncpg import client as postgres
from tortoise.backends.base import client as base
from tortoise.backends.sqlite import client as sqlite
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

_background: set[asyncio.Task[Any]] = set()  # asyncio holds tasks weakly
acquire_seconds: float = 2.0  # set by kernel.db from the settings


def _keep(coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Runs what must finish even if its caller is cancelled, in a clean context."""
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


class CannotConnect(ConnectionError):
    """No connection could be opened: nobody listens, the socket is missing, or the server does not know us."""


async def _ready(context: Any) -> None:
    """Opens the pool on first use. Only here and in `_acquired` does an operating system's error mean the database."""
    try:
        await context.ensure_connection()
    except (OSError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise error if isinstance(error, TimeoutError) else CannotConnect(str(error)) from error


def _one_is_free(pool: Any) -> bool:
    """Whether the next to ask gets an open connection at once: the pool hands out its open ones first."""
    return any(holder.is_connected() for holder in reversed(pool._queue._queue))


async def _acquired(pool: Any) -> Any:
    try:
        # Who does not have to wait for a connection needs no alarm clock, which costs more than the connection.
        return await pool.acquire(timeout=None if _one_is_free(pool) else acquire_seconds)
    except (OSError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise error if isinstance(error, TimeoutError) else CannotConnect(str(error)) from error


async def _commit(client: Any) -> None:
    """Commits and reads the answer: after a caught error PostgreSQL answers ROLLBACK, which is not an error to the driver."""
    transaction = client.transaction
    connection = transaction._connection
    if connection._top_xact is transaction:
        connection._top_xact = None
    answer = await connection.execute("COMMIT") if connection.is_in_transaction() else "no transaction"
    client._finalized = True
    if answer != "COMMIT":
        raise TransactionManagementError(f"the database answered {answer} to COMMIT: an error inside was swallowed")


async def _give_back(pool: Any, connection: Any, *, broken: bool) -> None:
    if broken:
        # A connection that the server has closed is already out of the pool's hands: that is no news, the cause is.
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()
    await pool.release(connection)  # asyncpg shields this itself, so a cancellation cannot leak the slot


async def _pooled_enter(self: Any) -> Any:
    await _ready(self)
    pool = self.client._parent._pool
    connection = self.client._connection = await _acquired(pool)
    try:
        await self.client.begin()
    except BaseException:  # a cancellation is a BaseException
        await _give_back(pool, connection, broken=True)
        raise
    self.token = get_connections().set(self.connection_name, self.client)
    return self.client


def _withdraw(context: Any) -> None:
    """First and always: no later request may see this transaction.

    A generator that was dropped half-way is closed in another context, whose variable never knew of it.
    """
    with contextlib.suppress(ValueError):
        get_connections().reset(context.token)


async def _pooled_exit(self: Any, exc_type: Any, exc: Any, traceback: Any) -> None:
    _withdraw(self)
    pool, connection, broken = self.client._parent._pool, self.client._connection, False
    try:
        if not self.client._finalized:
            if exc_type is None:
                await _commit(self.client)
            else:
                try:
                    await self.client.rollback()
                except Exception:  # the body's own exception is the one to report
                    broken = True
    except BaseException:
        broken = True
        raise
    finally:
        if pool:
            await _give_back(pool, connection, broken=broken)


class _PoolConnection(base.PoolConnectionWrapper):  # type: ignore[type-arg]
    """Single statements also wait for a free connection for a bounded time only."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        await _ready(self)
        self.connection = await _acquired(self.client._pool)
        return self.connection


def _acquire(self: Any) -> _PoolConnection:
    return _PoolConnection(self, self._pool_init_lock)


async def _sqlite_enter(self: Any) -> Any:
    await self._trxlock.acquire()
    released = False
    try:
        await self.ensure_connection()
        begin = _keep(self.connection.begin())
        try:
            await asyncio.shield(begin)
        except BaseException:

            async def undo() -> None:
                # The statement already lies in the connection's thread: wait for it, roll back, free the lock last.
                await asyncio.gather(begin, return_exceptions=True)
                try:
                    await self.connection._connection.rollback()
                finally:
                    self._trxlock.release()

            released = True
            _keep(undo())
            raise
    except BaseException:
        if not released:
            self._trxlock.release()
        raise
    self.token = get_connections().set(self.connection_name, self.connection)
    return self.connection


async def _sqlite_exit(self: Any, exc_type: Any, exc: Any, traceback: Any) -> None:
    _withdraw(self)

    async def end() -> None:
        try:
            if self.connection._finalized:
                return
            if exc_type is None:
                if not self.connection._connection.in_transaction:
                    raise sqlite3.OperationalError("transaction was ended by the engine")
                try:
                    await self.connection.commit()
                except BaseException:
                    # A refused COMMIT (full disk, busy file) leaves the transaction open: it must never be committed later.
                    await self.connection._connection.rollback()
                    raise
            else:
                await self.connection.rollback()
        finally:
            self._trxlock.release()

    await asyncio.shield(_keep(end()))


async def _sqlite_begin(self: Any) -> None:
    try:
        if self._connection.in_transaction:  # an earlier statement left one open: it was never acknowledged
            await self._connection.rollback()
        await self._connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as exc:
        raise TransactionManagementError(exc) from exc


def install() -> None:
    """Puts the repaired contexts in place; safe to call again."""
    base.TransactionContextPooled.__aenter__ = _pooled_enter  # type: ignore[method-assign]
    base.TransactionContextPooled.__aexit__ = _pooled_exit  # type: ignore[method-assign,assignment]
    postgres.AsyncpgDBClient.acquire_connection = _acquire  # type: ignore[method-assign]
    sqlite.SqliteTransactionContext.__aenter__ = _sqlite_enter  # type: ignore[method-assign]
    sqlite.SqliteTransactionContext.__aexit__ = _sqlite_exit  # type: ignore[method-assign,assignment]
    sqlite.SqliteTransactionWrapper.begin = _sqlite_begin  # type: ignore[method-assign]
