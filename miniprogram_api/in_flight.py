"""The requests being worked on: how many, how to wait for them, and who ends those that take too long."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

_LOOK_EVERY_SECONDS = 0.25
_OVERDUE = "overdue"


class InFlight:
    """Work in the order it came. One look at the oldest, four times a second, stands for a timer per request."""

    def __init__(self, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._until: dict[asyncio.Future[Any], float] = {}
        self._looking = False

    def __len__(self) -> int:
        return len(self._until)

    async def result(self, task: asyncio.Task[Any], *, unheard: Callable[[BaseException], None] | None = None) -> Any:
        """The task's result. A caller who hangs up never interrupts it; after the deadline TimeoutError is raised.

        `unheard` is told the exception of a task whose caller has gone before it ended.
        """
        self._take(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if _was_overdue(task):
                raise TimeoutError from None
            task.add_done_callback(partial(_tell, unheard))
            raise

    async def arrival(self, reading: asyncio.Future[Any]) -> Any:
        """What somebody else is reading for this caller, who may hang up without disturbing it. Late: TimeoutError."""
        self._take(reading)
        try:
            return await reading
        except asyncio.CancelledError:
            if _was_overdue(reading):
                raise TimeoutError from None
            raise

    def _take(self, work: asyncio.Future[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._until[work] = loop.time() + self._deadline_seconds
        work.add_done_callback(self._ended)
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_EVERY_SECONDS, self._look)

    async def drain(self, seconds: float) -> None:
        """Waits for commands whose caller may already have hung up."""
        if self._until:
            await asyncio.wait(list(self._until), timeout=seconds)

    def _ended(self, work: asyncio.Future[Any]) -> None:
        del self._until[work]

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for work, until in self._until.items():
            if until > now:
                break  # all that follow came later
            if not (isinstance(work, asyncio.Task) and work.cancelling()):
                work.cancel(_OVERDUE)
        self._looking = bool(self._until)
        if self._looking:
            loop.call_later(_LOOK_EVERY_SECONDS, self._look)


def _tell(unheard: Callable[[BaseException], None] | None, task: asyncio.Task[Any]) -> None:
    """An exception that nobody asks for would be reported by the event loop in its own words."""
    if not task.cancelled() and (error := task.exception()) is not None and unheard is not None:
        unheard(error)


def _was_overdue(work: asyncio.Future[Any]) -> bool:
    """Whether it was ended by its deadline, not by the caller or the end of the process."""
    if not work.cancelled():
        return False
    try:
        work.result()
    except asyncio.CancelledError as error:
        return error.args == (_OVERDUE,)
    return False
