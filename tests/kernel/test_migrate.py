"""Several migrators at once end well; what migrations must not lose is in test_migrate_altered."""

import asyncio
import os
import sys

from kernel import migrate
from tests.conftest import TESTED_APPS, settings_for


async def test_three_migrators_at_once_all_end_well(database_url):
    await asyncio.gather(*(_migrate_in_process(database_url) for _ in range(3)))


async def _migrate_in_process(url: str) -> None:

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend",
        "migrate",
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def test_a_current_schema_has_nothing_pending(database, database_url):
    assert await migrate.pending(TESTED_APPS, settings_for(database_url)) == []
