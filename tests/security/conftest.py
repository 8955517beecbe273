"""One running product for all security tests: starting it and playing the story costs more than any of them."""

from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.conftest import ENGINE
from tests.security.stage import GuardedStack, Stage


def pytest_collection_modifyitems(items):
    """The tests share the running product, so they share its event loop."""
    here = Path(__file__).parent
    for item in items:
        if pytest_asyncio.is_async_test(item) and here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def stage_database(request, tmp_path_factory):
    """An empty database of our own, and Redis where production has one."""
    if ENGINE == "sqlite":
        return f"sqlite://{tmp_path_factory.mktemp('stage-database') / 'zsb.sqlite3'}", None, 0
    server = request.getfixturevalue("postgres")
    server.sql("postgres", "CREATE DATABASE stage")
    return server.url("stage"), request.getfixturevalue("redis").url, len((server.folder / "log").read_text())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(stage_database, tmp_path_factory):
    url, redis_url, log_start = stage_database
    stack = GuardedStack(tmp_path_factory.mktemp("stage"), url, redis_url=redis_url)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        running = Stage(stack, session, log_start=log_start)
        try:
            await stack.start()
            await running.set()
            yield running
        finally:
            await running.close()
            await stack.stop()
