"""The cache: the same behaviour from memory and from a real Redis, and an answer while Redis is away."""

import asyncio
import time

import pytest

from kernel import metrics, redis_cache
from kernel.cache import FallbackCache, MemoryCache, RedisSettings, open_cache
from kernel.config import ConfigError, load_one
from tests.services import free_port


@pytest.fixture
def patient(monkeypatch):
    """A busy test machine may need longer than the deadlines of production."""
    for name in ("socket_timeout", "socket_connect_timeout"):
        monkeypatch.setitem(redis_cache.OPTIONS, name, 10)


@pytest.fixture(params=["memory", "redis"])
async def cache(request, patient):
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    cache = open_cache(RedisSettings(url=url))
    yield cache
    await cache.close()


async def test_a_value_is_there_until_its_time_is_up(cache):
    await cache.set("until", "值", ttl_seconds=0.5)
    assert await cache.get("until") == "值"
    await asyncio.sleep(0.6)
    assert await cache.get("until") is None


async def test_deleting_only_what_one_has_seen(cache):
    await cache.set("token", "new", ttl_seconds=5)
    assert not await cache.compare_and_delete("token", "old")
    assert await cache.get("token") == "new"
    assert await cache.compare_and_delete("token", "new")
    assert await cache.get("token") is None
    assert not await cache.compare_and_delete("token", "new")


async def test_counting_starts_again_when_its_time_is_up(cache):
    assert [await cache.incr("count", ttl_seconds=0.5) for _ in range(3)] == [1, 2, 3]
    await asyncio.sleep(0.6)
    assert await cache.incr("count", ttl_seconds=5) == 1


async def test_delete_forgets(cache):
    await cache.set("gone", "x", ttl_seconds=5)
    await cache.delete("gone")
    await cache.delete("gone")
    assert await cache.get("gone") is None


async def test_memory_is_bounded():
    cache = MemoryCache()
    for number in range(10_050):
        await cache.set(str(number), "x", ttl_seconds=60)
    assert await cache.get("0") is None
    assert await cache.get("10049") == "x"


async def test_while_redis_is_away_this_process_remembers_by_itself():
    cache = open_cache(RedisSettings(url=f"redis://127.0.0.1:{free_port()}/0"))
    assert isinstance(cache, FallbackCache)
    before = metrics.REGISTRY.get_sample_value("redis_fallbacks_total", {"use": "cache"}) or 0
    await cache.set("a", "1", ttl_seconds=5)
    assert await cache.get("a") == "1"
    assert await cache.incr("n", ttl_seconds=5) == 1
    assert await cache.incr("n", ttl_seconds=5) == 2
    assert await cache.compare_and_delete("a", "1")
    await cache.delete("n")
    assert metrics.REGISTRY.get_sample_value("redis_fallbacks_total", {"use": "cache"}) == before + 1
    await cache.close()


async def test_a_silent_redis_costs_one_deadline_not_one_per_call():
    async def silence(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    cache = open_cache(RedisSettings(url=f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"))
    began = time.monotonic()
    for _ in range(20):
        assert await cache.get("x") is None
    assert time.monotonic() - began < 2.5
    await cache.close()
    server.close()


async def test_a_redis_that_comes_back_is_used_again(redis, patient, frozen_clock):
    cache = open_cache(RedisSettings(url=redis.url))
    redis.process.terminate()
    redis.process.wait(10)
    await cache.set("a", "1", ttl_seconds=60)
    redis.start()
    frozen_clock.advance(seconds=3)
    assert await cache.get("a") is None, "Redis is asked again, and has never heard of it"
    await cache.close()


def test_a_foreign_address_is_a_complaint():
    with pytest.raises(ConfigError):
        load_one(RedisSettings, {"REDIS_URL": "http://127.0.0.1"})
