"""Delayed work that survives a restart: notices with a repeat ladder, expiries. No partner rule lives here."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sandbox.store import Store

# A handler returns True when the matter is settled, False to try again on the next rung of its ladder.
CallbackHandler = Callable[["Callback"], Awaitable[bool]]
_AT_ONCE = 16


@dataclass(frozen=True)
class Callback:
    """One try of a pending callback. `attempts` counts earlier tries (0 = this is the first)."""

    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int


class Callbacks:
    """Runs the pending callbacks of one partner while it is started; each try may end in a later rung of its ladder."""

    def __init__(self, store: Store, scale: Callable[[], float]) -> None:
        self._store = store
        self._scale = scale
        self._handlers: dict[str, tuple[CallbackHandler, tuple[float, ...]]] = {}
        self._wake = asyncio.Event()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def on(self, kind: str, handler: CallbackHandler, *, ladder: tuple[float, ...] = ()) -> None:
        """Register a kind; `ladder` = seconds to wait before the 2nd, 3rd … try, multiplied by time_scale."""
        self._handlers[kind] = (handler, ladder)

    def later(self, kind: str, payload: dict[str, Any], *, after_s: float = 0, scaled: bool = True) -> int:
        """Persist a callback; it runs after `after_s` seconds (times time_scale unless `scaled=False`). Returns its id.

        Call it inside `store.transaction()` together with the fact that it reports: then both are kept or neither.
        """
        wait = after_s * (self._scale() if scaled else 1)
        callback_id = self._store.add_callback(kind, payload, time.time() + wait)
        self._wake.set()
        return callback_id

    async def start(self) -> None:
        """Begin to run what is pending, also what an earlier process left behind."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; a try under way is cut and will be repeated by the next process."""
        tasks = [task for task in (self._loop, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    async def settle(self, timeout_s: float = 10) -> None:
        """Wait until nothing due within the next moment is left (a convenience for tests and `/_control/settle`)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            due_at = self._store.next_callback_at()
            if not self._running and (due_at is None or due_at > time.time() + 0.5):
                return
            await asyncio.sleep(0.01)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            for found in self._store.due_callbacks(time.time()):
                if found["id"] not in self._running and len(self._running) < _AT_ONCE:
                    self._begin(Callback(**found))
            due_at = self._store.next_callback_at()
            # Tries under way wake the loop themselves when they end, so an overdue one need not be polled for.
            wait = 3600.0 if due_at is None else max(0.005, due_at - time.time())
            if due_at is not None and due_at <= time.time() and self._running:
                wait = 0.05
            try:
                # Not wait_for: on Python 3.11 it can swallow the cancellation that ends this loop.
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _begin(self, callback: Callback) -> None:
        task = asyncio.create_task(self._try(callback))
        self._running[callback.id] = task
        task.add_done_callback(lambda _: self._ended(callback.id))

    def _ended(self, callback_id: int) -> None:
        self._running.pop(callback_id, None)
        self._wake.set()

    async def _try(self, callback: Callback) -> None:
        handler, ladder = self._handlers.get(callback.kind, (None, ()))
        note = ""
        try:
            done = True if handler is None else await handler(callback)
        except Exception as error:
            # One broken callback must not stop the others; the reason is kept where /_control/callbacks shows it.
            done, note = False, f"{type(error).__name__}: {error}"
            sys.stderr.write(f"沙箱回调 {self._store.partner}/{callback.kind} 出错：{note}\n")
        attempts = callback.attempts + 1
        if handler is None:
            note = "no handler"
        if done:
            self._store.settle_callback(callback.id, state="done", attempts=attempts, due_at=None, note=note)
        elif callback.attempts < len(ladder):
            due_at = time.time() + ladder[callback.attempts] * self._scale()
            self._store.settle_callback(callback.id, state="pending", attempts=attempts, due_at=due_at, note=note)
        else:
            self._store.settle_callback(callback.id, state="given_up", attempts=attempts, due_at=None, note=note)
