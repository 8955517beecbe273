"""Public pages of the catalogue kept for a few seconds: clients may keep them for a minute, so this process may too."""

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from backend.catalog.views import Prebuilt
from kernel import clock

SECONDS = 5.0
_MOST = 512

_pages: OrderedDict[Hashable, tuple[float, "asyncio.Task[Prebuilt]"]] = OrderedDict()


def at_hand(key: Hashable) -> Prebuilt | None:
    """The page under this key if it is here, finished and fresh."""
    known = _pages.get(key)
    if known is None or not known[1].done() or clock.monotonic() >= known[0]:
        return None
    return known[1].result()


async def page(key: Hashable, make: Callable[[], Awaitable[Prebuilt]]) -> Prebuilt:
    """The page under this key, made at most once in a few seconds however many ask; a failure is not kept."""
    known = _pages.get(key)
    now = clock.monotonic()
    if known is not None and now < known[0]:
        # Shared by many: one who hangs up must not take it from the others.
        return known[1].result() if known[1].done() else await asyncio.shield(known[1])
    making = asyncio.get_running_loop().create_task(_run(make), context=contextvars.Context())
    making.add_done_callback(lambda task: _drop_failed(key, task))
    _pages[key] = (now + SECONDS, making)
    _pages.move_to_end(key)
    while len(_pages) > _MOST:
        _pages.popitem(last=False)
    return await asyncio.shield(making)


async def _run(make: Callable[[], Awaitable[Prebuilt]]) -> Prebuilt:
    return await make()


def _drop_failed(key: Hashable, task: "asyncio.Task[Prebuilt]") -> None:
    if (task.cancelled() or task.exception() is not None) and key in _pages and _pages[key][1] is task:
        del _pages[key]


def forget() -> None:
    """Something was published in this process; other processes follow within seconds."""
    _pages.clear()
