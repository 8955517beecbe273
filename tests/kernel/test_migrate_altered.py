"""Altering a table keeps its rows, its children, its indexes and its triggers, on both engines and in whatever order it fails."""

import asyncio
import importlib
import sqlite3
import sys

import pytest
from tortoise.migrations import operations as ops

from deploy.local.processes import ROOT
from kernel import db, migrate
from tests.conftest import ENGINE, settings_for

SECOND = "tests.kernel.altered.migrations.0002_longer_label"
APPS = {"altered": ["tests.kernel.altered.models"]}


@pytest.fixture
def url(request, tmp_path):
    """A database of its own, still empty."""
    if ENGINE == "sqlite":
        return f"sqlite://{tmp_path / 'altered.sqlite3'}"
    server = request.getfixturevalue("postgres")
    server.sql("postgres", "DROP DATABASE IF EXISTS altered WITH (FORCE)")
    server.sql("postgres", "CREATE DATABASE altered")
    return server.url("altered")


@pytest.fixture
async def first_version(url, monkeypatch):
    """The first version, with rows."""
    second = importlib.import_module(SECOND).Migration
    with monkeypatch.context() as only:
        only.setattr(second, "operations", [])
        await migrate.migrate(settings_for(url), APPS)
    await db.connect(settings_for(url), APPS)
    await db.execute("DELETE FROM tortoise_migrations WHERE name = '0002_longer_label'")
    await db.execute("INSERT INTO altered_shelf (id, label, room) VALUES (1, 'a', 7)")
    await db.execute("INSERT INTO altered_book (id, shelf_id) VALUES (1, 1)")
    await db.close()
    return url


async def names(kind: str) -> set[str]:
    if ENGINE == "sqlite":
        rows = await db.fetch("SELECT name FROM sqlite_master WHERE type = ? AND name LIKE '%altered%'", kind)
    else:
        rows = await db.fetch("SELECT indexname AS name FROM pg_indexes WHERE tablename LIKE 'altered_%'")
    return {row["name"] for row in rows if not row["name"].endswith("_pkey") and "autoindex" not in row["name"]}


async def look(url: str):
    await db.connect(settings_for(url), APPS)
    found = {
        "shelves": await db.fetch("SELECT id, label, room FROM altered_shelf"),
        "books": await db.fetch("SELECT id, shelf_id FROM altered_book"),
        "indexes": await names("index"),
        "triggers": await names("trigger") if ENGINE == "sqlite" else {"altered_shelf_kept"},
        "pending": await migrate.pending(APPS, settings_for(url)),
    }
    await db.close()
    return found


async def test_children_indexes_and_triggers_are_there_afterwards_and_a_removed_index_is_not(first_version):
    before = await look(first_version)
    assert before["pending"] == ["altered.0002_longer_label"]
    await migrate.migrate(settings_for(first_version), APPS)
    after = await look(first_version)
    assert after["shelves"] == [{"id": 1, "label": "a", "room": 7}]
    assert after["books"] == [{"id": 1, "shelf_id": 1}]
    assert after["indexes"] == before["indexes"] - {"idx_altered_old"}
    assert after["triggers"] == {"altered_shelf_kept"}
    assert after["pending"] == []


async def test_a_migration_that_fails_half_way_changes_nothing_and_may_be_repeated(first_version, monkeypatch):
    second = importlib.import_module(SECOND).Migration

    async def fail(apps, editor):
        raise RuntimeError("the county's data do not fit")

    before = await look(first_version)
    with monkeypatch.context() as broken:
        broken.setattr(second, "operations", [*second.operations, ops.RunPython(code=fail)])
        with pytest.raises(RuntimeError):
            await migrate.migrate(settings_for(first_version), APPS)
    assert await look(first_version) == before
    await migrate.migrate(settings_for(first_version), APPS)
    assert (await look(first_version))["pending"] == []


async def test_killed_between_the_change_and_its_record_it_still_ends_well(first_version):
    """The ORM records a migration after its transaction: killed in between, it would fail for ever with 'already exists'."""
    script = (
        "import asyncio, os\n"
        "from tortoise.migrations.recorder import MigrationRecorder\n"
        "from kernel import migrate\nfrom tests.kernel.test_migrate_altered import APPS\nfrom tests.conftest import settings_for\n"
        "async def die(self, *_): os._exit(9)\n"
        "MigrationRecorder.record_applied = die\n"
        f"asyncio.run(migrate.migrate(settings_for({first_version!r}), APPS))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=ROOT)
    assert await process.wait() == 9
    await migrate.migrate(settings_for(first_version), APPS)
    after = await look(first_version)
    assert after["pending"] == []
    assert after["books"] == [{"id": 1, "shelf_id": 1}]


async def test_three_at_once_on_an_old_version_all_end_well(first_version):
    script = (
        "import asyncio\nfrom kernel import migrate\nfrom tests.kernel.test_migrate_altered import APPS\n"
        "from tests.conftest import settings_for\n"
        f"asyncio.run(migrate.migrate(settings_for({first_version!r}), APPS))\n"
    )
    children = [await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=ROOT) for _ in range(3)]
    assert await asyncio.gather(*(child.wait() for child in children)) == [0, 0, 0]
    assert (await look(first_version))["pending"] == []


async def test_a_copy_is_made_before_a_change_and_survives_the_next_calls(first_version, tmp_path):
    if ENGINE != "sqlite":
        return  # PostgreSQL is backed up by its own tools
    for _ in range(3):
        await migrate.migrate(settings_for(first_version), APPS)
    (copy,) = tmp_path.glob("altered.sqlite3.before-*")
    connection = sqlite3.connect(copy)
    recorded = [name for (name,) in connection.execute("SELECT name FROM tortoise_migrations")]
    connection.close()
    assert recorded == ["0001_initial"]


@pytest.mark.parametrize(
    ("crime", "told"),
    [("DELETE FROM altered_book", "行数变少"), ("UPDATE altered_book SET shelf_id = 99", "外键")],
    ids=["lost rows", "broken references"],
)
async def test_a_migration_that_loses_something_is_taken_back_whole(first_version, monkeypatch, crime, told):
    if ENGINE != "sqlite":
        return  # foreign keys are on while PostgreSQL migrates, and no table is rebuilt
    second = importlib.import_module(SECOND).Migration

    async def commit_it(apps, editor):
        await editor.client.execute_query(crime)

    before = await look(first_version)
    monkeypatch.setattr(second, "operations", [*second.operations, ops.RunPython(code=commit_it)])
    with pytest.raises(migrate.MigrationFailed, match=told):
        await migrate.migrate(settings_for(first_version), APPS)
    assert await look(first_version) == before
