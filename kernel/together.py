"""Writes of one transaction whose results nobody needs: gathered, and sent with its end.

On PostgreSQL they travel as one data-modifying statement, elsewhere one after the other: two bodies, one result. What is
gathered is not in the database before the block ends, so only rows that the rest of the transaction does not read belong here.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from tortoise.models import Model

from kernel import db

_MOST = 40  # more would only make a long statement; asyncpg allows 32,767 parameters, our own numbering 999


class _Gathering:
    """What waits: statements with their parameters, and rows whose last values are written once."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Sequence[Any]]] = []
        self.rows: dict[tuple[type[Model], Any], Model] = {}

    async def send(self) -> None:
        waiting = [*self.statements, *(_update(row) for row in self.rows.values())]
        self.statements, self.rows = [], {}
        if db.engine() == "postgres" and len(waiting) > 1:
            for first in range(0, len(waiting), _MOST):
                part = waiting[first : first + _MOST]
                await db.execute(_joined(tuple(sql for sql, _ in part)), *(v for _, values in part for v in values))
            return
        for sql, values in waiting:
            await db.execute(sql, *values)


_gathering: ContextVar[_Gathering | None] = ContextVar("gathering", default=None)


@asynccontextmanager
async def gathered() -> AsyncIterator[None]:
    """Inside a transaction: `write`, `insert` and `save` wait until the block ends. A block in a block belongs to the outer one."""
    if not db.in_transaction():
        raise RuntimeError("gathered() belongs inside a transaction")
    if _gathering.get() is not None:
        yield
        return
    gathering = _Gathering()
    token = _gathering.set(gathering)
    try:
        yield
    finally:
        _gathering.reset(token)
    await gathering.send()


async def write(sql: str, *params: Any) -> None:
    """One INSERT, UPDATE or DELETE whose count nobody asks for."""
    gathering = _gathering.get()
    if gathering is None:
        await db.execute(sql, *params)
    else:
        gathering.statements.append((sql, params))


async def insert(row: Model) -> None:
    """A new row whose number nobody asks for."""
    model = type(row)
    sql, names = _insert_into(model)
    await write(sql, *_values(row, names))


async def save(row: Model) -> None:
    """A row that this transaction has locked: its values at the end of the block are written, once, however often it is saved."""
    gathering = _gathering.get()
    if gathering is None:
        await row.save()
    else:
        gathering.rows[type(row), row.pk] = row


@lru_cache(maxsize=512)
def _joined(statements: tuple[str, ...]) -> str:
    members = ", ".join(f"w{n} AS ({sql})" for n, sql in enumerate(statements))
    return f"WITH {members} SELECT 1"


@lru_cache(maxsize=256)
def _insert_into(model: type[Model]) -> tuple[str, tuple[str, ...]]:
    meta = model._meta
    names = tuple(name for name in meta.fields_db_projection if name not in meta.generated_db_fields)
    columns = ", ".join(f'"{meta.fields_db_projection[name]}"' for name in names)
    return f'INSERT INTO "{meta.db_table}" ({columns}) VALUES ({", ".join("?" * len(names))})', names


@lru_cache(maxsize=256)
def _update_set(model: type[Model]) -> tuple[str, tuple[str, ...]]:
    meta = model._meta
    names = tuple(name for name in meta.fields_db_projection if name != meta.pk_attr)
    columns = ", ".join(f'"{meta.fields_db_projection[name]}" = ?' for name in names)
    return f'UPDATE "{meta.db_table}" SET {columns} WHERE "{meta.db_pk_column}" = ?', names


def _update(row: Model) -> tuple[str, Sequence[Any]]:
    sql, names = _update_set(type(row))
    return sql, [*_values(row, names), row.pk]


def _values(row: Model, names: Sequence[str]) -> list[Any]:
    fields = row._meta.fields_map
    return [fields[name].to_db_value(getattr(row, name), row) for name in names]
