"""A house that can be killed, on the engine under test."""

import pytest

from tests.conftest import ENGINE
from tests.reliability.house import House


@pytest.fixture
async def house(request, tmp_path, database_url):
    """Sandboxes, API and worker; everything is gone after the test."""
    redis_url = request.getfixturevalue("redis").url if ENGINE == "postgres" else None
    running = House(tmp_path, database_url, redis_url=redis_url)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()
