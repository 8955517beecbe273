"""A small cache in front of the database: memory of this process, or Redis; never needed for correctness."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import structlog

from kernel import clock, metrics
from kernel.config import setting

log = structlog.get_logger(__name__)
_FALLBACKS = metrics.counter("redis_fallbacks", "Times Redis was not used because it failed", "use")
# After a failure Redis is left alone for a moment, or every request would pay the deadline of a silent server.
_REST_SECONDS = 2.0
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """Where Redis is, if there is one."""

    url: str = setting(
        "REDIS_URL", help="Redis 地址，例如 redis://127.0.0.1:6379/0；不设置则只用本进程内存", default="", secret=True
    )

    def __post_init__(self) -> None:
        """Only what the client understands."""
        if self.url and not self.url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("REDIS_URL 必须以 redis://、rediss:// 或 unix:// 开头")


class Cache(Protocol):
    """What callers may rely on. A value may vanish at any moment; `incr` may count per process while Redis is away."""

    async def get(self, key: str) -> str | None: ...
    async def set(self, key: str, value: str, *, ttl_seconds: float) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def compare_and_delete(self, key: str, value: str) -> bool: ...
    async def incr(self, key: str, *, ttl_seconds: float) -> int: ...
    async def close(self) -> None: ...


class MemoryCache:
    """The cache of one process, bounded; the least recently written goes first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def get(self, key: str) -> str | None:
        """The value, unless it has run out."""
        entry = self._live(key)
        return None if entry is None else entry[1]

    async def set(self, key: str, value: str, *, ttl_seconds: float) -> None:
        """Stores for a time."""
        self._put(key, clock.monotonic() + ttl_seconds, value)

    async def delete(self, key: str) -> None:
        """Forgets."""
        self._entries.pop(key, None)

    async def compare_and_delete(self, key: str, value: str) -> bool:
        """Forgets only this very value."""
        entry = self._live(key)
        if entry is None or entry[1] != value:
            return False
        del self._entries[key]
        return True

    async def incr(self, key: str, *, ttl_seconds: float) -> int:
        """Counts from 1; the time starts with the first."""
        entry = self._live(key)
        until, count = entry if entry else (clock.monotonic() + ttl_seconds, "0")
        self._put(key, until, str(int(count) + 1))
        return int(count) + 1

    async def close(self) -> None:
        """Nothing is held."""

    def _live(self, key: str) -> tuple[float, str] | None:
        entry = self._entries.get(key)
        if entry is not None and entry[0] <= clock.monotonic():
            del self._entries[key]
            return None
        return entry

    def _put(self, key: str, until: float, value: str) -> None:
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        if len(self._entries) > _MOST_ENTRIES:
            self._entries.popitem(last=False)


class Rest:
    """Remembers that Redis has just failed, so that the next callers do not wait for it."""

    def __init__(self, use: str) -> None:
        self._use = use
        self._until = 0.0

    def over(self) -> bool:
        """Whether Redis may be asked."""
        return clock.monotonic() >= self._until

    def begin(self, error: Exception) -> None:
        """Redis failed: count it, and leave it alone for a moment."""
        self._until = clock.monotonic() + _REST_SECONDS
        _FALLBACKS.labels(self._use).inc()
        log.warning("redis.unavailable", kind=self._use, error=type(error).__name__)


class FallbackCache:
    """The shared cache while it answers, this process's memory while it does not."""

    def __init__(self, shared: Cache, errors: tuple[type[Exception], ...]) -> None:
        self._shared, self._errors = shared, errors
        self._memory, self._rest = MemoryCache(), Rest("cache")

    async def get(self, key: str) -> str | None:
        """The value, or None while Redis is away and this process has not written it."""
        if self._rest.over():
            try:
                return await self._shared.get(key)
            except self._errors as error:
                self._rest.begin(error)
        return await self._memory.get(key)

    async def set(self, key: str, value: str, *, ttl_seconds: float) -> None:
        """Stores for a time."""
        if self._rest.over():
            try:
                return await self._shared.set(key, value, ttl_seconds=ttl_seconds)
            except self._errors as error:
                self._rest.begin(error)
        return await self._memory.set(key, value, ttl_seconds=ttl_seconds)

    async def delete(self, key: str) -> None:
        """Forgets here and, if it answers, there. While Redis is away the shared copy lives until its time is up."""
        await self._memory.delete(key)
        if self._rest.over():
            try:
                await self._shared.delete(key)
            except self._errors as error:
                self._rest.begin(error)

    async def compare_and_delete(self, key: str, value: str) -> bool:
        """Forgets only this very value."""
        here = await self._memory.compare_and_delete(key, value)
        if self._rest.over():
            try:
                return await self._shared.compare_and_delete(key, value) or here
            except self._errors as error:
                self._rest.begin(error)
        return here

    async def incr(self, key: str, *, ttl_seconds: float) -> int:
        """Counts from 1."""
        if self._rest.over():
            try:
                return await self._shared.incr(key, ttl_seconds=ttl_seconds)
            except self._errors as error:
                self._rest.begin(error)
        return await self._memory.incr(key, ttl_seconds=ttl_seconds)

    async def close(self) -> None:
        """Closes the connection."""
        await self._shared.close()


def open_cache(settings: RedisSettings) -> Cache:
    """Memory without REDIS_URL; with it Redis, whose client is only imported then (it costs 21 MB)."""
    if not settings.url:
        return MemoryCache()
    from kernel import redis_cache

    return FallbackCache(redis_cache.RedisCache(settings.url), redis_cache.ERRORS)
