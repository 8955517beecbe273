"""Writes of one transaction whose results nobody needs: gathered, and sent with its end.

On PostgreSQL they travel as one data-modifying statement, elsewhere one after the other: two bodies, one result. What is
gathered is not in the database before the block ends, so only rows that the rest of the transaction does not read belong here.

A command that needs nothing else may even do without the transaction (`one_statement`): it looks first, and its statement
stores everything on the condition that nothing it looked at has moved since.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import asyncpg
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.models import Model

from kernel import columns, db
from kernel.looking import Looking, NeedsTransaction

_MOST, _MOST_VALUES = 40, 900  # more would only make a long statement; our own numbering of parameters ends at 999
# The one row of an INSERT whose values are parameters and plain numbers.
_ROW = re.compile(r"(?<=\) )VALUES (\([?0-9, ]+\))")


class _Gathering:
    """What waits: statements with their parameters, and rows whose last values are written once."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Sequence[Any]]] = []
        self.rows: dict[tuple[type[Model], Any], Model] = {}

    async def send(self) -> None:
        waiting = [*self.statements, *(columns.update(row) for row in self.rows.values())]
        self.statements, self.rows = [], {}
        if db.engine() == "postgres" and len(waiting) > 1:
            for part in _parts(waiting):
                joined = _in_order(part)
                await db.execute(_joined(tuple(sql for sql, _ in joined)), *(v for _, values in joined for v in values))
            return
        for sql, values in waiting:
            await db.execute(sql, *values)


_Statement = tuple[str, Sequence[Any]]


def _parts(waiting: list[_Statement]) -> Iterator[list[_Statement]]:
    """Slices that fit into one statement each; they are sent one after the other."""
    part: list[_Statement] = []
    values = 0
    for statement in waiting:
        if part and (len(part) == _MOST or values + len(statement[1]) > _MOST_VALUES):
            yield part
            part, values = [], 0
        part.append(statement)
        values += len(statement[1])
    yield part


def _in_order(part: list[_Statement]) -> list[_Statement]:
    """Equal INSERTs become one with many rows: its rows get their numbers in this order, and the first of two equal keys stands.

    PostgreSQL runs the members of one WITH in an order of its own (today: backwards), and a lane is worked by number.
    """
    rows: dict[tuple[str, int], list[Sequence[Any]]] = {}
    for number, (sql, values) in enumerate(part):
        rows.setdefault((sql, 0 if _ROW.search(sql) else number + 1), []).append(values)
    return [(_with_rows(sql, len(many)), [v for values in many for v in values]) for (sql, _), many in rows.items()]


@lru_cache(maxsize=512)
def _with_rows(sql: str, times: int) -> str:
    return sql if times == 1 else _ROW.sub(lambda row: f"VALUES {', '.join([row[1]] * times)}", sql)


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


class OneStatement:
    """What a command looked at and wants to write; nothing is stored before `send`."""

    def __init__(self, view: Looking, gathering: _Gathering) -> None:
        self._view, self._gathering = view, gathering

    async def send(self, claim: _Statement) -> None:
        """Stores everything if `claim` gives its one row and nothing looked at has moved. Otherwise nothing: NeedsTransaction.

        The conditions stand first, in the order in which a transaction would lock; one that does not hold divides by zero,
        and an error undoes a statement whole.
        """
        sure = [(*claim, 1), *self._unmoved()]
        writes, absent = _in_order(self._gathering.statements), self._view.absent
        values = [value for _, some, _ in sure for value in some]
        values += [value for _, some in writes for value in some]
        values += [count for _, _, count in sure]
        values += [value for _, some in absent for value in some]
        if len(sure) + len(writes) > _MOST or len(values) > _MOST_VALUES:
            raise NeedsTransaction
        sql = _conditional(
            tuple([sql for sql, _, _ in sure]), tuple([sql for sql, _ in writes]), tuple([sql for sql, _ in absent])
        )
        try:
            await db.fetch(sql, *values)
        except IntegrityError as error:
            raise NeedsTransaction from error
        except OperationalError as error:
            if isinstance(error.__cause__, asyncpg.DivisionByZeroError):
                raise NeedsTransaction from error
            raise

    def _unmoved(self) -> Iterator[tuple[str, Sequence[Any], int]]:
        """The rows relied on, each still in the version that was seen: written now, or locked until the end."""
        saved = {(row._meta.db_table, row.pk): row for row in self._gathering.rows.values()}
        locked: dict[str, dict[Any, int]] = {}
        for (table, number), version in self._view.versions.items():
            row = saved.pop((table, number), None)
            if row is None:
                locked.setdefault(table, {})[number] = version
                continue
            sql, values = columns.update(row)
            yield f"{sql} AND xmin = ? RETURNING 1", [*values, version], 1
        if saved:
            raise NeedsTransaction  # written without having been looked at
        for table, rows in locked.items():
            # A row that moves gets the number of a later transaction than all that were seen, so any of them will do.
            numbers, versions = db.array("bigint"), db.array("xid")
            sql = (
                f"SELECT 1 FROM {table} WHERE id = ANY ({numbers}) AND xmin = ANY ({versions}) "
                "ORDER BY id FOR NO KEY UPDATE"
            )
            yield sql, (list(rows), list(rows.values())), len(rows)


@contextmanager
def one_statement() -> Iterator[OneStatement]:
    """The block looks and gathers; `send` follows it. Raises NeedsTransaction for whatever only a transaction can do."""
    gathering = _Gathering()
    with db.looking() as view:
        token = _gathering.set(gathering)
        try:
            yield OneStatement(view, gathering)
        finally:
            _gathering.reset(token)


async def write(sql: str, *params: Any) -> None:
    """One INSERT, UPDATE or DELETE whose count nobody asks for."""
    gathering = _gathering.get()
    if gathering is None:
        await db.execute(sql, *params)
    else:
        gathering.statements.append((sql, params))


async def insert(row: Model) -> None:
    """A new row whose number nobody asks for."""
    await add(type(row), **columns.values_of(row))


async def add(model: type[Model], **values: Any) -> None:
    """`insert` for a row that is nothing but its values; a field that is not given has its default."""
    sql, given = columns.insert(model, values)
    await write(sql, *given)


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


@lru_cache(maxsize=512)
def _conditional(sure: tuple[str, ...], writes: tuple[str, ...], absent: tuple[str, ...]) -> str:
    members = [f"c{n} AS ({sql})" for n, sql in enumerate(sure)] + [f"w{n} AS ({sql})" for n, sql in enumerate(writes)]
    failing = [f"(SELECT count(*) FROM c{n}) <> ?::bigint" for n in range(len(sure))]
    failing += [f"EXISTS ({sql})" for sql in absent]
    cases = " ".join(f"WHEN {condition} THEN 0" for condition in failing)
    return f"WITH {', '.join(members)} SELECT 1 / CASE {cases} ELSE 1 END"
