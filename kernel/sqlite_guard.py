"""What SQLite loses when a migration rebuilds a table, put back or refused inside the migration's own transaction.

Altering a column copies the table, drops the old one and renames the copy: indexes and triggers of the table are gone, and
with foreign keys on its children would be. Whatever this finds wrong rolls the migration back as if it had never begun.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tortoise.migrations import operations as ops


class RowsLost(Exception):
    """The migration would lose rows or leave references that point nowhere."""


@dataclass(frozen=True)
class _Attached:
    """An index or a trigger of a table."""

    name: str
    table: str
    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Before:
    """What the database held before the migration."""

    attached: tuple[_Attached, ...]
    rows: dict[str, int]


async def look(client: Any) -> Before:
    """Every index, trigger and row count, read inside the migration's transaction."""
    found = await client.execute_query_dict(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    )
    attached = []
    for row in found:
        columns = await client.execute_query_dict(f'PRAGMA index_info("{row["name"]}")')
        attached.append(_Attached(row["name"], row["tbl_name"], row["sql"], tuple(c["name"] for c in columns)))
    return Before(tuple(attached), {table: await _count(client, table) for table in await _tables(client)})


async def restore(client: Any, before: Before, operations: Iterable[Any]) -> None:
    """Puts back what was not meant to go. Raises RowsLost, which rolls everything back."""
    tables = set(await _tables(client))
    present = {row["name"] for row in await client.execute_query_dict("SELECT name FROM sqlite_master")}
    names, columns, unindexed = _meant_to_go(operations)
    for one in before.attached:
        wanted = one.name not in names and not columns & set(one.columns)
        if len(one.columns) == 1 and one.columns[0] in unindexed:
            wanted = False
        if wanted and one.name not in present and one.table in tables:
            await client.execute_query(one.sql)
    broken = await client.execute_query_dict("PRAGMA foreign_key_check")
    if broken:
        raise RowsLost(f"{len(broken)} 行外键失效")
    lost = [table for table, count in before.rows.items() if table in tables and await _count(client, table) < count]
    if lost:
        raise RowsLost(f"这些表的行数变少：{'、'.join(lost)}")


def _meant_to_go(operations: Iterable[Any]) -> tuple[set[str], set[str], set[str]]:
    """Names of indexes, names of columns, and columns that lose their own index, as the migration says."""
    names: set[str] = set()
    columns: set[str] = set()
    unindexed: set[str] = set()
    for step in operations:
        if isinstance(step, ops.RemoveIndex | ops.RenameIndex):
            names |= {str(getattr(step, "name", None)), str(getattr(step, "old_name", None))}
        elif isinstance(step, ops.RemoveField):
            columns |= {step.name, f"{step.name}_id"}
        elif isinstance(step, ops.AlterField):
            field: Any = step.field
            if not (field.index or field.unique):
                unindexed |= {step.name, f"{step.name}_id"}
    return names, columns, unindexed


async def _tables(client: Any) -> list[str]:
    rows = await client.execute_query_dict(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "AND name <> 'tortoise_migrations'"
    )
    return [row["name"] for row in rows]


async def _count(client: Any, table: str) -> int:
    return int((await client.execute_query_dict(f'SELECT COUNT(*) AS n FROM "{table}"'))[0]["n"])
