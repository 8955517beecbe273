"""Migrations lose neither rows nor indexes, and several at once end well."""

import asyncio
import os
import sqlite3
import sys

import pytest

from kernel import migrate
from kernel.migrate import MigrationFailed, _check, _indexes, _row_counts
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


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id))")
        connection.execute("CREATE INDEX child_parent ON child (parent)")
        connection.execute("INSERT INTO parent VALUES (1, 'a')")
        connection.execute("INSERT INTO child VALUES (1, 1)")
    return path


def test_an_index_that_a_rebuild_dropped_is_put_back(file):
    before, rows = _indexes(file), _row_counts(file)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP INDEX child_parent")
    _check(file, before, rows)
    assert "child_parent" in _indexes(file)


def test_lost_rows_and_broken_references_stop_the_migration(file):
    before, rows = _indexes(file), _row_counts(file)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM child")
    with pytest.raises(MigrationFailed, match="行数变少"):
        _check(file, before, rows)
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO child VALUES (1, 99)")
    with pytest.raises(MigrationFailed, match="外键"):
        _check(file, before, rows)
