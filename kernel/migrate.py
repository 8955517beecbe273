"""Brings the schema up to date: one migrator at a time, foreign keys off on SQLite, and no index or row lost on the way."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import tortoise.exceptions as orm
from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.transactions import in_transaction

from kernel import clock, db, sqlite_guard, transactions
from kernel.problems import DatabaseUnavailable
from kernel.settings import DatabaseSettings

_ADVISORY_LOCK = 620_981_001  # any number, the same for every process of this product


class MigrationFailed(Exception):
    """The schema could not be brought up to date; the text says what is wrong."""


async def migrate(
    settings: DatabaseSettings, apps: dict[str, list[str]], *, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Applies every missing migration. Safe to call from several processes at once.

    Raises DatabaseUnavailable when the database cannot be reached, MigrationFailed when the schema cannot be made current.
    """
    transactions.install()
    try:
        await _migrate(settings, apps, progress)
    except (OSError, sqlite3.OperationalError, asyncpg.PostgresError, orm.BaseORMException) as error:
        if db.is_outage(error) or isinstance(error, OSError | asyncpg.InvalidAuthorizationSpecificationError):
            raise DatabaseUnavailable(
                f"数据库 {db.address(settings)} 不能升级：{error or type(error).__name__}"
            ) from error
        raise


async def _migrate(settings: DatabaseSettings, apps: dict[str, list[str]], progress: Callable[[str], None]) -> None:
    config = db.orm_config(settings, apps)
    credentials = config["connections"][db.CONNECTION]["credentials"]
    if settings.url.startswith("sqlite:"):
        await _sqlite(config, credentials, progress)
        return
    credentials.update(command_timeout=600, maxsize=4)
    credentials["server_settings"].update(
        statement_timeout="0", lock_timeout="10000", idle_in_transaction_session_timeout="0"
    )
    keys = ("host", "port", "user", "password", "database")
    holder = await asyncpg.connect(**{k: credentials[k] for k in keys}, timeout=10)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await _apply(config, progress)
    finally:
        await holder.close()


async def pending(apps: dict[str, list[str]], settings: DatabaseSettings) -> list[str]:
    """Names of migrations the open database lacks; `/readyz` and start-up refuse to run on an old schema."""
    connection = get_connection(db.CONNECTION)
    executor = MigrationExecutor(connection, db.orm_config(settings, apps)["apps"])
    try:
        plan = await executor.plan()
    except Exception as error:
        if db.is_outage(error):
            raise
        return ["(no schema)"]
    return [f"{step.migration.app_label}.{step.migration.name}" for step in plan if not step.backward]


async def _apply(
    config: dict[str, Any], progress: Callable[[str], None], backup: Callable[[], None] | None = None
) -> None:
    """Each migration and its record are one transaction: the ORM records afterwards, and a kill in between would
    leave a schema that can be neither used nor migrated."""
    await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        executor = MigrationExecutor(get_connection(db.CONNECTION), config["apps"])
        await executor.loader.build_graph()
        await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
        applied = set(await executor.recorder.applied_migrations())
        plan = executor._migration_plan(None, applied, executor.loader.graph)
        if plan and applied and backup is not None:
            await asyncio.to_thread(backup)
        state = await executor._project_state(applied)
        for step in plan:
            await _step(executor, step.migration, state)
            progress(f"{step.migration.app_label}.{step.migration.name}")
    finally:
        await Tortoise.close_connections()


async def _step(executor: MigrationExecutor, migration: Any, state: Any) -> None:
    async with in_transaction(db.CONNECTION) as client:
        editor = executor._schema_editor(atomic=True)
        editor.client = client
        before = await sqlite_guard.look(client) if db.engine() == "sqlite" else None
        await migration.apply(state, dry_run=False, schema_editor=editor)
        if before is not None:
            try:
                await sqlite_guard.restore(client, before, migration.operations)
            except sqlite_guard.RowsLost as lost:
                raise MigrationFailed(f"迁移 {migration.name} 已撤销，没有改动任何数据：{lost}") from lost
        await MigrationRecorder(client).record_applied(migration.app_label, migration.name)


async def _sqlite(config: dict[str, Any], credentials: dict[str, Any], progress: Callable[[str], None]) -> None:
    """One migrator at a time, foreign keys off, and a copy of the file before anything changes."""
    path = Path(unquote(credentials["file_path"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(
        path.with_name(path.name + ".migrate-lock"), isolation_level=None, timeout=120, check_same_thread=False
    )
    try:
        await asyncio.to_thread(lock.execute, "BEGIN EXCLUSIVE")
        await asyncio.to_thread(_probe, path)
        credentials["foreign_keys"] = "OFF"
        await _apply(config, progress, lambda: _backup(path))
    finally:
        lock.close()


def _probe(path: Path) -> None:
    """Whether the file can be opened and written; the ORM's driver would leave a thread behind and never end."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=120)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _backup(path: Path) -> None:
    """A copy per change: one name for all would be overwritten by the next call, just when it is needed."""
    target = path.with_name(f"{path.name}.before-{clock.local(clock.now()):%Y%m%d-%H%M%S}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    shutil.copymode(path, target)
