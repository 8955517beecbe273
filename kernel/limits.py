"""How often something may be tried, by name and by whom; shared through Redis where there is one, else per process."""

import functools
from typing import Any

import limits as lib
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from kernel import clock, crypto
from kernel.cache import RedisSettings, Rest
from kernel.problems import TooMany

_SWEEP_SECONDS = 10.0


@functools.lru_cache(maxsize=256)
def _parsed(rates: str) -> tuple[lib.RateLimitItem, ...]:
    return tuple(lib.parse_many(rates))


class _Memory(MemoryStorage):
    """The library's memory storage with a bounded clean-up: its own walks over every key after every single hit."""

    _next_sweep = 0.0

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the name the library calls
        now = clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_SECONDS
        for key in list(self.expirations):
            await self.get(key)  # forgets it when its time is up


class Limiter:
    """Counts attempts. `check` is one attempt; whom it belongs to is stored as a keyed hash only."""

    def __init__(self, settings: RedisSettings) -> None:
        self._memory = SlidingWindowCounterRateLimiter(_Memory())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._errors: tuple[type[Exception], ...] = ()
        self._rest = Rest("limits")
        self._pool: Any = None
        if settings.url:
            from kernel import redis_cache

            self._pool = redis_cache.pool(settings.url)
            storage = RedisStorage(
                f"async+{settings.url}", implementation="redispy", key_prefix="zsb:limit", connection_pool=self._pool
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
            self._errors = redis_cache.ERRORS

    async def check(self, name: str, who: str, rates: str) -> None:
        """One attempt of `who` at `name`, allowed `rates` such as "5/minute;20/hour". Raises TooMany (429).

        `who` may be a phone number or an address: it is hashed here.
        """
        person = crypto.blind_index(who, purpose=f"limit:{name}")[:32]
        for rate in _parsed(rates):
            if not await self._hit(rate, name, person):
                raise TooMany(retry_after_seconds=await self._wait(rate, name, person))

    async def close(self) -> None:
        """Closes the connection to Redis, if there is one."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _hit(self, rate: lib.RateLimitItem, name: str, person: str) -> bool:
        if self._shared is not None and self._rest.over():
            try:
                return await self._shared.hit(rate, name, person)
            except self._errors as error:
                self._rest.begin(error)
        return await self._memory.hit(rate, name, person)

    async def _wait(self, rate: lib.RateLimitItem, name: str, person: str) -> int:
        longest = rate.get_expiry()
        strategy = self._shared if self._shared is not None and self._rest.over() else self._memory
        try:
            stats = await strategy.get_window_stats(rate, name, person)
        except self._errors as error:
            self._rest.begin(error)
            return longest
        left = round(stats.reset_time - clock.now().timestamp())
        # At the turn of a window the library says "now", although the attempts of the last one still weigh.
        return min(longest, left if left >= 1 else max(1, longest // rate.amount))
