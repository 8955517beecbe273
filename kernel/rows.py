"""SELECTs that can travel together: in a transaction one after the other, in one statement for a command that only looks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from kernel import db
from kernel.looking import Looking

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")
M = TypeVar("M", bound=db.Row)


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """One SELECT: its text, its parameters, and what becomes of its rows, which come without names.

    With `locks` the rows of that table stay as they are until the command is stored; their `id` is the first column.
    """

    sql: str
    params: tuple[Any, ...]
    make: Callable[[Sequence[Sequence[Any]]], T]
    locks: str | None = None


def locking(model: type[M], **filters: Any) -> Read[M | None]:
    """One row of a table, found by values that identify it, to be changed; None when there is none."""
    return Read(db.selecting(model, tuple(filters)), tuple(filters.values()), _row_of(model), model._meta.db_table)


def where(model: type[M], condition: str, *params: Any) -> Read[M | None]:
    """`locking` for a row that is found by way of others: `condition` is SQL with `?`."""
    return Read(db.selecting(model, ()) + condition, params, _row_of(model), model._meta.db_table)


def _row_of(model: type[M]) -> Callable[[Sequence[Sequence[Any]]], M | None]:
    columns = tuple(model._meta.fields_db_projection.values())

    def made(rows: Sequence[Sequence[Any]]) -> M | None:
        return model._init_from_db(**dict(zip(columns, rows[0], strict=True))) if rows else None

    return made


async def one(wanted: Read[T]) -> T:
    """What one SELECT finds."""
    return wanted.make((await _found(wanted))[0])


async def three(first: Read[A], second: Read[B], third: Read[C]) -> tuple[A, B, C]:
    """What three SELECTs find. In a transaction their locks are taken in this order."""
    found = await _found(first, second, third)
    return first.make(found[0]), second.make(found[1]), third.make(found[2])


async def four(first: Read[A], second: Read[B], third: Read[C], fourth: Read[D]) -> tuple[A, B, C, D]:
    """`three` and one more."""
    found = await _found(first, second, third, fourth)
    return first.make(found[0]), second.make(found[1]), third.make(found[2]), fourth.make(found[3])


async def _found(*wanted: Read[Any]) -> list[Sequence[Sequence[Any]]]:
    view = db.view()
    if view is not None:
        return await _at_once(view, wanted)
    return [await db.records(_held(one.sql) if one.locks else one.sql, *one.params) for one in wanted]


async def exists(sql: str, *params: Any) -> bool:
    """Whether a SELECT finds a row that stands in the command's way.

    A command that only looks is told no: it is then a condition of its statement, and the transaction asks again.
    """
    view = db.view()
    if view is None:
        return bool(await db.records(sql, *params))
    view.absent.append((sql, params))
    return False


async def _at_once(view: Looking, wanted: Sequence[Read[Any]]) -> list[Sequence[Sequence[Any]]]:
    sql = _joined(tuple([(one.sql, one.locks is not None) for one in wanted]))
    (answers,) = await db.records(sql, *[value for one in wanted for value in one.params])
    found: list[Sequence[Sequence[Any]]] = []
    for one, rows in zip(wanted, answers, strict=True):
        if one.locks is None or not rows:
            found.append(rows or ())
            continue
        for version, number, *_ in rows:
            view.versions[one.locks, number] = version
        found.append([row[1:] for row in rows])
    return found


def _held(sql: str) -> str:
    """On SQLite BEGIN IMMEDIATE already holds the only writer's lock."""
    return f"{sql} FOR NO KEY UPDATE" if db.engine() == "postgres" else sql


@lru_cache(maxsize=256)
def _joined(wanted: tuple[tuple[str, bool], ...]) -> str:
    """Each SELECT as one array of rows; `xmin` tells the version of a row that must not move."""
    parts = [sql.replace("SELECT", "SELECT xmin,", 1) if locks else sql for sql, locks in wanted]
    return "SELECT " + ", ".join(f"(SELECT array_agg(r) FROM ({part}) r)" for part in parts)
