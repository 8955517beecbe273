"""Rate limits, in memory and through a real Redis."""

import asyncio
import time

import pytest

from kernel import limits, redis_cache
from kernel.cache import RedisSettings
from kernel.limits import Limiter
from kernel.problems import TooMany
from tests.services import free_port


@pytest.fixture(params=["memory", "redis", "redis away"])
async def limiter(request, monkeypatch):
    for name in ("socket_timeout", "socket_connect_timeout"):  # a busy test machine needs patience
        monkeypatch.setitem(redis_cache.OPTIONS, name, 10)
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis").url
    elif request.param == "redis away":
        url = f"redis://127.0.0.1:{free_port()}/0"
    limiter = Limiter(RedisSettings(url=url))
    yield limiter
    await limiter.close()


async def test_so_many_attempts_and_then_a_429_that_says_when(limiter, request):
    who = request.node.name
    for _ in range(3):
        await limiter.check("login", who, "3/minute")
    with pytest.raises(TooMany) as raised:
        await limiter.check("login", who, "3/minute")
    assert 1 <= raised.value.retry_after_seconds <= 120


async def test_people_and_names_do_not_share_a_limit(limiter, request):
    who = request.node.name
    await limiter.check("login", who, "1/minute")
    await limiter.check("login", who + "2", "1/minute")
    await limiter.check("code", who, "1/minute")
    with pytest.raises(TooMany):
        await limiter.check("login", who, "1/minute")


async def test_every_rate_of_a_list_binds(limiter, request):
    who = request.node.name
    for _ in range(2):
        await limiter.check("code", who, "10/minute;2/hour")
    with pytest.raises(TooMany) as raised:
        await limiter.check("code", who, "10/minute;2/hour")
    assert raised.value.retry_after_seconds > 60


async def test_a_phone_number_is_not_stored_as_such(redis):
    from redis import asyncio as aioredis

    limiter = Limiter(RedisSettings(url=redis.url))
    await limiter.check("sms", "13900000001", "5/hour")
    client = aioredis.Redis.from_url(redis.url)
    keys = b" ".join(await client.keys("*"))
    assert b"sms" in keys
    assert b"139" not in keys
    await client.aclose()
    await limiter.close()


async def test_forgotten_attempts_leave_memory(monkeypatch, frozen_clock):
    monkeypatch.setattr(limits, "_SWEEP_SECONDS", 1.0)
    limiter = Limiter(RedisSettings())
    storage = limiter._memory.storage
    await limiter.check("x", "a", "5/second")
    for key in storage.expirations:
        storage.expirations[key] = 0  # its time is up
    frozen_clock.advance(seconds=2)
    await limiter.check("x", "b", "5/second")
    assert len(storage.expirations) == 1


async def test_a_silent_redis_costs_one_deadline_and_the_limit_still_binds():
    async def silence(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    limiter = Limiter(RedisSettings(url=f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"))
    began = time.monotonic()
    for _ in range(3):
        await limiter.check("login", "somebody", "3/minute")
    with pytest.raises(TooMany):
        await limiter.check("login", "somebody", "3/minute")
    assert time.monotonic() - began < 2.5
    await limiter.close()
    server.close()


async def test_a_redis_that_is_restarted_in_the_middle_fails_nobody_and_is_used_again(redis, monkeypatch, frozen_clock):
    for name in ("socket_timeout", "socket_connect_timeout"):
        monkeypatch.setitem(redis_cache.OPTIONS, name, 10)
    limiter = Limiter(RedisSettings(url=redis.url))
    await limiter.check("restart", "a", "2/hour")
    redis.process.kill()
    redis.process.wait(10)
    await limiter.check("restart", "a", "2/hour")  # counted here
    redis.start()
    frozen_clock.advance(seconds=3)
    await limiter.check("restart", "b", "1/hour")
    other = Limiter(RedisSettings(url=redis.url))  # another process sees what was counted in Redis again
    with pytest.raises(TooMany):
        await other.check("restart", "b", "1/hour")
    await other.close()
    await limiter.close()
