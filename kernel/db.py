"""The one door to the database: connecting, transactions, raw SQL that both engines run, and the differences between them."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import asyncpg
import tortoise.exceptions as orm
from tortoise import Tortoise, fields
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.base.client import TransactionalDBClient
from tortoise.connection import get_connections
from tortoise.context import require_context
from tortoise.models import Model
from tortoise.transactions import in_transaction as _orm_transaction

from kernel import clock, transactions
from kernel.looking import Looking, NeedsTransaction
from kernel.problems import DatabaseUnavailable
from kernel.settings import DatabaseSettings

M = TypeVar("M", bound=Model)
CONNECTION = "default"
_MAX_RETRY_AFTER = 2
_SQLITE = "tortoise.backends.sqlite"


class UtcDatetimeField(fields.DatetimeField[datetime]):
    """An instant stored in UTC, so that SQLite (which compares text) and PostgreSQL find the same rows."""

    def to_python_value(self, value: Any) -> datetime | None:
        """Refuses naive datetimes, which the ORM would silently take for UTC."""
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("a stored instant needs an offset")
        return super().to_python_value(value)

    def to_db_value(self, value: Any, instance: Any) -> Any:
        """Converts to UTC before SQLite stores the text."""
        return super().to_db_value(value.astimezone(UTC) if isinstance(value, datetime) else value, instance)


class Row(Model):
    """Base of every table: an internal number that never leaves the process, and when the row was written."""

    id = fields.BigIntField(primary_key=True)
    created_at = UtcDatetimeField(default=clock.now)

    class Meta:
        abstract = True


async def _keep_session(connection: Any) -> None:
    """Replaces asyncpg's reset query, which doubles the database's work per request. Session state is only ever SET LOCAL."""


def orm_config(settings: DatabaseSettings, apps: dict[str, list[str]]) -> dict[str, Any]:
    """Tortoise's configuration for `apps` (label → modules that hold models); the migrations live beside the models."""
    return {
        "connections": {CONNECTION: _connection_config(settings)},
        "apps": {
            label: {
                "models": modules,
                "default_connection": CONNECTION,
                "migrations": modules[0].rsplit(".", 1)[0] + ".migrations",
            }
            for label, modules in apps.items()
        },
        "use_tz": True,
        "timezone": "UTC",
    }


