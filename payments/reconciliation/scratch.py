"""One day's files and our own rows side by side in a throw-away SQLite file, so that a million lines need no memory and no lock.

The same on both engines of the product: the database of the product is only read in pages and given what is worth keeping.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from payments.gateways.statement_port import LineKind, StatementKind, StatementLine
from payments.reconciliation import matching

BATCH = 2000
_P = ParamSpec("_P")
_T = TypeVar("_T")
_CACHE_KB = 32_768


@dataclass(frozen=True)
class Ours:
    """One row of our books that the file is held against. `that_day`: it belongs to the day of the file."""

    kind: LineKind
    number: str
    channel_txn_id: str | None
    amount_fen: int
    currency: str
    settled: bool
    that_day: bool
    payment_no: str | None = None  # of a refund


@dataclass(frozen=True)
class Found:
    """What is not a plain match: a line, or a row of ours without one (`line_no` 0)."""

    line_no: int
    class_name: str
    key: str
    kind: str
    number: str | None
    channel_txn_id: str | None
    theirs_fen: int | None
    ours_fen: int | None
    currency: str
    fees_fen: int
    payment_no: str | None  # of a refund: the payment it gives back
    happened_at: datetime | None


@dataclass(frozen=True)
class Totals:
    """What a file adds up to; amounts in fen."""

    lines: int
    matched: int
    other_day: int
    foreign: int
    paid_fen: int
    refunded_fen: int
    fees_fen: int
    ours_count: int
    ours_fen: int


class Unexplained(Exception):
    """The findings do not add up: the comparison itself is wrong, and nothing of it may be used. Always a bug."""


class Scratch:
    """The file itself, used by one thread that is not the loop's; see `Desk`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "scratch.sqlite3"
        self._path.unlink(missing_ok=True)
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._stopped = False
        # Nothing here outlives the process, so nothing is protected against its end.
        for word in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KB}", "temp_store = FILE"):
            self._db.execute(f"PRAGMA {word}")
        for statement in matching.TABLES:
            self._db.execute(statement)

    def stop(self) -> None:
        """From any thread: a load that is under way ends soon."""
        self._stopped = True

    def close(self) -> None:
        """Removes the file."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    def load(self, kind: StatementKind, lines: Iterable[StatementLine], *, progress: Callable[[int], None]) -> int:
        """Writes every line of a file; all or nothing: a file that turns out broken leaves none. Raises StatementInvalid."""
        self.forget(kind)
        total, rows = 0, (_row(kind, line) for line in lines)
        try:
            while batch := list(islice(rows, BATCH)):
                if self._stopped:
                    raise InterruptedError("the work on this day was given up")
                self._write(matching.ADD_LINE, batch)
                total += len(batch)
                progress(total)
        except BaseException:
            self.forget(kind)
            raise
        self._db.execute(matching.LINE_INDEX)
        return total

    def forget(self, kind: StatementKind) -> None:
        """Removes the lines of a file."""
        self._db.execute("DELETE FROM line WHERE file = ?", (kind.value,))

    def add_ours(self, rows: Sequence[Ours]) -> None:
        """Rows of our books; one that is already there stays as it is."""
        self._write(
            matching.ADD_OURS,
            [
                (r.kind.value, r.number, r.channel_txn_id, r.amount_fen, r.currency, r.settled, r.that_day, r.payment_no)
                for r in rows
            ],
        )  # fmt: skip

    def index_ours(self) -> None:
        """Once after the mass of our rows; before `unknown` and `judge`."""
        self._db.execute(matching.OURS_INDEX)

    def unknown(self, kind: LineKind, after: str) -> list[str]:
        """The next numbers of lines that are not among our rows yet, in order, beginning after the given one."""
        return [row[0] for row in self._db.execute(matching.UNKNOWN, (kind.value, after, BATCH))]

    def judge(self, file: StatementKind, values: dict[str, Any], *, in_sums: bool = False) -> None:
        """Fills `found` from what was loaded: pure SQL, so the order of the lines cannot matter."""
        self._db.execute("DELETE FROM found")
        self._db.execute("DELETE FROM spare")
        self._db.execute("BEGIN")
        for statement in matching.judgement(file, in_sums=in_sums):
            self._db.execute(statement, values)
        self._db.execute("COMMIT")

    def found(self) -> Iterator[list[Found]]:
        """What was found, in batches."""
        with closing(self._db.execute(matching.FOUND)) as cursor:
            while rows := cursor.fetchmany(BATCH):
                yield [_found(row) for row in rows]

    def is_found(self, class_name: str, key: str) -> bool:
        """Whether the judgement holds this finding."""
        return self._db.execute(matching.IS_FOUND, (class_name, key)).fetchone() is not None

    def movements(self) -> Iterator[list[tuple[str, int, bool, datetime]]]:
        """Payments out to the bank and back, in batches: flow number, amount, whether it came back, when."""
        with closing(self._db.execute(matching.MOVEMENTS)) as cursor:
            while rows := cursor.fetchmany(BATCH):
                yield [(flow, amount, bool(back), datetime.fromtimestamp(at, UTC)) for flow, amount, back, at in rows]

    def fees(self) -> int:
        """What the account movements say was taken as fees, less what was given back."""
        return int(self._db.execute(matching.FEES_TAKEN).fetchone()[0])

    def totals(self, file: StatementKind) -> Totals:
        """The sums of a judged file. Raises Unexplained when the findings do not explain every fen between theirs and ours."""
        values = {"file": file.value}
        lines, ours, paid, refunded, fees = self._db.execute(matching.LINE_SUMS, values).fetchone()
        ours_count, ours_fen = self._db.execute(matching.OURS_SUMS).fetchone()
        unmatched, other_day, explained = self._db.execute(matching.FOUND_SUMS).fetchone()
        if file is StatementKind.TRADE and paid - refunded - ours_fen != explained:
            raise Unexplained(f"theirs {paid - refunded}, ours {ours_fen}, explained {explained}")
        return Totals(
            lines=lines,
            matched=ours - unmatched,
            other_day=other_day,
            foreign=lines - ours,
            paid_fen=paid,
            refunded_fen=refunded,
            fees_fen=fees,
            ours_count=ours_count,
            ours_fen=ours_fen,
        )

    def _write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(statement, rows)
        self._db.execute("COMMIT")


class Desk:
    """The scratch file with the one thread that may touch it: a cancelled caller cannot close it under a running statement."""

    def __init__(self, scratch: Scratch, thread: ThreadPoolExecutor) -> None:
        self.scratch, self._thread = scratch, thread

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncIterator["Desk"]:
        """Opens it in the folder and removes it at the end."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reconciliation")
        loop = asyncio.get_running_loop()
        try:
            scratch = await loop.run_in_executor(thread, Scratch, folder)
            try:
                yield cls(scratch, thread)
            finally:
                scratch.stop()
                await asyncio.shield(loop.run_in_executor(thread, scratch.close))
        finally:
            thread.shutdown(wait=False)

    async def do(self, work: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T:
        """Runs one of the scratch file's methods on its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **more))

    async def batches(self, source: Iterator[list[_T]]) -> AsyncIterator[list[_T]]:
        """The batches of a generator of the scratch file."""
        while (batch := await self.do(next, source, None)) is not None:
            yield batch


def _row(file: StatementKind, line: StatementLine) -> tuple[Any, ...]:
    refund = line.kind is LineKind.REFUND
    return (
        file.value,
        line.line_no,
        line.kind.value,
        line.refund_no if refund else line.payment_no,
        (line.channel_refund_id or line.channel_txn_id) if refund else line.channel_txn_id,
        line.amount_fen,
        line.amount_fen if line.settle_fen is None else line.settle_fen,
        line.fee_fen,
        line.currency,
        int(line.happened_at.timestamp()),
        line.incoming,
        line.done,
        line.ours,
        line.flow_no,
        line.payment_no if refund else None,
    )


def _found(row: Sequence[Any]) -> Found:
    at = row[-1]
    return Found(*(*row[:-1], datetime.fromtimestamp(at, UTC) if at is not None else None))
