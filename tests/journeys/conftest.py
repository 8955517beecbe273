"""Journeys run against real processes on the engine under test."""

import aiohttp
import pytest

from deploy.local.people import Cast
from tests.conftest import ENGINE
from tests.journeys.stack import Stack


@pytest.fixture
async def stack(request, tmp_path, database_url):
    """Sandbox, API and worker, started and stopped around one test."""
    redis_url = request.getfixturevalue("redis").url if ENGINE == "postgres" else None
    running = Stack(tmp_path, database_url, redis_url=redis_url)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest.fixture
async def cast(stack):
    """Everybody who takes part in a story."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Cast(session, stack.api, stack.sandbox_port)
