"""One running product for all mission rows: real processes, the engine under test, everything through the public API."""

from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.conftest import ENGINE
from tests.journeys.stack import Stack
from tests.rows.county import County


def pytest_collection_modifyitems(items):
    """The tests share the running product, so they share its event loop."""
    here = Path(__file__).parent
    for item in items:
        if pytest_asyncio.is_async_test(item) and here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def rows_database(request, template, tmp_path_factory):
    """An empty database of our own, and Redis where production has one."""
    if ENGINE == "sqlite":
        return f"sqlite://{tmp_path_factory.mktemp('rows-database') / 'zsb.sqlite3'}", None
    server = request.getfixturevalue("postgres")
    server.sql("postgres", "CREATE DATABASE rows")
    return server.url("rows"), request.getfixturevalue("redis").url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def county(rows_database, tmp_path_factory):
    url, redis_url = rows_database
    stack = Stack(tmp_path_factory.mktemp("rows"), url, redis_url=redis_url)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        try:
            await stack.start()
            yield County(stack, session)
        finally:
            await stack.stop()
