"""The cache interface over Redis; the only module of ours that imports the client, and only when REDIS_URL is set."""

from typing import Any, cast

# aioredis itself cannot be imported since Python 3.11; this is its continuation inside redis-py.
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

ERRORS: tuple[type[Exception], ...] = (RedisError, OSError)
# Every default of the client would wait seconds; a cache that is slower than the database is not used.
OPTIONS: dict[str, Any] = {
    "socket_timeout": 0.25,
    "socket_connect_timeout": 0.1,
    "health_check_interval": 30,
    "max_connections": 64,
}
_PREFIX = "zsb:"
_COMPARE_AND_DELETE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_INCR = "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n"


def pool(url: str) -> aioredis.ConnectionPool:
    """Connections that fail fast; whoever asks for a pool closes it with `aclose()`."""
    return aioredis.ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **OPTIONS)


class RedisCache:
    """Raises one of ERRORS when Redis does not answer; `FallbackCache` turns that into a miss."""

    def __init__(self, url: str) -> None:
        self._redis = aioredis.Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0), **OPTIONS)

    async def get(self, key: str) -> str | None:
        """The value or None."""
        return cast(str | None, await self._redis.get(_PREFIX + key))

    async def set(self, key: str, value: str, *, ttl_seconds: float) -> None:
        """Stores for a time."""
        await self._redis.set(_PREFIX + key, value, px=max(1, int(ttl_seconds * 1000)))

    async def delete(self, key: str) -> None:
        """Forgets."""
        await self._redis.delete(_PREFIX + key)

    async def compare_and_delete(self, key: str, value: str) -> bool:
        """Forgets only this very value, in one step of the server."""
        return bool(await self._run(_COMPARE_AND_DELETE, key, value))

    async def incr(self, key: str, *, ttl_seconds: float) -> int:
        """Counts from 1; counter and time are set in one step, so that no counter lives for ever."""
        return int(await self._run(_INCR, key, str(max(1, int(ttl_seconds * 1000)))))

    async def close(self) -> None:
        """Closes every connection."""
        await self._redis.aclose()

    async def _run(self, script: str, key: str, argument: str) -> Any:
        return await cast(Any, self._redis.eval(script, 1, _PREFIX + key, argument))
