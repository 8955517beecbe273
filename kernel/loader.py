"""Coalesces single reads into one statement; under no pressure a batch holds one key and starts at once.

A statement's price is mostly the way to the database and back. Therefore the next one starts when the last has returned, when
enough keys wait, or when they have waited long enough: the busier it is, the more keys share a way.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_ENOUGH = 8
_PATIENCE_SECONDS = 0.005


class Loader(Generic[K, V]):
    """`load(key)` answers the row or None. Whoever may see a row must be part of the key and of the SQL, never filtered afterwards."""

    def __init__(
        self, fetch_many: Callable[[list[K]], Awaitable[dict[K, V]]], *, in_flight: int = 4, most: int = 64
    ) -> None:
        self._fetch_many = fetch_many
        self._limit, self._most = in_flight, most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[K, list[asyncio.Future[V | None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._hurry: asyncio.TimerHandle | None = None

    async def load(self, key: K) -> V | None:
        """Asks and waits."""
        return await self.ask(key)

    def ask(self, key: K) -> "asyncio.Future[V | None]":
        """One future per waiter, so that a caller who hangs up disturbs nobody else."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        waiter: asyncio.Future[V | None] = loop.create_future()
        self._pending.setdefault(key, []).append(waiter)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._kick)
        return waiter

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """A process has one loop; tests have many, and what a dead one left must not stop the next."""
        self._loop, self._pending, self._running, self._scheduled, self._hurry = loop, {}, set(), False, None

    def _kick(self) -> None:
        self._scheduled = False
        while self._pending and (not self._running or len(self._pending) >= _ENOUGH):
            if len(self._running) >= self._limit:
                return  # the next one that ends goes on
            self._start()
        if self._pending and self._hurry is None:
            self._hurry = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._waited_long_enough)

    def _start(self) -> None:
        keys = list(self._pending)[: self._most]
        batch = {key: self._pending.pop(key) for key in keys}
        # A clean context: a batch must not join the transaction of whoever happened to ask first.
        task = asyncio.get_running_loop().create_task(self._run(batch), context=contextvars.Context())
        self._running.add(task)
        task.add_done_callback(self._ended)
        if not self._pending and self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def _waited_long_enough(self) -> None:
        self._hurry = None
        if self._pending and len(self._running) < self._limit:
            self._start()
        self._kick()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._pending:
            self._kick()

    async def _run(self, batch: dict[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._fetch_many(list(batch))
        except Exception as error:
            for waiters in batch.values():
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(error)
            return
        for key, waiters in batch.items():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(found.get(key))