def _connection_config(settings: DatabaseSettings) -> dict[str, Any]:
    parts = urlsplit(settings.url)
    if parts.scheme == "sqlite":
        return {
            "engine": _SQLITE,
            "credentials": {
                "file_path": unquote(settings.url.removeprefix("sqlite://").split("?")[0]),
                "journal_mode": "WAL",
                "foreign_keys": "ON",
                "busy_timeout": settings.busy_ms,
                "synchronous": settings.synchronous,
            },
        }
    options = dict(parse_qsl(parts.query))
    limit_ms = int(settings.command_seconds * 750)  # the server gives up before the client does
    return {
        "engine": "tortoise.backends.asyncpg",
        "credentials": {
            "host": options.get("host", parts.hostname or "127.0.0.1"),
            "port": parts.port or int(options.get("port", "5432")),
            "user": unquote(parts.username or options.get("user", "")) or None,
            "password": unquote(parts.password) if parts.password else None,
            "database": parts.path.lstrip("/"),
            "minsize": 1,
            "maxsize": settings.pool_size,
            "command_timeout": settings.command_seconds,
            "timeout": settings.command_seconds,
            "reset": _keep_session,
            "server_settings": {
                "application_name": "zhangshangban",
                "statement_timeout": str(limit_ms),
                "lock_timeout": str(max(limit_ms // 3, 100)),
                "idle_in_transaction_session_timeout": "5000",
                "jit": "off",
            },
        },
    }


async def connect(settings: DatabaseSettings, apps: dict[str, list[str]]) -> None:
    """Opens the database for this process. Raises DatabaseUnavailable when it cannot be reached."""
    transactions.install()
    transactions.acquire_seconds = settings.acquire_seconds
    config = orm_config(settings, apps)
    try:
        if settings.url.startswith("sqlite:"):
            # A file that cannot be opened ends here: the driver's thread would outlive its own failure.
            sqlite3.connect(config["connections"][CONNECTION]["credentials"]["file_path"]).close()
        await Tortoise.init(config=config, _enable_global_fallback=True)
        await fetch("SELECT 1 AS one")
        if engine() == "sqlite" and settings.synchronous == "FULL":
            level = (await fetch("PRAGMA synchronous"))[0]["synchronous"]
            if level != 2:
                raise RuntimeError(f"SQLite synchronous is {level}, not FULL")
    except Exception as error:
        await close()
        if is_outage(error) or isinstance(error, DatabaseUnavailable):
            raise DatabaseUnavailable(f"连接不上数据库 {address(settings)}：{_reason(error)}") from error
        raise


def address(settings: DatabaseSettings) -> str:
    """Where the database is, for people: the URL without its password."""
    parts = urlsplit(settings.url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@"), query=""))


def _reason(error: BaseException) -> str:
    while isinstance(error, DatabaseUnavailable) and error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


async def close() -> None:
    """Closes every connection of this process."""
    await Tortoise.close_connections()


def engine() -> Literal["sqlite", "postgres"]:
    """Which of the two engines this process talks to."""
    chosen = require_context().connections.db_config[CONNECTION]["engine"]
    return "sqlite" if chosen == _SQLITE else "postgres"


def _connection() -> Any:
    # What the ORM does for every query, without its import each time.
    return require_context().connections.get(CONNECTION)


@asynccontextmanager
async def transaction() -> AsyncIterator[None]:
    """One transaction; nested use is a savepoint. An outage becomes DatabaseUnavailable, other errors pass through."""
    try:
        async with _orm_transaction(CONNECTION):
            yield
    except Exception as error:
        if is_outage(error):
            raise DatabaseUnavailable(retry_after_seconds=_MAX_RETRY_AFTER) from error
        raise


def in_transaction() -> bool:
    """Whether what the caller writes is stored together with the rest of its command or not at all."""
    return isinstance(_connection(), TransactionalDBClient | Looking)


@contextmanager
def looking() -> Iterator[Looking]:
    """PostgreSQL, outside a transaction: the block may read, and gather writes, nothing else (NeedsTransaction)."""
    connection = _connection()
    if type(connection) is not AsyncpgDBClient:
        raise NeedsTransaction
    view, connections = Looking(connection), get_connections()
    token = connections.set(CONNECTION, view)
    try:
        yield view
    finally:
        connections.reset(token)


def view() -> Looking | None:
    """What the command has looked at so far, if it only looks."""
    connection = _connection()
    return connection if isinstance(connection, Looking) else None


def needs_transaction() -> None:
    """What follows cannot be gathered: said early, so that a command that only looks begins again before it did much."""
    if view() is not None:
        raise NeedsTransaction


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> str:
    numbers = count(1)
    return re.sub(r"'[^']*'|\?", lambda m: m.group() if m.group() != "?" else f"${next(numbers)}", sql)


def _prepared(sql: str, params: Sequence[Any]) -> tuple[Any, str, list[Any]]:
    connection = _connection()
    if connection.capabilities.dialect == "sqlite":
        return connection, sql, [at(p) if isinstance(p, datetime) else p for p in params]
    if isinstance(connection, Looking):
        connection.admit(sql)
        connection = connection.behind
    return connection, _numbered(sql), list(params)


async def fetch(sql: str, *params: Any) -> list[dict[str, Any]]:
    """Rows of a statement written with `?` on both engines; RETURNING works. JSON columns come back as text, booleans as 0/1 on SQLite."""
    connection, text, values = _prepared(sql, params)
    try:
        rows: list[dict[str, Any]] = await connection.execute_query_dict(text, values)
    except Exception as error:
        if is_outage(error):
            raise DatabaseUnavailable(retry_after_seconds=_MAX_RETRY_AFTER) from error
        raise
    return rows


async def records(sql: str, *params: Any) -> Sequence[Any]:
    """Rows of a SELECT as the driver gives them, by position or by name: for hot reads of many rows, without a dictionary each."""
    connection, text, values = _prepared(sql, params)
    try:
        if connection.capabilities.dialect == "sqlite":
            found: Sequence[Any] = (await connection.execute_query(text, values))[1]
            return found
        async with connection.acquire_connection() as raw:
            rows: Sequence[Any] = await raw.fetch(text, *values)
            return rows
    except Exception as error:
        if is_outage(error):
            raise DatabaseUnavailable(retry_after_seconds=_MAX_RETRY_AFTER) from error
        raise


async def execute(sql: str, *params: Any) -> int:
    """Runs a statement without RETURNING and gives the number of rows it changed."""
    connection, text, values = _prepared(sql, params)
    try:
        count: int = (await connection.execute_query(text, values))[0]
    except Exception as error:
        if is_outage(error):
            raise DatabaseUnavailable(retry_after_seconds=_MAX_RETRY_AFTER) from error
        raise
    return count


def any_of(values: Sequence[Any], kind: Literal["text", "bigint"]) -> str:
    """The comparison of a column with many values: one array on PostgreSQL, so that every number of them is one statement."""
    return f"= ANY ({array(kind)})" if engine() == "postgres" else f"IN ({', '.join('?' * len(values))})"


def array(kind: Literal["text", "bigint", "int", "xid"]) -> str:
    """An array parameter whose length PostgreSQL does not look at: it would plan the statement anew for every batch."""
    return f"(SELECT ?::{kind}[])::{kind}[]"


def values_of(values: Sequence[Any]) -> tuple[Any, ...]:
    """The parameters that belong to `any_of`."""
    return (list(values),) if engine() == "postgres" else tuple(values)


async def lock(model: type[M], **filters: Any) -> M | None:
    """The row, locked until the transaction ends. On SQLite BEGIN IMMEDIATE already holds the only writer's lock."""
    if not in_transaction():
        raise RuntimeError("lock() outside a transaction holds nothing")
    if engine() == "sqlite":
        return await model.filter(**filters).first()
    if None in filters.values():
        return await model.filter(**filters).select_for_update(no_key=True).first()
    rows = await records(f"{selecting(model, tuple(filters))} LIMIT 1 FOR NO KEY UPDATE", *filters.values())
    # The constructor the ORM itself uses for rows; building the query anew each time costs more than asking it.
    return model._init_from_db(**rows[0]) if rows else None


@lru_cache(maxsize=256)
def selecting(model: type[Model], names: tuple[str, ...]) -> str:
    """The SELECT of all columns of the rows whose fields `names` have the values that are its parameters."""
    known = model._meta.fields_db_projection
    columns = ", ".join(f'"{column}"' for column in known.values())
    where = " AND ".join(f'"{known[name]}" = ?' for name in names)
    return f'SELECT {columns} FROM "{model._meta.db_table}" WHERE {where}'


def at(instant: datetime) -> Any:
    """An instant as a parameter of raw SQL, in the form the field class stores."""
    utc = instant.astimezone(UTC)
    return utc.isoformat(" ") if engine() == "sqlite" else utc


def instant(value: Any) -> datetime | None:
    """An instant read by raw SQL: text on SQLite, a datetime on PostgreSQL."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).astimezone(UTC)


def moment(column: str) -> str:
    """SQL of an instant that is only shown: as a number on PostgreSQL, whose driver takes long to make a datetime; read by `shown`."""
    return f"date_part('epoch', {column})" if engine() == "postgres" else column


def shown(value: float | str | None) -> datetime | None:
    """What `moment` gave, with the +08:00 offset people expect to read; whole microseconds survive the number."""
    if value is None:
        return None
    return clock.local(datetime.fromisoformat(value)) if isinstance(value, str) else clock.local_at(value)


_SQLITE_OUTAGES = (
    "database is locked",
    "database is busy",
    "disk is full",
    "disk i/o error",
    "unable to open",
    "readonly",
    # A full or failing disk makes the engine end the whole transaction; what follows inside it then says this.
    "ended by the engine",
    "no such savepoint",
)
# The driver reports our own mistakes (a wrong type, a wrong number of values) with the same class as a lost connection.
_LOST_CONNECTION = (
    "connection is closed",
    "connection was closed",
    "pool is clos",
    "has been released back to the pool",  # by the pool itself, when the session ended under a transaction
    # What a session says whose server has just said good-bye while nothing was asked of it (failed, consuming the
    # error, cancelled, terminating); operations of ours that overlap have higher numbers.
    'protocol is in the "failed" state',
    "another operation (2) is in progress",
    "another operation (3) is in progress",
    "another operation (4) is in progress",
)


def is_outage(error: BaseException) -> bool:
    """Whether an error means 'the database did not do it now', so that the same request may be repeated safely."""
    if isinstance(
        error,
        TimeoutError
        | ConnectionError
        | asyncpg.PostgresConnectionError
        | asyncpg.PostgresSystemError
        | asyncpg.ReadOnlySQLTransactionError
        | asyncpg.OperatorInterventionError
        | asyncpg.InsufficientResourcesError
        | asyncpg.LockNotAvailableError
        | asyncpg.DeadlockDetectedError
        | asyncpg.SerializationError
        | asyncpg.IdleInTransactionSessionTimeoutError
        | asyncpg.CannotConnectNowError
        | orm.DBConnectionError,
    ):
        return True
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return any(sign in str(error) for sign in _LOST_CONNECTION)
    if isinstance(error, orm.OperationalError | orm.TransactionManagementError):
        text = str(error).lower()
        return any(sign in text for sign in _SQLITE_OUTAGES) or bool(error.__cause__ and is_outage(error.__cause__))
    return isinstance(error, sqlite3.OperationalError) and any(s in str(error).lower() for s in _SQLITE_OUTAGES)
