"""Brings the schema up to date: one migrator at a time, foreign keys off on SQLite, and no index or row lost on the way."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import tortoise.exceptions as orm
from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.recorder import MigrationRecorder

from kernel import db, transactions
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


async def _apply(config: dict[str, Any], progress: Callable[[str], None]) -> None:
    await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        executor = MigrationExecutor(get_connection(db.CONNECTION), config["apps"])
        await executor.migrate(
            direction="forward",
            progress=lambda event, app, name: progress(f"{app}.{name}") if event == "apply_done" else None,
        )
    finally:
        await Tortoise.close_connections()


async def _sqlite(config: dict[str, Any], credentials: dict[str, Any], progress: Callable[[str], None]) -> None:
    """Rebuilding a table drops its indexes and, with foreign keys on, its children: keys are off and both are checked."""
    path = Path(unquote(credentials["file_path"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    existed = path.exists() and path.stat().st_size > 0
    lock = _file_lock(path.with_name(path.name + ".migrate-lock"))
    await asyncio.to_thread(lock.execute, "BEGIN EXCLUSIVE")
    try:
        before = _indexes(path) if existed else {}
        rows = _row_counts(path) if existed else {}
        if existed:
            _backup(path)
        credentials["foreign_keys"] = "OFF"
        await _apply(config, progress)
        _check(path, before, rows)
    finally:
        lock.close()


def _file_lock(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=120, check_same_thread=False)


def _backup(path: Path) -> None:
    target = path.with_name(path.name + ".before-migration")
    with sqlite3.connect(path) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    shutil.copymode(path, target)


def _indexes(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))


def _row_counts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as connection:
        names = [
            n
            for (n,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        return {n: connection.execute(f'SELECT COUNT(*) FROM "{n}"').fetchone()[0] for n in names}


def _check(path: Path, before: dict[str, str], rows: dict[str, int]) -> None:
    """Puts back indexes that a rebuild dropped and refuses a migration that lost rows or broke a reference."""
    with sqlite3.connect(path) as connection:
        columns = {n: {c[1] for c in connection.execute(f'PRAGMA table_info("{n}")')} for n in _row_counts(path)}
        for name, sql in before.items():
            if name in _indexes(path):
                continue
            table = sql.split(" ON ", 1)[1].split("(", 1)[0].strip().strip('"')
            if table in columns:
                connection.execute(sql)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise MigrationFailed(f"迁移后有 {len(broken)} 行外键失效，数据库已备份为 {path.name}.before-migration")
    after = _row_counts(path)
    lost = [
        n for n, count in rows.items() if n in after and after[n] < count and n != MigrationRecorder(None).table_name
    ]
    if lost:
        raise MigrationFailed(f"迁移后这些表的行数变少：{', '.join(lost)}，数据库已备份为 {path.name}.before-migration")
