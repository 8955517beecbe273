"""Lives of our process in a world: each runs until a statement or a call at which it is killed, and leaves what it committed.

A killed life is not cleaned up: its tasks never run again (no `finally`, no roll-back of ours), its connections just end, and
the next life finds the database as the kill left it. Dead tasks are kept for ever, because collecting one would run its `finally`.
"""

import asyncio
import contextlib
import functools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import aiosqlite.core
import asyncpg
import asyncpg.pool
import tortoise.context

from kernel import db
from kernel.settings import DatabaseSettings

T = TypeVar("T")
GRAVEYARD: list[object] = []


class Killed(Exception):
    """The life ended; the words say where."""


class Lives:
    """The processes of one world, one after the other."""

    def __init__(self, settings: DatabaseSettings, apps: dict[str, list[str]]) -> None:
        self._settings, self._apps = settings, apps
        self._left: int | None = None  # statements and calls until the kill
        self._only: str | None = None  # count only steps of this kind
        self._death: asyncio.Future[str] | None = None
        self.shuffle: Random | None = None  # draws how long a statement waits while several things run at once
        self.raw: list[Any] = []  # SQLite connections of the present life
        self.kills: list[str] = []
        self.last_word: Callable[[str], None] | None = None  # set where the kill is a real one
        self.steps = 0
        self._lock, self._holder = asyncio.Lock(), None

    async def begin(self) -> None:
        """A new process connects."""
        await db.connect(self._settings, self._apps)

    async def end(self) -> None:
        """An orderly shutdown, at the end of the world."""
        await db.close()

    def arm(self, after: int, only: str | None = None) -> None:
        """The present life is killed at the n-th step from now (of one kind: "statement", "commit", "sent", "answered")."""
        self._left, self._only = after, only

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One answer of PostgreSQL is waited for at a time: its speed then decides nothing, and a seed is the same world again."""
        task = asyncio.current_task()
        if self._holder is task:
            yield
            return
        lock = self._lock
        async with lock:
            self._holder = task
            try:
                yield
            finally:
                if lock is self._lock:
                    self._holder = None

    def disarm(self) -> None:
        self._left = None

    async def step(self, kind: str, what: str = "") -> None:
        """A point at which the process may die; statements also wait here for their turn while several things run at once."""
        self.steps += 1
        if self._death is not None and self._death.done():
            await asyncio.Event().wait()
        if self._death is not None and self._left is not None and self._only in (None, kind):
            self._left -= 1
            if self._left < 0:
                self._left = None
                if self.last_word is not None:
                    self.last_word(f"{kind} {what}".strip())
                    os.kill(os.getpid(), signal.SIGKILL)
                self._death.set_result(f"{kind} {what}".strip())
                await asyncio.Event().wait()
        if self.shuffle is not None:
            for _ in range(self.shuffle.randrange(4)):
                await asyncio.sleep(0)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a piece of work in the present life. Raises Killed, and then the next life has begun."""
        loop = asyncio.get_running_loop()
        self._death = loop.create_future()
        task = loop.create_task(work)
        await asyncio.wait({task, self._death}, return_when=asyncio.FIRST_COMPLETED)
        if not self._death.done():
            self._death = None
            return task.result()
        where = self._death.result()
        self._bury(loop)
        self._lock, self._holder = asyncio.Lock(), None
        self._death = None
        self.kills.append(where)
        await self.begin()
        raise Killed(where)

    def _bury(self, loop: Any) -> None:
        dead = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        for task in dead:
            task._log_destroy_pending = False
        _cut(loop)
        for connection in self.raw:
            connection.die()
        self.raw.clear()
        # What was ready to run, and every timer, belonged to the dead.
        GRAVEYARD.extend([dead, list(loop._ready), list(loop._scheduled), tortoise.context.get_current_context()])
        for handle in loop._ready:
            handle._cancelled = True  # the loop passes over it; `cancel()` would let go of what it holds
        loop._scheduled.clear()
        tortoise.context._global_context = None
        tortoise.context._current_context.set(None)


def _cut(loop: Any) -> None:
    """The kernel closes the sockets of a dead process, also those that were only just being opened; nobody here is told."""
    own = loop._ssock.fileno()
    for descriptor in [key for key in loop._selector.get_map() if key != own]:
        loop._remove_reader(descriptor)
        loop._remove_writer(descriptor)
        with socket.socket(fileno=os.dup(descriptor)) as cut, contextlib.suppress(OSError):
            cut.shutdown(socket.SHUT_RDWR)
        transport = loop._transports.pop(descriptor, None)
        if transport is not None:
            GRAVEYARD.append(transport)
            transport._sock.close()


class _InPlace(aiosqlite.core.Connection):
    """Runs each statement where it stands instead of handing it to a thread: the order of everything follows from the seed."""

    lives: Lives

    def __init__(self, connector: Any, iter_chunk_size: int, loop: Any = None) -> None:
        self._running, self._connection, self._connector = True, None, connector
        self._iter_chunk_size = iter_chunk_size

    def __await__(self) -> Any:
        return self._open().__await__()

    async def _open(self) -> "_InPlace":
        self._connection = self._connector()
        self.lives.raw.append(self)
        return self

    async def _execute(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        name = getattr(function, "__name__", "")
        if name in ("execute", "executemany", "executescript", "_execute_insert", "_execute_fetchall"):
            await self.lives.step("statement", _short(args))
        elif name == "commit":
            await self.lives.step("commit")
        return function(*args, **kwargs)

    def die(self) -> None:
        connection, self._connection, self._running = self._connection, None, False
        if connection is not None:
            connection.close()  # what was not committed is gone

    def stop(self) -> None:
        self.die()

    async def close(self) -> None:
        self.die()
        if self in self.lives.raw:
            self.lives.raw.remove(self)

    def __del__(self) -> None:
        pass


def install(lives: Lives) -> Callable[[], None]:
    """Puts the steps under both drivers; answers what takes them away again."""
    saved = aiosqlite.core.Connection, aiosqlite.Connection
    executed, ran, opened = (
        asyncpg.Connection._execute,
        asyncpg.Connection.execute,
        asyncpg.pool.Pool._get_new_connection,
    )
    _InPlace.lives = lives
    aiosqlite.core.Connection = aiosqlite.Connection = _InPlace  # type: ignore[misc]

    @functools.wraps(executed)
    async def stepped(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        await lives.step("statement", query[:40])
        async with lives.turn():
            return await executed(self, query, *args, **kwargs)

    @functools.wraps(ran)
    async def commanded(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        if args:
            return await ran(self, query, *args, **kwargs)
        await lives.step("commit" if query == "COMMIT" else "statement", query[:40])
        async with lives.turn():
            return await ran(self, query, *args, **kwargs)

    async def connected(self: Any) -> Any:
        async with lives.turn():
            return await opened(self)

    asyncpg.Connection._execute, asyncpg.Connection.execute = stepped, commanded
    asyncpg.pool.Pool._get_new_connection = connected

    def remove() -> None:
        aiosqlite.core.Connection, aiosqlite.Connection = saved
        asyncpg.Connection._execute, asyncpg.Connection.execute = executed, ran
        asyncpg.pool.Pool._get_new_connection = opened

    return remove


def _short(args: tuple[Any, ...]) -> str:
    return str(args[0])[:40] if args else ""
