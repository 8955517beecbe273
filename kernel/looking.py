"""The connection of a command that only looks until it can say everything in one statement (PostgreSQL; see `kernel.together`).

It reads without locking and remembers which rows, in which version, the command relies on. Whatever would need a transaction —
a write that is not gathered, a savepoint, a lock written in SQL — is refused with NeedsTransaction before it reaches the
database: nothing can be stored half.
"""

import re
from functools import lru_cache
from typing import Any

from tortoise.backends.asyncpg import client as postgres

_READ = re.compile(r"\s*SELECT\b", re.IGNORECASE)
# The number of a row to come is no write: one that is not used is a gap, as after any rollback.
_BINDING = re.compile(
    r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|(?:KEY\s+)?SHARE)\b|\bpg_advisory|\bnextval\b(?!\('\w+_id_seq'\))",
    re.IGNORECASE,
)


class NeedsTransaction(Exception):
    """The command cannot be one statement, or something it relies on has moved: the ordinary transaction decides."""


class Looking(postgres.AsyncpgDBClient):
    """Stands before the real connection while a command looks; everything it sees is what was committed by then."""

    def __init__(self, behind: postgres.AsyncpgDBClient) -> None:
        self.__dict__.update(behind.__dict__)  # its name, its loop, its limits
        self.behind = behind
        # Rows that must not have moved: (table, id) → the transaction that wrote the version seen (`xmin`).
        self.versions: dict[tuple[str, Any], int] = {}
        # What must still not exist: SELECTs with their parameters.
        self.absent: list[tuple[str, tuple[Any, ...]]] = []

    def admit(self, sql: str) -> None:
        """Raises NeedsTransaction unless the statement is a plain read."""
        if not _harmless(sql):
            raise NeedsTransaction

    def _in_transaction(self) -> Any:
        raise NeedsTransaction

    def acquire_connection(self) -> Any:
        """Never: a statement of unknown text could be anything."""
        raise NeedsTransaction

    async def execute_insert(self, query: str, values: list[Any]) -> Any:
        """Never: rows go through `together.insert`."""
        raise NeedsTransaction

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Never: rows go through `together.insert`."""
        raise NeedsTransaction

    async def execute_script(self, query: str) -> None:
        """Never."""
        raise NeedsTransaction

    async def execute_query(self, query: str, values: list[Any] | None = None) -> Any:
        """A plain read."""
        self.admit(query)
        return await self.behind.execute_query(query, values)

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> Any:
        """A plain read."""
        self.admit(query)
        return await self.behind.execute_query_dict(query, values)


@lru_cache(maxsize=1024)
def _harmless(sql: str) -> bool:
    return _READ.match(sql) is not None and _BINDING.search(sql) is None
