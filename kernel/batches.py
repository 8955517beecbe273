"""Rows of one read by their key, fetched together for all who ask at the moment: what a page needs of a table, without building a query each time.

Inside a transaction they are read at once and through its connection: it must see what it has written itself.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from tortoise.models import Model

from kernel import db
from kernel.loader import Loader

M = TypeVar("M", bound=Model)
Kind = Literal["text", "bigint"]


class Records:
    """Records of `columns` from `tables` by the value of the columns in `by`, in a fixed order.

    The first column of `by` is the one that has an index. Whoever may see a row must be one of the others, never filtered
    afterwards. All texts are constants of ours.
    """

    def __init__(self, columns: str, tables: str, *, by: dict[str, Kind], order: str, where: str = "") -> None:
        self._columns, self._tables, self._by, self._order = columns, tables, by, order
        self._where = f"WHERE {where} " if where else ""
        self._loader: Loader[tuple[Any, ...], list[Any]] = Loader(self._fetch)

    async def of(self, *key: Any) -> Sequence[Any]:
        """The records of this key; the first value of each is the number of the key in its batch."""
        if db.in_transaction():
            return (await self._fetch([key])).get(key, [])
        return await self._loader.load(key) or []

    async def _fetch(self, keys: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Any]]:
        found: dict[tuple[Any, ...], list[Any]] = {}
        for row in await db.records(self._sql(len(keys)), *_values(keys)):
            found.setdefault(keys[row[0] - 1], []).append(row)
        return found

    def _sql(self, count: int) -> str:
        names = [f"k{number}" for number in range(len(self._by))]
        if db.engine() == "postgres":
            asked = f"unnest({', '.join(db.array(kind) for kind in self._by.values())}) WITH ORDINALITY"
        else:
            one = f"({', '.join('?' * (len(names) + 1))})"
            asked = f"(VALUES {', '.join([one] * count)})"
        first, *others = zip(self._by, names, strict=True)
        # Written so that no engine looks for the others by an index: they may be true of many rows.
        on = [f"{first[0]} = k.{first[1]}", *(f"{column} || '' = k.{name}" for column, name in others)]
        return (
            f"WITH k({', '.join(names)}, place) AS (SELECT * FROM {asked} AS asked) SELECT k.place, {self._columns} "
            f"FROM k JOIN {self._tables} ON {' AND '.join(on)} {self._where}ORDER BY {self._order}"
        )


class Models(Generic[M]):
    """The same for whole rows, as models of their own for everyone who asks."""

    def __init__(self, model: type[M], *, by: dict[str, Kind], order: str = "t.id", where: str = "") -> None:
        self._model, self._by, self._order, self._where = model, by, order, where

    async def of(self, *key: Any) -> list[M]:
        """The rows of this key."""
        rows = await self._records.of(*key)
        # The constructor the ORM itself uses for rows.
        return [self._model._init_from_db(**dict(zip(self._names, row[1:], strict=True))) for row in rows]

    async def one(self, *key: Any) -> M | None:
        """The first row of this key."""
        return next(iter(await self.of(*key)), None)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The columns; foreign keys get theirs only when the database is opened."""
        return tuple(self._model._meta.fields_db_projection.values())

    @cached_property
    def _records(self) -> Records:
        columns = ", ".join(f't."{name}"' for name in self._names)
        table = f'"{self._model._meta.db_table}" t'
        return Records(columns, table, by=self._by, order=self._order, where=self._where)


def _values(keys: list[tuple[Any, ...]]) -> list[Any]:
    if db.engine() == "postgres":
        return [list(column) for column in zip(*keys, strict=True)]
    return [value for place, key in enumerate(keys, 1) for value in (*key, place)]
